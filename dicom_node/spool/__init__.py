"""Received instances on disk, and which studies are still to be assessed.

- `home`: the name of a spool, by which workers on several machines know whose instances are where.
- `spool`: received instances on disk: the truth of what the node holds.
- `unsettled`: which studies got something that no worker has dealt with yet, on disk.
- `versions`: the versions of one instance, in the order in which they came.
"""
