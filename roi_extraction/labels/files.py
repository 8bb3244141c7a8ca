"""Label maps from files, brought to a scan's grid."""

import gzip
import math
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy

from roi_extraction.errors import InvalidSegmentation, InvalidVolume
from roi_extraction.volume import CtVolume

__all__ = ["load_label_map", "nifti_image", "resample_labels", "save_nifti"]

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage

LabelArray = npt.NDArray[np.integer[Any]]

NIFTI1_HEADER_BYTES, NIFTI2_HEADER_BYTES = 348, 540
"""Lengths of the headers of NIfTI-1 and NIfTI-2, which they begin with."""

MOST_VOXELS_RATIO = 8
"""Most voxels of a label map for each voxel of the scan: slices of 5 mm labelled at 0.7 mm."""

MOST_OFFSET_BYTES = 1 << 20
"""Farthest place at which the voxels may begin; extensions of the header take a few kB."""

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
        _check_claims(path, MOST_VOXELS_RATIO * volume.hu.size)
        image = nifti_image(path)
        array = np.asanyarray(image.dataobj)
    except (ImageFileError, OSError, EOFError, ValueError, zlib.error) as error:
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


def _check_claims(path: Path, most_voxels: int) -> None:
    """Check what a NIfTI header claims, before anything of that size is made or unpacked.

    Raises
    ------
    InvalidSegmentation
        More voxels than ``most_voxels``, or they begin far behind the header.
    OSError, EOFError, zlib.error, nibabel.filebasedimages.ImageFileError
        The file is not NIfTI or cannot be unpacked.
    """
    from nibabel.filebasedimages import ImageFileError
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    packed = path.name.lower().endswith(".gz")
    with gzip.open(path) if packed else path.open("rb") as file:
        start = file.read(NIFTI2_HEADER_BYTES)
    kind, size = Nifti1Header, NIFTI1_HEADER_BYTES
    if NIFTI2_HEADER_BYTES in (
        int.from_bytes(start[:4], "little"),
        int.from_bytes(start[:4], "big"),
    ):
        kind, size = Nifti2Header, NIFTI2_HEADER_BYTES
    if len(start) < size:
        raise ImageFileError("it ends within its header")
    header = kind(start[:size], check=False)
    voxels = math.prod(int(length) for length in header.get_data_shape())
    if not 0 < voxels <= most_voxels:
        raise InvalidSegmentation(
            f"{path.name} claims {voxels} voxels; at most {most_voxels} fit the scan, "
            f"{MOST_VOXELS_RATIO} times as many as it has"
        )
    if not 0 <= float(header["vox_offset"]) <= MOST_OFFSET_BYTES:
        raise InvalidSegmentation(f"the voxels of {path.name} begin too far behind its header")


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
    resampled = scipy.ndimage.affine_transform(
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
