"""What the node asks of other DICOM peers: storage, storage commitment, queries, retrieval.

- `allowance`: how much a PACS may answer to one question, and for how long.
- `commitment`: storage commitment: ask a peer to confirm that it keeps a report, and take its
  answer.
- `delivery`: send one object to one destination by C-STORE.
- `pacs_query`: ask a PACS by C-FIND how many instances of a study it holds, and of which patient.
- `pacs_reports`: the earlier reports of a patient that lie in a PACS: asked for, checked, and kept
  as files.
- `retrieval`: get instances from a PACS by C-GET, on the association that asks for them.
- `statuses`: statuses of DIMSE messages: those that the node gives, and those that it tells apart.
"""
