"""Label maps from files, brought to a scan's grid."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roi_extraction.errors import InvalidSegmentation, InvalidVolume
from roi_extraction.volume import CtVolume

__all__ = ["load_label_map", "nifti_image", "resample_labels", "save_nifti"]

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage

LabelArray = npt.NDArray[np.integer[Any]]

LEAST_OVERLAP = 0.5
"""Share of the labels' own volume that must fall into the scan."""


def nifti_image(path: Path) -> "SpatialImage":
    """Open a NIfTI file without reading its voxels.

    Raises
    ------
    nibabel.filebasedimages.ImageFileError, OSError
        It cannot be read, or holds no image in space.
    """
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import SpatialImage

    image = nibabel.load(path)
    if not isinstance(image, SpatialImage):
        raise ImageFileError(f"{path.name} holds no image in space")
    return image


def load_label_map(path: Path, volume: CtVolume) -> LabelArray:
    """Read a label map from NIfTI and bring it to the volume's grid by the nearest label.

    Parameters
    ----------
    path
        A ``.nii`` or ``.nii.gz`` file; its RAS millimetres are turned to LPS.
    volume
        The scan.

    Returns
    -------
    labels
        int16, shape of the volume.

    Raises
    ------
    InvalidSegmentation
        The file is no label map, or lies elsewhere than the scan.
    """
    from nibabel.filebasedimages import ImageFileError

    try:
        image = nifti_image(path)
        array = np.asanyarray(image.dataobj)
    except (ImageFileError, OSError, EOFError, ValueError) as error:
        kind = type(error).__name__  # its text names the file with all its folders
        raise InvalidSegmentation(f"{path.name} is not a readable NIfTI file ({kind})") from error
    array = np.squeeze(array)
    if array.ndim != 3:
        raise InvalidSegmentation(f"{path.name} has shape {array.shape}; a label map is 3-D")
    if not np.isfinite(array).all() or np.any(array != np.round(array)) or array.min() < 0:
        raise InvalidSegmentation(f"{path.name} holds values that are no label numbers")
    if array.max() > np.iinfo(np.int16).max:
        raise InvalidSegmentation(f"{path.name} holds the label {array.max():.0f}; give v2 labels")
    labels = array.astype(np.int16)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(image.affine, dtype=np.float64)
    return resample_labels(labels, affine, volume, path.name)


def resample_labels(
    labels: LabelArray, affine: npt.NDArray[np.float64], volume: CtVolume, name: str
) -> LabelArray:
    """Bring labels to the volume's grid by the nearest label.

    Parameters
    ----------
    labels
        Integer, shape (i, j, k).
    affine
        float64, shape (4, 4): homogeneous (i, j, k, 1) to LPS mm.
    volume
        The scan.
    name
        What to call the labels in an error.

    Returns
    -------
    labels
        The dtype of ``labels``, shape of the volume.

    Raises
    ------
    InvalidSegmentation
        Nothing is labelled, or most of it lies outside the scan.
    """
    if abs(np.linalg.det(affine[:3, :3])) < 1e-6:
        raise InvalidVolume(f"{name} has no usable affine")
    to_map = np.linalg.inv(affine) @ volume.affine
    # a border of background, or rounding loses the outer half of the outermost voxels
    resampled = ndimage.affine_transform(
        np.pad(labels, 1), to_map[:3, :3], to_map[:3, 3] + 1.0, volume.shape, order=0, cval=0
    )
    own_mm3 = float((labels > 0).sum()) * abs(np.linalg.det(affine[:3, :3]))
    kept_mm3 = float((resampled > 0).sum()) * abs(np.linalg.det(volume.affine[:3, :3]))
    if own_mm3 == 0:
        raise InvalidSegmentation(f"{name} is empty")
    if kept_mm3 < LEAST_OVERLAP * own_mm3:
        raise InvalidSegmentation(
            f"only {kept_mm3 / own_mm3:.0%} of {name} lies inside the scan; it belongs to"
            " another series, or its orientation was lost"
        )
    return np.asarray(resampled)


def save_nifti(path: Path, array: npt.NDArray[Any], volume: CtVolume) -> None:
    """Write an array of the volume's shape as NIfTI: (column, row, slice), RAS millimetres."""
    import nibabel

    swap = np.zeros((4, 4))
    swap[0, 2] = swap[1, 1] = swap[2, 0] = swap[3, 3] = 1.0
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine @ swap
    image = nibabel.Nifti1Image(np.ascontiguousarray(array.transpose(2, 1, 0)), affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
