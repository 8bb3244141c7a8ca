"""Builders of CT volumes for tests: from NIfTI files, and derived from other volumes."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from roi_extraction.volume import CtVolume

__all__ = ["load_nifti_labels", "load_nifti_volume"]

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def _canonical(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """The array as (slice, row, column) to head, posterior, left, and its affine to LPS mm."""
    image: Any = nib.as_closest_canonical(nib.load(path))  # type: ignore[attr-defined]
    array = np.asarray(image.dataobj).transpose(2, 1, 0)[:, ::-1, ::-1]
    to_lps = RAS_TO_LPS @ image.affine
    flip = np.zeros((4, 4))
    flip[2, 0] = 1.0
    flip[1, 1], flip[1, 3] = -1.0, array.shape[1] - 1
    flip[0, 2], flip[0, 3] = -1.0, array.shape[2] - 1
    flip[3, 3] = 1.0
    return array, to_lps @ flip


def load_nifti_volume(path: Path) -> CtVolume:
    """A NIfTI CT as a volume; its slice thickness is taken to be its slice step."""
    array, affine = _canonical(path)
    hu = np.clip(np.round(array), -1024, 32767).astype(np.int16)
    volume = CtVolume(np.ascontiguousarray(hu), affine, 1.0)
    return CtVolume(volume.hu, affine, volume.slice_step_mm)


def load_nifti_labels(path: Path, like: CtVolume) -> npt.NDArray[np.uint8]:
    """A NIfTI label map on the grid of ``like``, shape (slices, rows, columns)."""
    array, affine = _canonical(path)
    if array.shape != like.shape or not np.allclose(affine, like.affine, atol=0.05):
        raise ValueError(f"{path.name} does not lie on the volume's grid")
    return np.ascontiguousarray(np.round(array).astype(np.uint8))
