"""Label maps, from files or other programs, as a segmenter.

- `canal`: the vertebral canal's line from labels of whole vertebrae.
- `files`: label maps from files, brought to a scan's grid.
- `label_map`: a segmenter that reads label maps in TotalSegmentator's numbering.
- `sacrum`: S1 cut out of a sacrum that is labelled as a whole.
- `spine`: spine landmarks from vertebra labels: bodies, discs and the canal's line.
"""
