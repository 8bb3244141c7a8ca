"""A tilted gantry shears the volume: levels, bodies and muscles must stay what they are."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from roi_extraction import LabelMapSegmenter, Level, extract
from roi_extraction.builtin import BuiltinSegmenter
from roi_extraction.features import FeatureVector
from roi_extraction.phantom import PhantomParameters, make_phantom
from roi_extraction.volume import CtVolume
from tests.ct_builders import gantry_tilted, load_nifti_labels, load_nifti_volume
from tests.roi_builders import flat_volume

VERTEBRAE = {"L1": 31, "L2": 30, "L3": 29, "L4": 28, "L5": 27, "S1": 26}
TILTS = [-10.0, -5.0, 5.0, 10.0]


@dataclass(frozen=True, eq=False)
class Scan:
    volume: CtVolume
    labels: np.ndarray
    bodies: np.ndarray
    features: FeatureVector


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Scan:
    folder = shared_data / "ct" / "totalseg_example_ct"
    volume = load_nifti_volume(folder / "ct.nii.gz")
    labels = load_nifti_labels(folder / "seg_merged_v2_numbering.nii.gz", volume)
    bodies = load_nifti_labels(folder / "seg_vertebrae_body_and_discs.nii.gz", volume)
    return Scan(volume, labels, bodies, extract(volume, BuiltinSegmenter()))


def test_builder_keeps_the_patient_in_place() -> None:
    flat = flat_volume(size=80, slices=40)
    rows = flat.to_lps(np.moveaxis(np.indices(flat.shape), 0, -1))
    ramp = CtVolume(
        (5 * rows[..., 2] + 3 * rows[..., 1]).astype(np.float32), flat.affine, flat.slice_step_mm
    )
    tilted, _ = gantry_tilted(ramp, None, 8.0)
    normal = np.cross(tilted.affine[:3, 2], tilted.affine[:3, 1])
    assert np.degrees(np.arctan2(abs(normal[1]), normal[2])) == pytest.approx(8.0)
    assert tilted.affine[2, 1] < 0, "the posterior side lies nearer to the feet"
    np.testing.assert_allclose(tilted.affine[:3, 0], ramp.affine[:3, 0])
    for index in ([20, 5, 40], [20, 40, 40], [20, 75, 40], [12, 60, 30]):
        _, y, z = tilted.to_lps(index)
        assert tilted.hu[tuple(index)] == pytest.approx(5 * z + 3 * y, abs=1)


@pytest.mark.shared
@pytest.mark.parametrize("degrees", TILTS)
def test_tilted_real_scan_gives_the_same_levels_and_hu(real: Scan, degrees: float) -> None:
    volume, labels = gantry_tilted(real.volume, real.labels, degrees)
    _, bodies = gantry_tilted(real.volume, real.bodies, degrees)
    assert labels is not None
    assert bodies is not None
    found = extract(volume, BuiltinSegmenter())
    for name, number in VERTEBRAE.items():
        for roi in found.by_name[name].rois:
            points = np.vstack([roi.contour_lps_mm, roi.centre_lps_mm])
            k, row, column = np.rint(volume.to_index(points)).astype(int).T
            inside = (labels[k, row, column] == number) & (bodies[k, row, column] == 1)
            assert inside.mean() >= 0.9, name
    for level in Level:
        distance = (
            found.spine.bodies[level].centre_lps_mm
            - real.features.spine.bodies[level].centre_lps_mm
        )
        assert np.linalg.norm(distance) < 6.0, level
    difference = found.mean_hu - real.features.mean_hu
    assert np.abs(difference[:5]).max() <= 8
    assert abs(difference[5]) <= 20
    assert np.nanmedian(np.abs(difference[6:])) <= 5


@pytest.mark.shared
@pytest.mark.parametrize("degrees", [-10.0, 10.0])
def test_tilted_label_maps_give_the_same_hu(real: Scan, degrees: float) -> None:
    volume, labels = gantry_tilted(real.volume, real.labels, degrees)
    _, bodies = gantry_tilted(real.volume, real.bodies, degrees)
    assert labels is not None
    found = extract(volume, LabelMapSegmenter(labels, bodies))
    reference = extract(real.volume, LabelMapSegmenter(real.labels, real.bodies))
    difference = found.mean_hu - reference.mean_hu
    assert np.abs(difference[:6]).max() <= 8
    assert np.nanmedian(np.abs(difference[6:])) <= 5


@pytest.mark.parametrize("degrees", [-8.0, 8.0])
def test_tilted_phantom_measures_its_truth(degrees: float) -> None:
    phantom = make_phantom(PhantomParameters.random(7), 7)
    volume, _ = gantry_tilted(phantom.volume, None, degrees)
    found = extract(volume, BuiltinSegmenter())
    for name in ("L1", "L2", "L3", "L4", "L5"):
        assert found.by_name[name].mean_hu == pytest.approx(phantom.truth.hu[name], abs=6), name
        distance = found.spine.bodies[Level(name)].centre_lps_mm - np.asarray(
            phantom.truth.body_centres_lps_mm[name]
        )
        assert abs(distance[2]) < 6.0
