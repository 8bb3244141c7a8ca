import numpy as np
import numpy.typing as npt
import pytest

from roi_extraction.back_muscles.compartment import (
    BACK_BEHIND_MM,
    BACK_LATERAL_MM,
    compartments_of,
)
from roi_extraction.sites import DiscLevel

BEHIND = BACK_BEHIND_MM[:, None]
LATERAL = BACK_LATERAL_MM[None, :]
FAT_HU = -105.0


def back_image(
    *, muscle_hu: float, muscle_from_mm: float, lamina: tuple[float, float, float]
) -> npt.NDArray[np.float32]:
    """One side of a back: lamina, muscle out to 42 mm behind the canal, fat, skin at 60 mm, air."""
    lateral_mm, first_mm, last_mm = lamina
    image = np.full((BACK_BEHIND_MM.size, BACK_LATERAL_MM.size), FAT_HU, np.float32)
    image[(muscle_from_mm <= BEHIND) & (BEHIND <= 42.0) & (LATERAL <= 38.0)] = muscle_hu
    image[(first_mm <= BEHIND) & (last_mm >= BEHIND) & (lateral_mm >= LATERAL)] = 400.0
    image[(BEHIND > 60.0) & (BEHIND <= 63.0) & (LATERAL > -10.0)] = 0.0
    image[(BEHIND > 63.0) & (LATERAL > -10.0)] = -1000.0
    return image


def share_of(
    mask: npt.NDArray[np.bool_], behind: tuple[float, float], lateral: tuple[float, float]
) -> float:
    inside = (behind[0] <= BEHIND) & (behind[1] >= BEHIND)
    inside = inside & (lateral[0] <= LATERAL) & (lateral[1] >= LATERAL)
    return float(mask[inside].mean())


def test_lamina_alone_does_not_cut_the_muscle_beside_it() -> None:
    image = back_image(muscle_hu=40.0, muscle_from_mm=20.0, lamina=(11.0, 10.0, 28.0))
    (mask,) = compartments_of([image], DiscLevel.L5_S1)
    assert share_of(mask, (27.0, 40.0), (14.0, 28.0)) == 1.0
    assert not mask[BEHIND[:, 0] < 18.0].any()


@pytest.mark.parametrize("muscle_hu", [-35.0, -50.0, -70.0])
def test_fatty_muscle_reaches_to_its_fascia(muscle_hu: float) -> None:
    image = back_image(muscle_hu=muscle_hu, muscle_from_mm=8.0, lamina=(30.0, 0.0, 8.0))
    (mask,) = compartments_of([image], DiscLevel.L4_L5)
    assert share_of(mask, (12.0, 39.0), (5.0, 28.0)) == 1.0
    assert not mask[BEHIND[:, 0] > 43.0].any()


def test_fatty_muscle_is_told_from_fat_in_noise() -> None:
    image = back_image(muscle_hu=-55.0, muscle_from_mm=8.0, lamina=(30.0, 0.0, 8.0))
    image += np.random.default_rng(3).normal(0.0, 12.0, image.shape).astype(np.float32)
    (mask,) = compartments_of([image], DiscLevel.L5_S1)
    assert share_of(mask, (12.0, 38.0), (5.0, 28.0)) > 0.97
    assert not mask[BEHIND[:, 0] > 45.0].any()


def test_fat_where_muscle_was_is_no_compartment() -> None:
    image = back_image(muscle_hu=FAT_HU, muscle_from_mm=8.0, lamina=(30.0, 0.0, 8.0))
    (mask,) = compartments_of([image], DiscLevel.L5_S1)
    assert not mask.any()


def test_fascia_is_sought_alike_in_the_slices_of_a_site() -> None:
    images = [
        back_image(muscle_hu=hu, muscle_from_mm=8.0, lamina=(30.0, 0.0, 8.0))
        for hu in (-28.0, -45.0, -40.0)
    ]
    images[0][(BEHIND >= 25.0) & (BEHIND <= 42.0) & (LATERAL <= 38.0)] = -45.0
    for mask in compartments_of(images, DiscLevel.L5_S1):
        assert share_of(mask, (12.0, 39.0), (5.0, 28.0)) == 1.0


def test_thin_skin_is_not_the_fascia_of_fatty_muscle() -> None:
    image = back_image(muscle_hu=-40.0, muscle_from_mm=8.0, lamina=(30.0, 0.0, 8.0))
    for first_mm, hu in ((56.0, -60.0), (59.0, -110.0), (62.0, -300.0), (66.0, -1000.0)):
        image[first_mm <= BACK_BEHIND_MM] = hu
    (mask,) = compartments_of([image], DiscLevel.L5_S1)
    assert share_of(mask, (12.0, 39.0), (5.0, 28.0)) == 1.0
    assert not mask[BEHIND[:, 0] > 43.0].any()
