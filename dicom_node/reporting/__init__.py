"""What leaves the node about a study: the report, its Structured Report, and its check.

- `report_model`: the case report as it leaves the program: the models behind ``report.json``.
- `report_schema`: the JSON Schema of ``report.json``, made from its models.
- `report`: build the case report from an assessment, or from the reason why there is none.
- `report_text`: the case report in plain text.
- `codes`: codes of the Structured Report, each with its source and whether it was verified.
- `measurement_groups`: the groups of the Structured Report: the stage, and one for each site.
- `structured_report`: the DICOM Structured Report: Comprehensive SR, TID 1500, by highdicom.
- `report_check`: check a Structured Report of this node before it is sent: its meaning, not only
  its form.
- `document_check`: the part of this check that looks at header, patient, study and evidence.
- `report_geometry`: the part that looks at references, regions on the images and the patient's
  sides.
- `report_content`: the content of a Structured Report of this node: every item, code and unit.
- `report_history`: earlier reports: which of them stand, which are superseded, and which are
  withdrawn.
- `report_index`: which reports are on which images, found without a look at every report.
- `withdrawal`: the note that a report is withdrawn: a Key Object Selection that rejects it (IHE
  RAD, IOCM).
"""
