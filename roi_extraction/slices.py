"""The three central slices in which a site is measured."""

import numpy.typing as npt

from roi_extraction.anatomy import Missing, MissingReason
from roi_extraction.volume import CtVolume

__all__ = ["central_slices"]


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
