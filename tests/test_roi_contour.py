"""Closed contours: the best path, and several bodies at once as each alone."""

import numpy as np
import numpy.typing as npt

from roi_extraction.builtin.contour import (
    BEND_PRICE_HU,
    MAX_BEND,
    RAY_ANGLES,
    _around,
    closed_contour,
    closed_contours,
)

RNG = np.random.default_rng(3)


def path_step_by_step(gain: npt.NDArray[np.float64]) -> list[int]:
    """The best path through the rows of an array, one place after the other."""
    best, came = list(gain[0]), []
    for row in gain[1:]:
        options = [
            [
                (best[k] - BEND_PRICE_HU * (k - at) ** 2, -k)
                for k in range(max(0, at - MAX_BEND), min(len(row), at + MAX_BEND + 1))
            ]
            for at in range(len(row))
        ]
        came.append([-max(option)[1] for option in options])
        best = [max(option)[0] + value for option, value in zip(options, row, strict=True)]
    path = [int(np.argmax(best))]
    for back in came[::-1]:
        path.append(back[path[-1]])
    return path[::-1]


def test_paths_around_several_bodies_are_the_best_ones() -> None:
    gain = RNG.normal(0.0, 40.0, (3, 12, 15))
    gain[1, 4:7, 6:] = -1e6
    assert _around(gain).tolist() == [path_step_by_step(each) for each in gain]


def test_contours_of_several_bodies_are_those_of_each_alone() -> None:
    rows, columns = np.ogrid[:100, :110]
    images, centres = [], [(50.0, 55.0), (48.5, 53.0), (55.0, 50.0)]
    for (row, column), deep in zip(centres, (18.0, 22.0, 26.0), strict=True):
        inside = np.hypot((rows - row) / deep, (columns - column) / 24.0) <= 1.0
        image = np.where(inside, 150.0, 20.0) + RNG.normal(0.0, 25.0, inside.shape)
        images.append(image.astype(np.float32))
    farthest = np.full((3, len(RAY_ANGLES)), 38.0)
    usual = np.full((3, len(RAY_ANGLES)), 23.0)
    radius, step = closed_contours(images, centres, (1.0, 1.0), farthest, usual, 4.0)
    for k in range(3):
        alone = closed_contour(images[k], centres[k], (1.0, 1.0), farthest[k], usual[k], 4.0)
        np.testing.assert_array_equal(radius[k], alone[0])
        np.testing.assert_array_equal(step[k], alone[1])
    np.testing.assert_allclose(radius.mean(axis=1), (21.0, 23.0, 25.0), atol=1.0)
