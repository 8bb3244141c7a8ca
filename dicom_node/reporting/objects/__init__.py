"""The report in the forms that any PACS shows, beside the Structured Report.

- `kinds`: the kinds of objects: their series and UIDs.
- `files`: the files of a report's objects: which a destination gets, and which are kept.
- `region_segmentation`: the measured regions as a DICOM Segmentation: one segment a site.
- `segmentation_frames`: the frames of a Segmentation: its bits, and the functional groups that say
  what each shows.
- `secondary_capture`: a picture as a DICOM Secondary Capture with a palette of 256 colours, which
  any PACS takes.
- `encapsulated_pdf`: a PDF as a DICOM object: Encapsulated PDF Storage.
- `pdf_pages`: the report as a PDF of one page with an annex, and the page of a refused scan.
- `pdf_annex`: the annex of the PDF: what was measured, how, and what the stage rests on.
- `pdf_layout`: the look of the PDF: fonts, styles, the flow of a section over pages, and its foot.
- `encoding`: the bytes of a file of the node: what pydicom writes, in less time.
"""
