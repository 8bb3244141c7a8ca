import numpy as np
import pytest

from roi_extraction.anatomy import Anatomy
from roi_extraction.checks.proportions import BodyProportions, body_proportions
from roi_extraction.volume import CtVolume
from tests.roi_builders import anatomy_of, disk_mask, flat_volume, region_of


def proportions(width_mm: float, depth_mm: float, levels: int = 4) -> tuple[CtVolume, Anatomy]:
    volume = flat_volume()
    region = region_of(disk_mask(volume, 3.0, -5.0, (width_mm / 2, depth_mm / 2)))
    return volume, anatomy_of({f"L{k + 1}": region for k in range(levels)})


def told(volume: CtVolume, anatomy: Anatomy) -> BodyProportions:
    found = body_proportions(volume, anatomy)
    assert found is not None
    return found


def test_width_and_depth_are_the_ellipse_s_axes() -> None:
    found = told(*proportions(48.0, 36.0))
    assert found.width_mm == pytest.approx(48.0, abs=0.5)
    assert found.depth_mm == pytest.approx(36.0, abs=0.5)
    assert found.believable


@pytest.mark.parametrize(
    "axes", [(44.0, 50.0), (36.0, 46.0), (80.0, 60.0), (24.0, 18.0), (60.0, 30.0)], ids=str
)
def test_bodies_that_no_patient_has_are_not_believed(axes: tuple[float, float]) -> None:
    assert not told(*proportions(*axes)).believable


def test_wrong_row_spacing_shows_as_bodies_deeper_than_wide() -> None:
    volume, anatomy = proportions(47.0, 40.0)
    affine = volume.affine.copy()
    affine[:3, 1] *= 1.3
    found = told(CtVolume(volume.hu, affine, 3.0), anatomy)
    assert found.width_mm / found.depth_mm == pytest.approx(47 / 40 / 1.3, rel=0.02)
    assert not found.believable


def test_one_outlined_body_is_too_few() -> None:
    assert body_proportions(*proportions(48.0, 36.0, levels=1)) is None
    assert np.isfinite(told(*proportions(48.0, 36.0, levels=2)).width_mm)
