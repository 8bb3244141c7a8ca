"""What leaves the node about a study: the report, its Structured Report, and its check.

- `codes`: codes of the report, each with its source and whether it was verified.
- `report`: the case report: ``report.json`` (schema osteonode.report/1) and its plain-text
  summary.
- `report_check`: check a Structured Report of our own before it is sent: what it means, not only
  its form.
- `report_content`: what a Structured Report of this node consists of: every content item, code
  and unit.
- `report_geometry`: the geometry of a report: its references, its regions on the images, and the
  patient's sides.
- `report_history`: the reports of one study that were made before: which stands, and which it
  supersedes.
- `structured_report`: the DICOM Structured Report: Comprehensive SR, TID 1500, by highdicom.
"""
