"""The checks of what is sent: the meaning of a Structured Report, and the objects beside it.

- `report_check`: check a Structured Report of this node before it is sent.
- `document_check`: the part that looks at header, patient, study and evidence.
- `comparison_check`: the part that recomputes the comparison with an earlier report.
- `reference_check`: the part that looks at the internal references and the contrast phase.
- `report_geometry`: the part that looks at references, regions on the images and the patient's
  sides.
- `report_content`: the content of a Structured Report of this node: every item, code and unit.
- `object_check`: check an object beside the Structured Report before it is sent.
"""
