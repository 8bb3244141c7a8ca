"""How much bone a voxel holds: a ramp of HU that also serves osteoporotic bone."""

import numpy as np
import numpy.typing as npt

__all__ = ["BONE_RAMP_HU", "bone_share"]

BONE_RAMP_HU = (20.0, 120.0)
"""HU counted as no bone and as full bone, with a ramp between: osteoporotic bone is dark (chosen on
the development scans, docs/roi.md)."""


def bone_share(hu: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Share of bone in each voxel, 0 to 1.

    Parameters
    ----------
    hu
        float32, any shape, HU.

    Returns
    -------
    share
        float32, the same shape.

    Examples
    --------
    >>> bone_share(np.array([-50.0, 70.0, 300.0], np.float32)).tolist()
    [0.0, 0.5, 1.0]
    """
    low, high = BONE_RAMP_HU
    share = hu - low
    share /= high - low
    np.maximum(share, 0, out=share)
    return np.minimum(share, 1, out=share).astype(np.float32, copy=False)
