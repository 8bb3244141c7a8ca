"""What the researcher sees: cohorts, scanners and the model; nothing of a patient.

- `chart`: a control chart as figures of an SVG.
- `cohort_results`: the results of a screening as files to download, with pseudonyms.
- `cohorts_page`: ``/cohorts``: screenings with flow chart, pause, resume and results.
- `markdown`: Markdown as HTML that can do nothing.
- `model_page`: ``/model``: the model card.
- `scanner_charts`: the control charts of the node's scanners, drawn up now and then.
- `scanners_page`: ``/scanners``: whether the HU of a scanner moved.
"""
