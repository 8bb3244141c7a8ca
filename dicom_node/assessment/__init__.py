"""From a volume to an assessment: segmenters, checks of the image, measures, stage.

- `assessment`: from the volume of one series to a complete assessment: no files, no network.
- `image_checks`: acquisition rules that need the pixels: contrast, fat, noise, proportions.
- `segment_codes`: identify the segments of a DICOM SEG: by their codes, and by their words where
  no code is known.
- `segment_labels`: from a DICOM SEG's segments to the numbers of the label maps.
- `segmentation_levels`: compare the levels that a DICOM SEG names with those that the built-in
  segmenter sees.
- `segmentation_object`: use a DICOM SEG as a segmenter: check it against the series and bring it
  to the series' grid.
- `segmenters`: choose the segmenters of a series: those of the settings in their order, or what a
  user gives.
"""
