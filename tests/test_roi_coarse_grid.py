"""The coarse grid and the canal's walls on it, against plain slow ways to find them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from roi_extraction.builtin.canal import find_canal
from roi_extraction.enclosure import RAY_MM, enclosed_share
from roi_extraction.errors import SpineNotFound
from roi_extraction.grid import GRID_MM, OUTSIDE_HU, coarse_grid
from roi_extraction.volume import CtVolume


def volume(
    spacing_mm: tuple[float, float, float], *, sheared: bool = False, kind: type = np.int16
) -> CtVolume:
    """Noise of bone and air: no two voxels are alike."""
    noise = np.random.default_rng(5).integers(-1024, 3000, (23, 37, 41))
    hu: npt.NDArray[Any] = noise.astype(kind)
    affine = np.eye(4)
    affine[:3, :3] = np.diag(spacing_mm[::-1])[:, ::-1]
    affine[:3, 3] = (-17.3, 4.1, 120.7)
    if sheared:
        affine[1, 0] = 0.4
    return CtVolume(hu, affine, spacing_mm[0])


@pytest.mark.parametrize("kind", [np.int16, np.float32])
@pytest.mark.parametrize("sheared", [False, True], ids=["upright", "sheared"])
@pytest.mark.parametrize(
    "spacing_mm", [(3.0, 0.7, 0.7), (1.0, 0.6, 0.9), (0.5, 1.4, 2.1), (5.0, 2.0, 2.0)], ids=str
)
def test_coarse_grid_is_the_linear_interpolation_of_block_means(
    spacing_mm: tuple[float, float, float], sheared: bool, kind: type
) -> None:
    scan = volume(spacing_mm, sheared=sheared, kind=kind)
    grid = coarse_grid(scan)
    factors = [max(1, int(GRID_MM / spacing + 0.01)) for spacing in scan.spacing_mm]
    kept = tuple(slice(0, n // f * f) for n, f in zip(scan.shape, factors, strict=True))
    blocks = scan.hu[kept].astype(np.float64)
    for axis, factor in enumerate(factors):
        shape = [*blocks.shape[:axis], -1, factor, *blocks.shape[axis + 1 :]]
        blocks = blocks.reshape(shape).mean(axis=axis + 1)
    points = grid.to_lps(np.moveaxis(np.indices(grid.hu.shape), 0, -1))
    index = (scan.to_index(points) - (np.array(factors) - 1) / 2) / factors
    expected = ndimage.map_coordinates(blocks, np.moveaxis(index, -1, 0), order=1, mode="nearest")
    inside = ((index > 1e-6) & (index < np.array(blocks.shape) - 1 - 1e-6)).all(axis=-1)
    outside = ((index < -1e-6) | (index > np.array(blocks.shape) - 1 + 1e-6)).any(axis=-1)
    assert inside.any()
    np.testing.assert_allclose(grid.hu[inside], expected[inside], atol=2e-3)
    assert (grid.hu[outside] == OUTSIDE_HU).all()


def shares_ray_by_ray(bone: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """The share of rays that meet bone, one voxel after the other."""
    distances = np.arange(RAY_MM[0], RAY_MM[1] + 0.1, GRID_MM) / GRID_MM
    counts = np.zeros((2, *bone.shape), int)
    beside = ndimage.binary_dilation(bone, np.ones((1, 3, 3), bool))
    for which, slope in enumerate(np.tan(np.deg2rad((0.0, 35.0)))):
        for angle in np.arange(24) * 2 * np.pi / 24:
            for at in np.argwhere(~beside):
                for distance in distances:
                    dy, dx = round(distance * np.sin(angle)), round(distance * np.cos(angle))
                    place = at + np.array((round(dy * slope), dy, dx))
                    seen = (place >= 0).all() and (place < bone.shape).all()
                    if seen and bone[tuple(place)]:
                        counts[(which, *at)] += 1
                        break
    return np.asarray(counts.max(axis=0) / 24, np.float32)


@pytest.mark.parametrize("slices", [1, 8, 11])
def test_enclosure_on_packed_bits_is_that_of_single_rays(slices: int) -> None:
    bone = np.random.default_rng(slices).random((slices, 9, 10)) < 0.08
    np.testing.assert_array_equal(enclosed_share([bone]), shares_ray_by_ray(bone))


def test_no_canal_is_followed_in_even_tissue() -> None:
    hu = np.full((60, 60, 60), 40, np.int16)
    even = CtVolume(hu, np.diag([2.0, 2.0, 2.0, 1.0])[[2, 1, 0, 3]], 2.0)
    with pytest.raises(SpineNotFound, match="no vertebral canal"):
        find_canal(coarse_grid(even))
