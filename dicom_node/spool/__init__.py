"""Received instances on disk, and which studies still wait to be looked at.

- `spool`: received instances on disk: the truth of what the node holds.
- `unsettled`: which studies got something that nobody has seen to yet; it outlives every process.
"""
