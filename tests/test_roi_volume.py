import numpy as np
import pytest

from roi_extraction.errors import InvalidVolume
from roi_extraction.sites import SITES, Muscle, Side
from roi_extraction.volume import CtVolume


def volume(step_mm: float, thickness_mm: float, count: int = 9) -> CtVolume:
    hu = (np.arange(count, dtype=np.int16) ** 2)[:, None, None] * np.ones((1, 4, 5), np.int16)
    affine = np.array([[0, 0, 0.5, -7], [0, 0.6, 0, 3], [step_mm, 0, 0, 11], [0, 0, 0, 1.0]])
    return CtVolume(hu, affine, thickness_mm)


@pytest.mark.parametrize(
    ("step_mm", "thickness_mm", "count"),
    [
        (1.0, 1.0, 3),
        (1.25, 1.25, 2),
        (3.0, 3.0, 1),
        (5.0, 5.0, 1),
        (2.0, 3.0, 1),
        (0.625, 0.625, 5),
    ],
)
def test_thin_slices_are_averaged_to_about_three_millimetres(
    step_mm: float, thickness_mm: float, count: int
) -> None:
    assert volume(step_mm, thickness_mm).slices_per_slab == count
    effective_mm = thickness_mm + (count - 1) * step_mm
    assert count == 1 or 2.4 <= effective_mm <= 3.75


@pytest.mark.parametrize(
    ("thickness_mm", "weights"),
    [(1.0, [1 / 3, 1 / 3, 1 / 3]), (1.25, [1 / 4, 1 / 2, 1 / 4]), (3.0, [0, 1, 0])],
    ids=["three", "two", "one"],
)
def test_effective_slice_is_the_centred_mean_of_its_slab(
    thickness_mm: float, weights: list[float]
) -> None:
    found = volume(thickness_mm, thickness_mm).effective_slice(4)
    assert found.dtype == np.float32
    assert found.flat[0] == pytest.approx(np.dot(weights, [9, 16, 25]))


def test_slab_that_leaves_the_volume_is_an_error() -> None:
    with pytest.raises(IndexError, match="leaves"):
        volume(1.0, 1.0).effective_slice(0)


def test_index_and_position_are_each_other_s_inverse() -> None:
    scan = volume(3.0, 3.0)
    index = np.array([[0, 0, 0], [8, 3, 4], [2.5, 1.5, 0.5]])
    np.testing.assert_allclose(scan.to_index(scan.to_lps(index)), index, atol=1e-9)
    np.testing.assert_allclose(scan.to_lps([1, 2, 3]), [-5.5, 4.2, 14.0])


def test_voxels_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        volume(3.0, 3.0).hu[0, 0, 0] = 1


def test_axes_that_point_the_wrong_way_are_refused() -> None:
    scan = volume(3.0, 3.0)
    affine = scan.affine.copy()
    affine[0, 2] *= -1
    with pytest.raises(InvalidVolume, match="left"):
        CtVolume(scan.hu, affine, 3.0)


def test_sites_stand_in_the_cohort_s_order_with_right_first() -> None:
    assert len(SITES) == 36
    names = [site.name for site in SITES]
    assert names[:7] == ["L1", "L2", "L3", "L4", "L5", "S1", "L1-L2_1"]
    third, fourth = SITES[8], SITES[9]
    assert (third.muscle, third.side) == (Muscle.PSOAS_MAJOR, Side.RIGHT)
    assert (fourth.muscle, fourth.side) == (Muscle.TRANSVERSOSPINALIS, Side.LEFT)
