"""The three central slices in which a site is measured."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from roi_extraction.anatomy import Landmark, Missing, MissingReason, Plane
from roi_extraction.volume import CtVolume

__all__ = ["ENDPLATE_MARGIN_MM", "ROI_AREA_MM2", "central_slices", "slices_in_body"]

ROI_AREA_MM2 = 150.0
"""Area of one ROI, mm2 (Wang 2025, doi 10.1101/2025.02.12.25321163, Methods)."""

ENDPLATE_MARGIN_MM = 4.0
"""Least gap between a vertebral ROI and the plane of an endplate, mm: endplate and subchondral
bone of 1-2 mm, half a slice of 3 mm, the plane's own error."""


def central_slices(
    volume: CtVolume, centre_lps_mm: npt.ArrayLike
) -> tuple[int, int, int] | Missing:
    """The slice through a centre and its two neighbours that share no voxels with it.

    Parameters
    ----------
    volume
        The scan.
    centre_lps_mm
        The body's or the disc's centre, shape (3,), LPS mm.

    Returns
    -------
    tuple of int, or Missing
        Three indices from feet to head, ``slab_stride`` apart, each the centre of an effective
        slice; `Missing` when one of these leaves the volume.

    Examples
    --------
    >>> import numpy as np
    >>> affine = np.array([[0, 0, 1, 0], [0, 1, 0, 0], [3, 0, 0, 0], [0, 0, 0, 1.0]])
    >>> volume = CtVolume(np.zeros((9, 4, 4), np.int16), affine, 3.0)
    >>> central_slices(volume, (2.0, 2.0, 12.4))
    (3, 4, 5)
    """
    middle = round(float(volume.to_index(centre_lps_mm)[0]))
    stride = volume.slab_stride
    half = volume.slices_per_slab // 2
    last = volume.shape[0] - 1
    if middle - stride - half < 0 or middle + stride + half > last:
        return Missing(
            MissingReason.OUTSIDE_SCAN,
            f"central slice {middle} lies too close to the end of the {last + 1} slices",
        )
    return middle - stride, middle, middle + stride


def slices_in_body(
    volume: CtVolume, body: Landmark, ends: Sequence[Plane]
) -> tuple[int, int, int] | Missing:
    """Three slices in which a circle of `ROI_AREA_MM2` on the body's axis keeps off the endplates.

    They are the central ones where these do; else those next to them that do, or come closest to
    it: a body's centre may lie up to half a slice off the middle slice.

    Parameters
    ----------
    volume
        The scan.
    body
        Its centre and axis.
    ends
        The planes of its endplates.

    Returns
    -------
    tuple of int, or Missing
        As `central_slices`.
    """
    central = central_slices(volume, body.centre_lps_mm)
    if isinstance(central, Missing):
        return central
    start = volume.to_index(body.centre_lps_mm)
    slices_per_mm = float((volume.to_index(body.centre_lps_mm + body.axis) - start)[0])
    tilt_sine = float(np.sqrt(max(0.0, 1.0 - body.axis[2] ** 2)))
    wanted_mm = ENDPLATE_MARGIN_MM + np.sqrt(ROI_AREA_MM2 / np.pi) * tilt_sine

    def clearance_mm(shift: int) -> float:
        along = (np.array(central) + shift - start[0]) / slices_per_mm
        points = body.centre_lps_mm + along[:, None] * body.axis
        least = float(min(plane.height_mm(points).min() for plane in ends))
        return min(least, wanted_mm)

    reach = volume.slices_per_slab // 2
    stride = volume.slab_stride
    shifts = [
        shift
        for shift in sorted(range(-stride, stride + 1), key=abs)
        if central[0] + shift >= reach and central[2] + shift + reach < volume.shape[0]
    ]
    shift = max(shifts, key=clearance_mm)
    return central[0] + shift, central[1] + shift, central[2] + shift
