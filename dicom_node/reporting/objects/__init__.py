"""The report in the forms that any PACS shows, beside the Structured Report.

- `kinds`: the kinds of objects: their files, series and UIDs.
- `fonts`: the fonts of pictures and pages: DejaVu Sans, which matplotlib brings.
- `pdf_layout`: the look of the PDF: fonts, styles, the flow of a section over pages, and its foot.
- `pdf_annex`: the annex of the PDF: what was measured, how, and what the stage rests on.
- `pdf_pages`: the report as a PDF of one page with an annex, and the page of a refused scan.
- `encapsulated_pdf`: a PDF as a DICOM object: Encapsulated PDF Storage.
- `refusal_picture`: the picture of a scan that was not analysed: why, and what would help.
"""
