"""Builders of CT volumes for tests: from NIfTI files, and derived from other volumes."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roi_extraction.volume import CtVolume

__all__ = [
    "cropped",
    "fat_infiltrated",
    "gantry_tilted",
    "load_nifti_labels",
    "load_nifti_volume",
    "lowered_bone",
    "noisy",
    "resampled",
    "restacked",
    "turn",
    "with_screw",
]

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def _canonical(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """The array as (slice, row, column) to head, posterior, left, and its affine to LPS mm."""
    image: Any = nib.as_closest_canonical(nib.load(path))
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


def resampled(
    volume: CtVolume,
    labels: npt.NDArray[np.uint8] | None = None,
    *,
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    slice_mm: float | None = None,
    pixel_mm: float | None = None,
) -> tuple[CtVolume, npt.NDArray[np.uint8] | None]:
    """The patient turned about the LPS axes through the volume's centre, on a new axial grid.

    A slice coarser than the source's is averaged over its thickness. Labels go by the nearest.
    """
    row_mm = pixel_mm or float(volume.spacing_mm[1])
    step_mm = slice_mm or volume.slice_step_mm
    extent = np.array(volume.shape) * volume.spacing_mm
    shape = tuple(int(n) for n in np.floor(extent / (step_mm, row_mm, row_mm)))
    centre = volume.to_lps((np.array(volume.shape) - 1) / 2)
    affine = np.eye(4)
    affine[:3, :3] = np.diag((row_mm, row_mm, step_mm)) @ np.eye(3)[::-1]
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    moved = turn(volume, rotation_deg, shift_mm)
    to_source = np.linalg.inv(volume.affine) @ np.linalg.inv(moved) @ affine
    source = volume.hu.astype(np.float32)
    if step_mm > 1.3 * volume.slice_step_mm:
        size = round(step_mm / volume.slice_step_mm)
        source = ndimage.uniform_filter1d(source, size, axis=0, mode="nearest")
    hu = ndimage.affine_transform(
        source, to_source[:3, :3], to_source[:3, 3], shape, order=1, cval=-1024.0
    )
    turned = None
    if labels is not None:
        turned = ndimage.affine_transform(
            labels, to_source[:3, :3], to_source[:3, 3], shape, order=0, cval=0
        )
    return CtVolume(np.round(hu).astype(np.int16), affine, step_mm), turned


def turn(
    volume: CtVolume,
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> npt.NDArray[np.float64]:
    """The 4 x 4 matrix that turns LPS points about the volume's centre, then shifts them."""
    centre = volume.to_lps((np.array(volume.shape) - 1) / 2)
    x, y, z = np.deg2rad(rotation_deg)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = about_x @ about_y @ about_z
    matrix[:3, 3] = centre + shift_mm - matrix[:3, :3] @ centre
    return matrix


def gantry_tilted(
    volume: CtVolume, labels: npt.NDArray[np.uint8] | None, degrees: float
) -> tuple[CtVolume, npt.NDArray[np.uint8] | None]:
    """The same patient from a gantry tilted about the left-right axis; the table moves along z.

    With a positive angle the slices' posterior side lies nearer to the feet. The volume must lie
    along the LPS axes.
    """
    angle = np.deg2rad(degrees)
    affine = volume.affine.copy()
    affine[:3, 1] = volume.spacing_mm[1] * np.array([0.0, np.cos(angle), -np.sin(angle)])
    middle = (np.array(volume.shape) - 1) / 2
    affine[:3, 3] += volume.to_lps(middle) - (affine[:3, :3] @ middle + affine[:3, 3])
    to_source = np.linalg.inv(volume.affine) @ affine
    hu = ndimage.affine_transform(
        volume.hu.astype(np.float32), to_source[:3, :3], to_source[:3, 3], order=1, cval=-1024.0
    )
    tilted = None
    if labels is not None:
        tilted = ndimage.affine_transform(
            labels, to_source[:3, :3], to_source[:3, 3], order=0, cval=0
        )
    thickness_mm = volume.slice_thickness_mm * float(np.cos(angle))
    return CtVolume(np.round(hu).astype(np.int16), affine, thickness_mm), tilted


def noisy(volume: CtVolume, sd_hu: float, seed: int) -> CtVolume:
    """The volume with white noise added."""
    noise = np.random.default_rng(seed).normal(0.0, sd_hu, volume.shape)
    hu = np.clip(np.round(volume.hu + noise), -1024, 32767).astype(np.int16)
    return CtVolume(hu, volume.affine, volume.slice_thickness_mm)


def lowered_bone(volume: CtVolume, bone: npt.NDArray[np.bool_], by_hu: float) -> CtVolume:
    """The volume with the inside of the labelled bone (its shell kept) made darker."""
    depth = ndimage.distance_transform_edt(bone, sampling=volume.spacing_mm)
    weight = np.clip((depth - 3.0) / 2.0, 0.0, 1.0)
    # labels of the sacrum hold its canal: what is not bone stays
    weight *= np.clip(volume.hu / 60.0, 0.0, 1.0)
    hu = np.round(volume.hu - by_hu * weight).astype(np.int16)
    return CtVolume(hu, volume.affine, volume.slice_thickness_mm)


def fat_infiltrated(
    volume: CtVolume, muscle: npt.NDArray[np.bool_], share: float, seed: int
) -> CtVolume:
    """The volume with streaks of fat (-90 HU) in a given share of the labelled muscle."""
    rng = np.random.default_rng(seed)
    sigma = 3.0 / volume.spacing_mm
    field = ndimage.gaussian_filter(rng.standard_normal(volume.shape), sigma)
    limit = np.quantile(field[muscle], share)
    streak = np.clip((limit - field) / (0.3 * field.std()) + 0.5, 0, 1) * muscle
    hu = volume.hu + streak * (-90.0 - volume.hu)
    return CtVolume(np.round(hu).astype(np.int16), volume.affine, volume.slice_thickness_mm)


def with_screw(
    volume: CtVolume,
    start_lps_mm: npt.NDArray[np.float64],
    end_lps_mm: npt.NDArray[np.float64],
    radius_mm: float = 3.0,
) -> CtVolume:
    """The volume with a metal rod (3000 HU) between two points, and streaks across it."""
    index = np.stack(list(np.indices(volume.shape)), axis=-1)
    points = volume.to_lps(index)
    along = end_lps_mm - start_lps_mm
    length = float(np.linalg.norm(along))
    along = along / length
    s = np.clip((points - start_lps_mm) @ along, 0, length)
    away = np.linalg.norm(points - start_lps_mm - s[..., None] * along, axis=-1)
    share = np.clip((radius_mm - away) / float(volume.spacing_mm.min()) + 0.5, 0, 1)
    angle = np.arctan2(points[..., 1] - start_lps_mm[1], points[..., 0] - start_lps_mm[0])
    near = np.abs((points - start_lps_mm - s[..., None] * along)[..., 2]) < radius_mm
    streak = 120.0 * np.cos(9 * angle) * np.exp(-away / 25.0) * near
    hu = volume.hu + streak + share * (3000.0 - volume.hu)
    hu = np.clip(np.round(hu), -1024, 3071).astype(np.int16)
    return CtVolume(hu, volume.affine, volume.slice_thickness_mm)


def cropped(
    volume: CtVolume,
    slices: slice = slice(None),
    rows: slice = slice(None),
    columns: slice = slice(None),
) -> CtVolume:
    """A part of the volume, in its own place."""
    kept = (slices, rows, columns)
    first = [s.indices(n)[0] for s, n in zip(kept, volume.shape, strict=True)]
    affine = volume.affine.copy()
    affine[:3, 3] = volume.to_lps(first)
    return CtVolume(np.ascontiguousarray(volume.hu[kept]), affine, volume.slice_thickness_mm)


def restacked(
    volume: CtVolume,
    lower_lps_mm: npt.NDArray[np.float64],
    upper_lps_mm: npt.NDArray[np.float64],
    *,
    doubled: bool,
) -> CtVolume:
    """The volume with the part between two points cut out, or there twice.

    What lies above is moved so that both points come to lie at one place; between two discs'
    centres this takes a vertebra away, or adds one.
    """
    low, high = volume.to_index(lower_lps_mm), volume.to_index(upper_lps_mm)
    first, last = round(float(low[0])), round(float(high[0]))
    aside = (high - low)[1:]
    below, above = (last, first) if doubled else (first, last)
    moved = [
        ndimage.shift(volume.hu[k], aside if doubled else -aside, order=1, mode="nearest")
        for k in range(above, volume.shape[0])
    ]
    hu = np.concatenate([volume.hu[:below], np.array(moved)]).astype(np.int16)
    return CtVolume(hu, volume.affine, volume.slice_thickness_mm)
