"""The check of a Structured Report before it is sent: its meaning, not only its form.

- `report_check`: check a Structured Report of this node before it is sent.
- `document_check`: the part that looks at header, patient, study and evidence.
- `comparison_check`: the part that recomputes the comparison with an earlier report.
- `report_geometry`: the part that looks at references, regions on the images and the patient's
  sides.
- `report_content`: the content of a Structured Report of this node: every item, code and unit.
"""
