"""Compiled kernels give, bit for bit, what their plain numpy and scipy twins give."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage
from skimage.morphology import reconstruction

from roi_extraction.kernels import (
    best_closed_path,
    block_means,
    box_mean,
    canal_gain,
    columns_above,
    darker_ring,
    disc_means,
    distance_inside,
    ellipse_shares,
    enclosed_rays,
    gaussian_smoothed,
    interpolate_between,
    interpolate_grid,
    interpolate_plane,
    interpolate_planes,
    interpolate_volume,
    least_over_offsets,
    mean_of_slab,
    median_off_neighbours,
    mirror_likeness,
    rebuilt_below,
    sum_of_shifted,
)

RNG = np.random.default_rng(5)
SMALL = (7, 9, 11)


def _places(shape: tuple[int, ...], count: int) -> npt.NDArray[np.float64]:
    """Places in and around an array, among them its corners and whole numbers."""
    size = np.array(shape, np.float64)[:, None]
    anywhere = RNG.uniform(-1.5, size + 0.5, (len(shape), count))
    return np.concatenate(
        [anywhere, np.rint(anywhere), size - 1, np.zeros_like(size), size - 1 + 1e-9], axis=1
    )


@pytest.mark.parametrize("kind", [np.int16, np.float32])
@pytest.mark.parametrize("shape", [SMALL, (1, 9, 11), (7, 1, 1)])
def test_volume_is_interpolated_as_by_scipy(kind: type, shape: tuple[int, int, int]) -> None:
    values: npt.NDArray[Any] = RNG.normal(0.0, 400.0, shape).astype(kind)
    index = _places(shape, 2000)
    expected = ndimage.map_coordinates(values, index, np.float32, order=1, cval=-1024.0)
    np.testing.assert_array_equal(interpolate_volume(values, index, -1024.0), expected)


@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_planes_are_interpolated_as_each_of_their_places(kind: type) -> None:
    values: npt.NDArray[Any] = RNG.normal(0.0, 400.0, SMALL).astype(kind)
    starts, down, across = RNG.uniform(0.0, 7.0, (4, 3)), *RNG.normal(0.0, 1.0, (2, 4, 3))
    rows, columns = np.arange(-2.0, 4.1, 0.7), np.arange(-3.0, 3.1, 1.1)
    index = np.moveaxis(
        (starts[:, None] + rows[:, None] * down[:, None])[:, :, None]
        + (columns[:, None] * across[:, None])[:, None],
        -1,
        0,
    )
    found = interpolate_planes(values, starts, (rows, down), (columns, across), -1024.0)
    np.testing.assert_array_equal(found, interpolate_volume(values, index, -1024.0))
    assert (found == -1024).any()
    assert (found != -1024).any()


def test_ring_is_darker_as_by_numpy() -> None:
    images = RNG.normal(0.0, 60.0, (3, 20, 24)).astype(np.float32)
    images[1, :6] = -1024.0
    inside = RNG.normal(30.0, 10.0, (3, 9, 11)).astype(np.float32)
    offsets = RNG.integers(0, 11, (8, 2, 2))
    edge, seen = np.zeros_like(inside), np.ones(inside.shape, bool)
    for pair in offsets:
        near, far = (images[:, y : y + 9, x : x + 11] for y, x in pair)
        beyond = np.minimum(near, far)
        seen &= beyond > -1023.0
        edge += np.clip((inside - beyond - 15.0) / 45.0, 0, 1)
    found = darker_ring(images, inside, offsets, (15.0, 60.0), -1023.0)
    np.testing.assert_array_equal(found[0], edge)
    np.testing.assert_array_equal(found[1], seen)
    assert seen.any()
    assert not seen.all()


@pytest.mark.parametrize("outside", [None, -1024.0])
def test_plane_is_interpolated_as_by_scipy(outside: float | None) -> None:
    image = RNG.normal(0.0, 400.0, SMALL[1:]).astype(np.float32)
    rows, columns = _places(SMALL[1:], 2000)
    edge = {"mode": "nearest"} if outside is None else {"cval": outside}
    expected = ndimage.map_coordinates(
        np.clip(image, -100.0, 350.0), [rows, columns], order=1, **edge
    )
    found = interpolate_plane(image, rows, columns, outside=outside, limits=(-100.0, 350.0))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [SMALL[1:], (1, 5)])
def test_grid_is_interpolated_step_by_step(shape: tuple[int, int]) -> None:
    image = RNG.normal(0.0, 400.0, shape).astype(np.float32)
    at = np.arange(-1.0, 10.0, 0.35), np.arange(-2.0, 13.0, 0.55)
    corners = []
    for places, size in zip(at, shape, strict=True):
        inside = np.clip(places, 0, size - 1)
        low = np.minimum(np.floor(inside).astype(np.intp), max(0, size - 2))
        share = inside - low
        corners.append(((low, 1 - share), (np.minimum(low + 1, size - 1), share)))
    expected = np.zeros((at[0].size, at[1].size))
    for rows, down in corners[0]:
        for columns, across in corners[1]:
            expected += image[np.ix_(rows, columns)] * down[:, None] * across
    np.testing.assert_array_equal(interpolate_grid(image, *at), expected.astype(np.float32))


def test_plane_is_interpolated_in_single_precision_along_one_axis_after_the_other() -> None:
    values = RNG.normal(0.0, 400.0, SMALL[1:]).astype(np.float32)
    places = (np.arange(0.0, 9.0, 0.37), np.arange(-0.4, 11.0, 0.73))
    expected = values
    for axis, at in enumerate(places):
        last = values.shape[axis] - 1
        low = np.clip(np.floor(at).astype(np.intp), 0, last - 1)
        part = (at - low).astype(np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
        below, above = expected.take(low, axis), expected.take(low + 1, axis)
        expected = (above - below) * part + below
    np.testing.assert_array_equal(interpolate_between(values, *places), expected)


@pytest.mark.parametrize("lengths", [(1, 2, 2), (3, 3, 2), (2, 1, 4), (1, 1, 1)])
def test_means_of_blocks_are_taken_in_single_precision(lengths: tuple[int, int, int]) -> None:
    deep, high, wide = lengths
    slab = RNG.integers(-1024, 3000, (deep, 13, 17)).astype(np.int16)
    expected = slab.astype(np.float32).sum(axis=0, dtype=np.float32) / np.float32(deep)
    for axis, length in ((0, high), (1, wide)):
        along = np.moveaxis(expected, axis, 0)
        count = len(along) // length
        total = along[: count * length : length].copy()
        for step in range(1, length):
            total += along[step : count * length : length]
        expected = np.moveaxis(total / np.float32(length), 0, axis)
    found = block_means(slab, (13 // high, high), (17 // wide, wide))
    np.testing.assert_array_equal(found, expected)


def test_closed_paths_are_the_best_ones() -> None:
    gain = RNG.integers(-40, 40, (3, 12, 15)).astype(np.float64)  # whole numbers: many ties
    gain[1, 4:7, 6:] = -1e6
    price = 12.0 * np.arange(-2, 3) ** 2
    padded = np.pad(gain, ((0, 0), (0, 0), (2, 2)), constant_values=-np.inf)
    for body, found in enumerate(best_closed_path(gain, price)):
        total = padded[body]
        for ray in range(1, 12):
            came = np.stack([total[ray - 1, k : k + 15] - price[k] for k in range(5)])
            total[ray, 2:-2] += came.max(axis=0)
        path = [int(total[-1, 2:-2].argmax())]
        for ray in range(10, -1, -1):
            path.append(path[-1] - 2 + int((total[ray, path[-1] : path[-1] + 5] - price).argmax()))
        assert found.tolist() == path[::-1]


def test_parts_are_as_like_their_mirror_images_as_they_correlate() -> None:
    planes = RNG.normal(50.0, 80.0, (4, 6, 13)).astype(np.float32)
    found = mirror_likeness(planes, np.array([0, 2, 4]), 9)
    for first, by_plane in zip((0, 2, 4), found, strict=True):
        for plane, likeness in zip(planes[:, :, first : first + 9], by_plane, strict=True):
            expected = np.corrcoef(plane.ravel(), plane[:, ::-1].ravel())[0, 1]
            assert likeness == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("angle", [0.0, 0.7, -2.0])
def test_pixels_are_covered_by_the_share_of_their_points_in_the_ellipse(angle: float) -> None:
    low, size, fine = np.array([3, 5]), np.array([12, 9]), np.array([8, 5])
    spacing, centre, semi_axes = np.array([0.78, 0.5]), (8.3, 9.1), (4.1, 1.7)
    axes = [low[k] - 0.5 + (np.arange(size[k] * fine[k]) + 0.5) / fine[k] for k in (0, 1)]
    y = ((axes[0] - centre[0]) * spacing[0])[:, None]
    x = ((axes[1] - centre[1]) * spacing[1])[None, :]
    along = (x * np.cos(angle) + y * np.sin(angle)) / semi_axes[0]
    across = (y * np.cos(angle) - x * np.sin(angle)) / semi_axes[1]
    inside = along**2 + across**2 <= 1.0
    expected = inside.reshape(size[0], fine[0], size[1], fine[1]).mean(axis=(1, 3))
    found = ellipse_shares((low, size, fine), spacing, centre, semi_axes, angle)
    np.testing.assert_array_equal(found, expected)
    assert 0 < (found == 1).sum() < found.size


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_distance_is_the_euclidean_one(share: float) -> None:
    mask = RNG.random((31, 43)) < share
    mask[5, 7] = False
    np.testing.assert_array_equal(distance_inside(mask), ndimage.distance_transform_edt(mask))


def test_least_over_offsets_is_the_least_of_shifted_boxes() -> None:
    values = RNG.normal(0.0, 5.0, (20, 30))
    low, offsets = np.array([4, 6]), RNG.integers(-4, 5, (9, 2))
    boxes = [values[4 + i : 14 + i, 6 + j : 21 + j] for i, j in offsets]
    found = least_over_offsets(values, low, (10, 15), offsets)
    np.testing.assert_array_equal(found, np.minimum.reduce(boxes))


def test_gain_of_the_canal_is_that_of_the_best_move() -> None:
    gain = RNG.normal(-0.2, 1.0, SMALL).astype(np.float32)
    gain[:, [0, 1, -2, -1]] = gain[:, :, [0, -1]] = -1e9
    moves = [(dy, dx) for dy in range(-2, 3) for dx in (-1, 0, 1)]
    price = np.array([0.1 * dy * dy + 0.3 * dx * dx for dy, dx in moves], np.float32)
    expected = gain.copy()
    for z in range(1, len(gain)):
        come_by = np.zeros((5, 9), np.float32)
        for (dy, dx), cost in zip(moves, price, strict=True):
            there = expected[z - 1, 2 + dy : 7 + dy, 1 + dx : 10 + dx]
            np.maximum(come_by, there - cost, out=come_by)
        expected[z, 2:-2, 1:-1] += come_by
    np.testing.assert_array_equal(canal_gain(gain, np.array(moves), price), expected)


def test_rays_that_meet_bone_are_counted_in_every_slice() -> None:
    reach, slices = 2, 11
    bone = RNG.random((2, slices, 9, 12)) < 0.1  # as it is, and shifted
    packed = np.zeros((2, 2, 9, 12), np.uint8)
    for z in range(slices):
        packed[:, z // 8] |= bone[:, z].astype(np.uint8) << np.uint8(z % 8)
    rays = np.stack(
        [RNG.integers(0, 2, (24, 3)), *RNG.integers(-reach, reach + 1, (2, 24, 3))], axis=-1
    )
    expected = np.zeros((slices, 5, 8), np.uint8)
    for ray in rays:
        met = np.zeros_like(expected, dtype=bool)
        for shift, dy, dx in ray:
            met |= bone[shift, :, reach + dy : 7 + dy, reach + dx : 10 + dx]
        expected += met
    np.testing.assert_array_equal(enclosed_rays(packed, rays, reach, slices), expected)


def test_read_only_arrays_will_do() -> None:
    values = RNG.normal(0.0, 400.0, SMALL).astype(np.int16)
    values.setflags(write=False)
    assert interpolate_volume(values, np.zeros((3, 1)), 0.0) == values[0, 0, 0]


@pytest.mark.parametrize("count", range(2, 8))
def test_slab_is_averaged_as_by_numpy(count: int) -> None:
    slab = RNG.integers(-1024, 32767, (2 * (count // 2) + 1, 9, 11)).astype(np.int16)
    expected = slab[0].astype(np.float32)
    expected += slab[-1]
    if count % 2 == 0:
        expected *= np.float32(0.5)
    for inner in slab[1:-1]:
        expected += inner
    expected *= np.float32(1.0 / count)
    np.testing.assert_array_equal(mean_of_slab(slab, count), expected)


@pytest.mark.parametrize("size", [(40, 52), (1, 1), (3, 2)])
def test_median_off_the_neighbours_is_that_of_numpy(size: tuple[int, int]) -> None:
    slab = RNG.integers(-40, 290, (3, *size)).astype(np.int16)
    slab[:, 1:, 1:] += RNG.integers(-100, 100, (3, size[0] - 1, size[1] - 1)).astype(np.int16)
    below, here, above = slab.astype(np.float32)
    around = (below + above) / 2
    compared = (here > -50) & (here < 300) & (around > -50) & (around < 300)
    expected = float(np.median((here - around)[compared]))
    assert median_off_neighbours(slab[0], slab[1], slab[2], (-50, 300)) == expected
    assert median_off_neighbours(slab[0], slab[1], slab[2], (400, 401)) == 0.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(23, 31), (5, 17, 12), (3, 1, 4), (9,)])
def test_image_is_filtered_as_by_scipy(shape: tuple[int, ...], dtype: type) -> None:
    image: npt.NDArray[Any] = RNG.normal(0.0, 300.0, shape).astype(dtype)
    sigma = np.linspace(0.0, 2.3, len(shape) + 1)[1:] * (np.arange(len(shape)) != 1)
    for mode in ("reflect", "nearest"):
        expected = ndimage.gaussian_filter(image, sigma, mode=mode)
        smooth = gaussian_smoothed(image, sigma, mode)
        assert smooth.dtype == dtype
        np.testing.assert_array_equal(smooth, expected)
    for size in (1, 2, 3, 14):
        np.testing.assert_array_equal(box_mean(image, size), ndimage.uniform_filter(image, size))


@pytest.mark.parametrize("radius", [0.5, 3.0, 5.5])
def test_means_of_discs_are_those_of_a_convolution(radius: float) -> None:
    images = RNG.normal(50.0, 300.0, (2, 17, 23)).astype(np.float32)
    reach = int(radius)
    across = np.arange(-reach, reach + 1)
    disc = np.hypot(across[:, None], across[None]) <= radius
    inner = (slice(None), slice(reach, 17 - reach), slice(reach, 23 - reach))
    for found, values in zip(
        disc_means(images, disc.sum(axis=1) // 2),
        (images.astype(np.float64), images.astype(np.float64) ** 2),
        strict=True,
    ):
        expected = ndimage.convolve(values, disc[None] / disc.sum())[inner]
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(4, 30, 7), (3, 25, 1), (2, 1, 5)])
def test_shifted_layers_are_summed_as_by_numpy(shape: tuple[int, int, int]) -> None:
    layers = RNG.normal(0.0, 100.0, shape)
    shifts = np.linspace(-3.7, 2.0, shape[0])
    expected = np.zeros(shape[1:])
    for layer, shift in zip(layers, shifts, strict=True):
        places = np.clip(np.arange(shape[1]) + shift, 0, shape[1] - 1)
        low = np.minimum(places.astype(int), max(0, shape[1] - 2))
        part = (places - low)[:, None]
        expected += (1 - part) * layer[low] + part * layer[np.minimum(low + 1, shape[1] - 1)]
    np.testing.assert_array_equal(sum_of_shifted(layers, shifts), expected)


def test_columns_are_counted_in_the_mean_of_25_places() -> None:
    image = RNG.normal(-200.0, 400.0, (19, 23)).astype(np.float32)
    padded = np.pad(image, 2, mode="symmetric")
    mean = sum_in_order([
        sum_in_order([padded[y : y + 19] for y in range(5)])[:, x : x + 23] for x in range(5)
    ]) / np.float32(25)  # fmt: skip
    np.testing.assert_array_equal(columns_above(image, -200.0), (mean > -200.0).sum(axis=0))


def sum_in_order(terms: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    total = terms[0] + terms[1]
    for term in terms[2:]:
        total = total + term
    return total


@pytest.mark.parametrize("height", [0.05, 0.5, 3.0])
@pytest.mark.parametrize("shape", [(40, 50), (1, 30), (30, 1)])
def test_image_is_rebuilt_as_by_scikit_image(shape: tuple[int, int], height: float) -> None:
    limit = ndimage.gaussian_filter(RNG.normal(0.0, 10.0, shape), 1.5)
    np.testing.assert_array_equal(
        rebuilt_below(limit - height, limit), reconstruction(limit - height, limit)
    )
