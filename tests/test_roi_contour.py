"""Closed contours of several bodies at once are those of each alone."""

import numpy as np

from roi_extraction.builtin.contour import (
    RAY_ANGLES,
    closed_contour,
    closed_contours,
)

RNG = np.random.default_rng(3)


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
