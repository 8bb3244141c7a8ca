"""The report in the forms that any PACS shows, beside the Structured Report.

- `kinds`: the kinds of objects: their files, series and UIDs.
- `region_segmentation`: the measured regions as a DICOM Segmentation: one segment a site.
"""
