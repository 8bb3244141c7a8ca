"""Checks of a scan and of its vertebral bodies: contrast, noise, shape, proportions.

- `aorta`: the HU of blood in the abdominal aorta: whether iodine is in it, seen from the image
  alone.
- `body_quality`: what misleads staging though it can be measured: collapsed and dense vertebral
  bodies.
- `body_shape`: heights of vertebral bodies: how far the endplates lie apart in front, in the
  middle, behind.
- `noise`: the scan's noise near the spine, and what it does to the mean of a region of interest.
- `proportions`: width and depth of the lumbar bodies: whether the pixel spacing can be right.
"""
