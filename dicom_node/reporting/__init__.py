"""What leaves the node about a study: the report, its Structured Report, and its check.

- `report_model`: the case report as it leaves the program: the models behind ``report.json``.
- `report_schema`: the JSON Schema of ``report.json``, made from its models.
- `report`: build the case report from an assessment, or from the reason why there is none.
- `references`: blood, psoas and fat as internal references, in both reports.
- `words/`: what a reader reads: the same words on every output.
- `pictures/`: what a reader sees: the picture of a report, and that of a refused scan.
- `objects/`: the report in the forms that any PACS shows, beside the Structured Report.
- `compared_scan`: what of a report decides whether it is compared with another one, and what is
  compared.
- `comparison`: before and now: how much each vertebra's HU changed since an earlier report, and
  whether it may.
- `comparison_items`: the comparison with an earlier report in the Structured Report.
- `earlier_document`: an earlier report of which only the Structured Report is at hand, as a PACS
  holds it.
- `codes`: codes of the Structured Report, each with its source and whether it was verified.
- `content_items`: the content items of a Structured Report, as plain data sets.
- `evaluations`: what the Structured Report says in codes and words, beside the measurements.
- `measurement_groups`: the groups of the Structured Report: one for each measured site.
- `structured_report`: the DICOM Structured Report: Comprehensive SR, TID 1500.
- `checks/`: the check of a Structured Report before it is sent.
- `report_history`: earlier reports: which of them stand, which are superseded, and which are
  withdrawn.
- `report_index`: which reports are on which images, found without a look at every report.
- `withdrawal`: the note that a report is withdrawn: a Key Object Selection that rejects it (IHE
  RAD, IOCM).
"""
