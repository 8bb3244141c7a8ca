"""Drop slices that came twice under two UIDs."""

from collections.abc import Sequence

import numpy as np

from dicom_node.decoding.plane_reader import read_plane
from dicom_node.errors import SeriesRefused
from dicom_node.series.geometry import POSITION_TOLERANCE_MM
from dicom_node.series.instances import Instance
from roi_extraction.anatomy import Finding

__all__ = ["drop_doubles"]


def drop_doubles(members: Sequence[Instance]) -> tuple[list[Instance], list[Finding]]:
    """Keep one of several images that lie at the same position and hold the same HU.

    Pixels are decoded where images lie at the same position, and only there, until two differ.

    Parameters
    ----------
    members
        Images of one series.

    Returns
    -------
    kept
        One image a position; those with the least SOP Instance UID, so that the choice does not
        depend on the order.
    findings
        The warning that says how many were dropped; empty if none was.

    Raises
    ------
    SeriesRefused
        ``series.duplicate_positions``: two images at one position differ.
    """
    kept: list[Instance] = []
    for instance in sorted(members, key=lambda i: (_position(i), i.sop_instance_uid)):
        if not kept or not _at_same_place(kept[-1], instance):
            kept.append(instance)
        elif not _alike(kept[-1], instance):
            numbers = {i.acquisition_number for i in members if i.acquisition_number is not None}
            named = f" (acquisitions {sorted(numbers)})" if len(numbers) > 1 else ""
            raise SeriesRefused(
                "series.duplicate_positions",
                f"different images lie at the same position{named}; send each acquisition as a "
                "series of its own",
            )
    dropped = len(members) - len(kept)
    if not dropped:
        return list(members), []
    message = f"{dropped} images that came twice under two UIDs were dropped"
    return kept, [Finding("series.doubled_images", message)]


def _alike(one: Instance, other: Instance) -> bool:
    """Whether two images are of one acquisition and hold the same HU."""
    return one.acquisition_number == other.acquisition_number and np.array_equal(
        read_plane(one.path, 0), read_plane(other.path, 0)
    )


def _position(instance: Instance) -> tuple[float, ...]:
    """Head-feet position first; images without position come first and are refused later."""
    if instance.position_mm is None:
        return ()
    x, y, z = instance.position_mm
    return round(float(z), 1), round(float(y), 1), round(float(x), 1)


def _at_same_place(one: Instance, other: Instance) -> bool:
    if one.position_mm is None or other.position_mm is None:
        return False
    if one.orientation is None or other.orientation is None:
        return False
    same_mm = np.abs(one.position_mm - other.position_mm).max() < POSITION_TOLERANCE_MM
    return bool(same_mm and np.allclose(one.orientation, other.orientation, atol=1e-3))
