"""The report in the forms that any PACS shows, beside the Structured Report.

- `kinds`: the kinds of objects: their files, series and UIDs.
- `region_segmentation`: the measured regions as a DICOM Segmentation: one segment a site.
- `reading_picture`: the picture of a report for reading: whose it is, what was found, how sure, and
  where.
- `picture_words`: what the pictures say in words: whose they are, what was not measured, what
  limits them.
- `hu_bars`: the bars of the six vertebral HU, against the thresholds of L1 and the cohort's
  percentiles.
- `spine_views`: the spine from the front and from the side, its levels named between the two views.
- `axial_rows`: rows of axial slices: the vertebral bodies, and the discs with their six muscles.
- `axial_framing`: what axial views show: which slice of a level, how much of it, and where in the
  picture.
- `ct_views`: windowed views of a volume with a known scale: axial crops, and reformats along the
  spine.
- `canvas`: drawing for pictures that are read at one screen pixel a pixel: text, smooth lines, CT.
- `palette`: the 256 colours of the pictures: greys for CT and text, shades of a few colours over
  them.
- `secondary_capture`: a picture as a DICOM Secondary Capture with a palette of 256 colours, which
  any PACS takes.
- `fonts`: the fonts of pictures and pages: DejaVu Sans, which matplotlib brings.
- `pdf_layout`: the look of the PDF: fonts, styles, the flow of a section over pages, and its foot.
- `pdf_annex`: the annex of the PDF: what was measured, how, and what the stage rests on.
- `pdf_pages`: the report as a PDF of one page with an annex, and the page of a refused scan.
- `encapsulated_pdf`: a PDF as a DICOM object: Encapsulated PDF Storage.
- `refusal_picture`: the picture of a scan that was not analysed: why, and what would help.
"""
