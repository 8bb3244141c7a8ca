"""Compare the levels that a DICOM SEG names with those that the built-in segmenter sees.

A segmentation whose levels are shifted by one is whole and plausible in itself, and every number
of the report would stand under the wrong name.
"""

import numpy as np

from dicom_node.errors import SeriesRefused
from roi_extraction.anatomy import Anatomy, Finding, Segmenter
from roi_extraction.checks.body_shape import body_heights
from roi_extraction.errors import RoiError
from roi_extraction.volume import CtVolume

__all__ = ["check_levels"]

BODY_HEIGHT_MM = 26.0
"""Height of a lumbar body where it cannot be measured, in mm (Panjabi 1992,
doi 10.1097/00007632-199203000-00010)."""


def check_levels(anatomy: Anatomy, volume: CtVolume, reference: Segmenter) -> tuple[Finding, ...]:
    """Check that both name the same bodies: each centre within half a body's height.

    Costs one run of the reference.

    Parameters
    ----------
    anatomy
        From the SEG.
    volume
        The scan: int16 HU, shape (slices, rows, columns).
    reference
        The segmenter that is compared with.

    Returns
    -------
    tuple of Finding
        ``segmentation.levels_unchecked`` where the reference cannot name the levels.

    Raises
    ------
    SeriesRefused
        ``segmentation.levels_disagree``: the message says what each saw.
    """
    try:
        seen = reference.segment(volume)
    except RoiError as error:
        return (_unchecked(f"{reference.identity.name} cannot name them: {error} [{error.code}]"),)
    bodies = seen.spine.bodies
    if not anatomy.spine.bodies.keys() & bodies.keys():
        return (_unchecked(f"{reference.identity.name} names none of its levels"),)
    heights = [height.largest_mm for height in body_heights(volume, seen).values()]
    most_mm = (float(np.median(heights)) if heights else BODY_HEIGHT_MM) / 2
    different = []
    for level, body in anatomy.spine.bodies.items():
        distances_mm = {
            other: float(np.linalg.norm(body.centre_lps_mm - landmark.centre_lps_mm))
            for other, landmark in bodies.items()
        }
        if distances_mm.get(level, 0.0) > most_mm:
            nearest = min(distances_mm, key=lambda other: distances_mm[other])
            different.append(f"{level} lies {distances_mm[level]:.0f} mm off and next to {nearest}")
    if different:
        raise SeriesRefused(
            "segmentation.levels_disagree",
            f"the DICOM SEG and {reference.identity.name} name different vertebrae: the SEG's "
            f"{', '.join(different)} of {reference.identity.name}; neither is used",
        )
    return ()


def _unchecked(reason: str) -> Finding:
    return Finding(
        "segmentation.levels_unchecked",
        f"the levels of the DICOM SEG could not be compared with another segmenter's: {reason}",
    )
