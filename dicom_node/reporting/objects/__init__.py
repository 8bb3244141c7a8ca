"""The report in the forms that any PACS shows, beside the Structured Report.

- `kinds`: the kinds of objects: their files, series and UIDs.
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
"""
