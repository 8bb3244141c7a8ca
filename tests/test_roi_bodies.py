"""The rear wall of a body is the first wall in front of the canal."""

import numpy as np
import pytest

from roi_extraction.builtin.bodies import _canal_front_mm

FORWARD = np.array([-1.0, 0.0])


@pytest.mark.parametrize("wall_mm", [-3.0, 2.0, 9.0])
@pytest.mark.parametrize("dark_mm", [0.0, 6.0], ids=["even", "dark behind dense bone"])
def test_front_wall_of_the_canal_is_where_bone_begins(wall_mm: float, dark_mm: float) -> None:
    rows = 60.0 - np.arange(100.0)
    line = np.where(rows < -9.0, 300.0, 10.0)
    line[rows >= wall_mm] = 150.0
    line[rows >= wall_mm + 3.0] = 70.0
    line[rows >= wall_mm + 3.0 + dark_mm] = 250.0
    image = np.repeat(line[:, None], 100, axis=1).astype(np.float32)
    found = _canal_front_mm(image, np.array([60.0, 50.0]), FORWARD, (1.0, 1.0))
    assert found == pytest.approx(wall_mm, abs=1.0)
