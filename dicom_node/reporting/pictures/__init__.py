"""What a reader sees: the picture of a report, and that of a scan that was not analysed.

- `reading_picture`: the picture of a report for reading: whose it is, what was found, how sure, and
  where.
- `refusal_picture`: the picture of a scan that was not analysed: why, and what would help.
- `picture_words`: what the pictures say in words: how it was scanned, what was not measured, what
  limits it.
- `hu_bars`: the bars of the six vertebral HU, against the thresholds of L1 and the cohort's
  percentiles.
- `spine_views`: the spine from the front and from the side, its levels named between the two views.
- `axial_framing`: how much of each axial slice is shown, and where.
- `axial_rows`: rows of axial slices: the vertebral bodies, and the discs with their six muscles.
- `ct_views`: windowed views of a volume with a known scale: axial crops, and reformats along the
  spine.
- `canvas`: drawing for pictures that are read at one screen pixel a pixel: text, smooth lines, CT.
- `palette`: the 256 colours of the pictures: greys for CT and text, shades of a few colours over
  them.
- `fonts`: the fonts of pictures and pages: DejaVu Sans, which matplotlib brings.
"""
