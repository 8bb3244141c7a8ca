"""What the node asks of other DICOM peers: storage, storage commitment, queries.

- `commitment`: storage commitment: ask a peer to confirm that it keeps a report, and take its
  answer.
- `delivery`: send one object to one destination by C-STORE.
- `pacs_query`: ask a PACS by C-FIND how many instances of a study it holds, and of which patient.
- `statuses`: statuses of DIMSE messages: those that the node gives, and those that it tells apart.
"""
