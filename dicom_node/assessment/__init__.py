"""From a volume to an assessment: segmenters, checks of the image, measures, stage.

- `assessment`: the journey of one series: HU in, a complete assessment out; no files, no network.
- `image_checks`: the acquisition rules that only the image decides: contrast in the aorta, noise,
  proportions.
- `segment_codes`: what a DICOM SEG's segments are: codes first, their words where no code is
  known.
- `segmentation_object`: DICOM SEG objects as a segmenter: checked against the series, brought to
  its grid.
- `segmenters`: choose the segmenters of a series: those of the settings in their order, or what a
  user gives.
"""
