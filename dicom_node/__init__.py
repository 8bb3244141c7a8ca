"""The DICOM node: takes a lumbar CT in by C-STORE and sends a Structured Report back.

Its rooms, each a sub-package, from the door to the reader:

- `settings`: the node's settings file and its sections.
- `receiving`: from the socket to the spool.
- `spool`: received instances on disk.
- `decoding`: from a file's bytes to elements and pixels.
- `series`: a CT series, its geometry and acquisition, and whether it can be assessed.
- `assessment`: from a volume to measures and a stage.
- `reporting`: the report, its Structured Report, and their check.
- `exchange`: instances and reports between the machines of one node.
- `sending`: storage, storage commitment and queries to other peers.
- `work`: the durable work on a study, from complete to delivered.
- `records`: audit trail, counters, signs of life.
- `monitoring`: status, metrics and the HTTP endpoint.
- `pages`: the pages for people.
- `commands`: the commands of ``osteonode``, a module a group.

Beside them lie what all rooms share (`errors`, `logs`, `foreign_text`, `uids`, `tls`,
`bearer_token`, `memory`, `study_facts`, `supervisor`) and what stands above them (`cli`, `demo`,
`conformance`). Which room may import which is held by import-linter contracts in
``pyproject.toml``.
"""
