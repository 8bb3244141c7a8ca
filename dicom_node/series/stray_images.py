"""Set images aside that do not belong to the axial stack of their series."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from dicom_node.series.geometry import AXIAL_TOLERANCE_DEG
from dicom_node.series.instances import Instance
from roi_extraction.anatomy import Finding

__all__ = ["set_strays_aside"]

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"

FEW_SHARE = 0.1
"""Largest share of images without position or orientation that are set aside: among more of them
slices of the stack may be."""


def _is_localizer(instance: Instance) -> bool:
    return "LOCALIZER" in instance.image_type


def _is_no_ct_image(instance: Instance) -> bool:
    return instance.sop_class_uid != CT_IMAGE_STORAGE or instance.modality != "CT"


def _is_derived(instance: Instance) -> bool:
    return instance.image_type[:1] != ("ORIGINAL",)


def _is_not_axial(instance: Instance) -> bool:
    if instance.orientation is None:
        return False
    normal = np.cross(instance.orientation[0], instance.orientation[1])
    return bool(abs(normal[2]) < np.cos(np.deg2rad(AXIAL_TOLERANCE_DEG)))


def _is_nowhere(instance: Instance) -> bool:
    return instance.orientation is None or instance.position_mm is None


KINDS: tuple[tuple[str, Callable[[Instance], bool], float], ...] = (
    ("localizer", _is_localizer, 1.0),
    ("of another SOP class or modality", _is_no_ct_image, 1.0),
    ("derived", _is_derived, 0.5),
    ("not axial", _is_not_axial, 0.5),
    ("without position", _is_nowhere, FEW_SHARE),
)
"""Kinds of strays: name, test, and the largest share of a series at which they count as strays."""


def set_strays_aside(members: Sequence[Instance]) -> tuple[list[Instance], list[Finding]]:
    """Keep the images of the axial stack, such as a series holds beside a localizer or dose page.

    A series that holds nothing but strays of one kind is kept whole: it is refused for what it is.
    A slice that is set aside by mistake leaves a gap, which is refused.

    Parameters
    ----------
    members
        All images of one series.

    Returns
    -------
    kept
        The images that belong together.
    findings
        The warning that names how many were left out, and why; empty if none was.
    """
    kept = list(members)
    left_out: Counter[str] = Counter()
    for name, is_stray, largest_share in KINDS:
        rest = [instance for instance in kept if not is_stray(instance)]
        strays = len(kept) - len(rest)
        if rest and strays <= largest_share * len(kept):
            left_out[name] = strays
            kept = rest
    found = ", ".join(f"{count} {name}" for name, count in left_out.items() if count)
    if not found:
        return kept, []
    total = left_out.total()
    return kept, [Finding("series.images_left_out", f"{total} images left out: {found}")]
