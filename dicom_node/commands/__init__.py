"""The commands of ``osteonode``, a module a group.

- `assessing`: assess a CT by hand, or see the whole node at work on a phantom.
- `cohort`: the cohort's table: obtain it, check it.
- `ending`: how a command ends.
- `install`: units of systemd for this installation.
- `node`: run the node and check its settings.
- `research`: from a cohort to models and networks.
- `screening`: screen an archive or a folder.
- `study`: the whole published analysis of a cohort in one command.
- `tables`: a table of patients: staged, held against the model, or watched for drift.
- `users`: the accounts of those who sign in to the pages.
- `versions`: which software this is.
- `watching`: see from outside what the node is doing.
"""
