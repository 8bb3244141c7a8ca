"""Checks of a scan and of its vertebral bodies, and its internal references.

- `aorta`: the HU of blood in the abdominal aorta: whether iodine is in it, seen from the image
  alone.
- `body_line`: the line through the bodies, from which places in front and beside are counted.
- `body_quality`: what misleads staging though it can be measured: collapsed and dense vertebral
  bodies.
- `body_shape`: heights of vertebral bodies: how far the endplates lie apart in front, in the
  middle, behind.
- `contrast_phase`: the phase of a contrast agent, from blood in aorta and vena cava and from urine.
- `excretion`: contrast agent in the urine: whether both renal pelves are bright.
- `fat`: the HU of fat below the skin of the back, or else beside the spine.
- `noise`: the scan's noise near the spine, and what it does to the mean of a region of interest.
- `proportions`: width and depth of the lumbar bodies: whether the pixel spacing can be right.
- `psoas`: the HU of the psoas major, a summary of its measured sites.
- `vena_cava`: the HU of blood in the inferior vena cava, to the right of the aorta.
"""
