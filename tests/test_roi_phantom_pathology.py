"""The phantom's fractures, scoliosis, implants and contrast are what was asked for."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from roi_extraction.phantom import (
    Cement,
    Fracture,
    FractureKind,
    Osteophyte,
    Pathology,
    Phantom,
    PhantomParameters,
    Sclerosis,
    Screws,
    make_phantom,
)

L3_LABEL = 29
SMALL_VOXEL_MM = (1.0, 1.5, 1.5)
SMALL = {
    "rows": 160, "columns": 160, "field_of_view_mm": 240.0, "slice_thickness_mm": 1.0,
    "slice_step_mm": 1.0, "noise_sd_hu": 0.0, "texture": False,
}  # fmt: skip


def phantom(pathology: Pathology, **others: Any) -> Phantom:
    parameters = PhantomParameters.typical(pathology=pathology, **{**SMALL, **others})
    return make_phantom(parameters, 1)


def column_heights_mm(found: Phantom, level_label: int) -> np.ndarray:
    """Height of a body in the mid-sagittal plane, mm, along z from front to back."""
    body = (found.labels == level_label) & (found.body_labels == 1)
    middle = round(float(np.argwhere(body)[:, 2].mean()))
    heights = body[:, :, middle].sum(axis=0) * found.volume.slice_step_mm
    return heights[heights > 0]


def angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


@pytest.mark.parametrize("loss", [0.2, 0.4])
def test_wedge_fracture_lowers_the_front_by_what_was_asked(loss: float) -> None:
    found = phantom(Pathology(fractures=(Fracture("L3", FractureKind.WEDGE, loss),)))
    heights = column_heights_mm(found, L3_LABEL)
    front, back = np.median(heights[1:4]), heights[-4:].max()
    assert 1 - front / back == pytest.approx(loss, abs=0.08)


def test_crush_fracture_lowers_the_whole_body() -> None:
    plain = column_heights_mm(phantom(Pathology()), L3_LABEL)
    crushed = phantom(Pathology(fractures=(Fracture("L3", FractureKind.CRUSH, 0.4, 30.0),)))
    lowered = np.median(column_heights_mm(crushed, L3_LABEL)) / np.median(plain)
    assert lowered == pytest.approx(0.6, abs=0.06)
    assert crushed.truth.findings == {"L3": ("fracture",)}
    usual = crushed.parameters.hu_by_site["L3"]
    assert crushed.truth.hu["L3"] == usual + 30.0


def test_biconcave_fracture_lowers_the_middle() -> None:
    heights = column_heights_mm(
        phantom(Pathology(fractures=(Fracture("L3", FractureKind.BICONCAVE, 0.4),))), L3_LABEL
    )
    middle, rim = heights[len(heights) // 2], max(heights[2], heights[-3])
    assert 1 - middle / rim == pytest.approx(0.4, abs=0.12)


@pytest.mark.parametrize("cobb", [-20.0, 12.0])
def test_scoliosis_has_the_cobb_angle_that_was_asked(cobb: float) -> None:
    found = phantom(Pathology(scoliosis_cobb_deg=cobb))
    axes = [axis * [1, 0, 1] for axis in found.truth.body_axes.values()]
    coronal = [axis / np.linalg.norm(axis) for axis in axes]
    widest = max(angle_deg(a, b) for a in coronal for b in coronal)
    assert widest == pytest.approx(abs(cobb), abs=1e-6)
    apex = found.truth.body_centres_lps_mm["L2"][0]
    assert np.sign(apex) == np.sign(cobb)


@pytest.mark.parametrize(("count", "lowest"), [(4, "L1"), (5, "T12"), (6, "T11")])
def test_lowest_rib_hangs_above_the_lumbar_vertebrae(count: int, lowest: str) -> None:
    truth = phantom(Pathology(lumbar_vertebrae=count)).truth
    assert truth.lumbar_vertebrae == count
    assert min(truth.ribs, key=lambda name: -truth.ribs[name]) == lowest
    assert truth.ribs[lowest] == 12


def test_contrast_fills_the_aorta() -> None:
    found = phantom(Pathology(aorta_hu=300.0, vein_hu=120.0))
    plain = phantom(Pathology())
    brighter = found.volume.hu.astype(int) - plain.volume.hu
    assert (brighter >= 250).sum() > 1000
    assert found.truth.aorta_hu == 300.0


@pytest.mark.parametrize(
    ("pathology", "least_hu"),
    [
        (Pathology(cement=(Cement("L3", 1000.0),)), 800),
        (Pathology(sclerosis=(Sclerosis("L3", 400.0, 6.0),)), 400),
        (Pathology(screws=Screws(("L3",))), 2500),
    ],
    ids=["cement", "sclerosis", "screws"],
)
def test_dense_things_lie_in_the_body_that_was_asked(pathology: Pathology, least_hu: float) -> None:
    found = phantom(pathology)
    dense = (found.volume.hu >= least_hu) & (phantom(Pathology()).volume.hu < least_hu)
    centre = found.volume.to_lps(np.argwhere(dense).mean(axis=0))
    away = centre - found.truth.body_centres_lps_mm["L3"]
    assert dense.sum() > 100
    assert abs(away[2]) < 16
    assert "L3" in found.truth.findings


def test_bridging_osteophyte_crosses_the_disc() -> None:
    spur = phantom(Pathology(osteophytes=(Osteophyte("L2-L3", 8.0),))).volume.hu.astype(int)
    added = spur - phantom(Pathology()).volume.hu > 150
    slices = np.flatnonzero(added.any(axis=(1, 2)))
    assert slices.size == slices[-1] - slices[0] + 1


def test_calcified_aorta_is_dense_in_its_wall_alone() -> None:
    plain = phantom(Pathology()).volume.hu.astype(int)
    # Contrast agent in the arteries alone shows where they are.
    filled = phantom(Pathology(aorta_hu=600.0)).volume.hu - plain
    lumen = filled > 400
    depth = ndimage.distance_transform_edt(lumen, SMALL_VOXEL_MM)
    # Kidneys, the next brightest, gain 222 HU.
    away = ndimage.distance_transform_edt(filled < 240, SMALL_VOXEL_MM)
    shares = []
    for share in (0.2, 0.6):
        plaque = phantom(Pathology(aortic_calcification=share)).volume.hu - plain > 200
        assert plaque.sum() > 100
        assert depth[plaque].max() < 4.5
        assert away[plaque].max() < 4.5
        wall = lumen & (depth < 2.0)
        shares.append(plaque[wall].mean())
    assert 0.05 < shares[0] < 0.6 * shares[1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fracture("C2"), "level"),
        (lambda: Fracture("L1", FractureKind.WEDGE, 0.9), "height_loss"),
        (lambda: Pathology(scoliosis_cobb_deg=30.0), "cobb"),
        (lambda: Pathology(lumbar_vertebrae=7), "lumbar_vertebrae"),
        (lambda: Screws(()), "level"),
        (lambda: Pathology(cement=(Cement("L1"), Cement("L1"))), "once"),
    ],
    ids=["level", "loss", "cobb", "count", "no screws", "twice"],
)
def test_impossible_pathology_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_wide_random_patients_are_the_same_for_the_same_seed_and_differ_in_kind() -> None:
    drawn = [PhantomParameters.random_wide(seed) for seed in range(60)]
    assert drawn[7] == PhantomParameters.random_wide(7)
    kinds = {kind for parameters in drawn for kind in parameters.pathology.kinds}
    assert {"fractures", "cement", "screws", "scoliosis_cobb_deg", "lumbar_vertebrae"} <= kinds
    healthy = sum(not parameters.pathology.kinds for parameters in drawn)
    assert 18 <= healthy <= 42
    steps = {parameters.slice_thickness_mm for parameters in drawn}
    assert {1.0, 3.0, 5.0} <= steps
