from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from roi_extraction.anatomy import Landmark, Missing, MissingReason, SpineLandmarks
from roi_extraction.builtin.spine import find_spine
from roi_extraction.checks.aorta import Aorta, AortaNotFound
from roi_extraction.checks.contrast_phase import ContrastPhase, contrast_phase
from roi_extraction.checks.excretion import urine_enhanced
from roi_extraction.checks.fat import Fat, FatNotFound, FatPlace, fat_in_slice, find_fat
from roi_extraction.checks.psoas import psoas_summary
from roi_extraction.checks.vena_cava import VenaCava, VenaCavaNotFound, find_vena_cava
from roi_extraction.features import FeatureVector, SiteMeasurement
from roi_extraction.sites import SITES, Level, Muscle
from roi_extraction.volume import CtVolume
from tests.ct_builders import load_nifti_labels, load_nifti_volume, noisy, resampled

UP = np.array([0.0, 0.0, 1.0])
LEVELS = (Level.L4, Level.L3, Level.L2, Level.L1)
VEIN_LABEL, KIDNEY_LABELS = 63, (2, 3)


def spine(*levels: Level) -> SpineLandmarks:
    """Bodies 36 mm apart at x = y = 0, the canal 28 mm behind them."""
    bodies = {
        level: Landmark(np.array([0.0, 0.0, 36.0 * number]), UP, 1.0)
        for number, level in enumerate(LEVELS)
        if level in (levels or LEVELS)
    }
    z = np.arange(-40.0, 160.0)
    return SpineLandmarks(np.stack([0 * z, 0 * z + 28.0, z], axis=1), bodies, {}, 1.0)


def trunk(
    *,
    fat_hu: float = -104.0,
    layer_mm: float = 20.0,
    around_kidneys_hu: float = 40.0,
    vein_hu: float | None = 42.0,
    urine_hu: tuple[float, float] = (20.0, 20.0),
    table: bool = False,
) -> CtVolume:
    """Muscle with a body, a back whose fat and skin end 110 mm behind it, and air beyond.

    Around the kidneys lies tissue of its own HU, in front of the spine a vein in fat, right and
    left of it a renal pelvis each.
    """
    affine = np.array([[0, 0, 1.5, -120], [0, 1.5, 0, -75], [6.0, 0, 0, -36], [0, 0, 0, 1.0]])
    z, y, x = np.meshgrid(
        np.arange(30) * 6.0 - 36,
        np.arange(150) * 1.5 - 75,
        np.arange(161) * 1.5 - 120,
        indexing="ij",
    )
    hu = np.full(x.shape, 55.0, np.float32)
    hu[(np.abs(x) > 25) & (y > -30) & (y < 25)] = around_kidneys_hu
    hu[y < -20] = fat_hu
    hu[np.hypot(x / 24, y / 20) < 1] = 180.0
    hu[y > 108 - layer_mm] = fat_hu
    hu[y > 108] = 20.0
    hu[y > 110] = -1000.0
    if table:
        hu[(y > 125) & (y < 132)] = -100.0
    if vein_hu is not None:
        hu[np.hypot((x + 16) / 1.4, y + 32) < 9] = vein_hu
    for side, value in zip((-1, 1), urine_hu, strict=True):
        hu[(np.hypot(x - side * 50, y + 5) < 7) & (np.abs(z - 72) < 20)] = value
    return CtVolume(ndimage.gaussian_filter(hu, (0, 0.6, 0.6)), affine, 6.0)


def fat_of(volume: CtVolume, landmarks: SpineLandmarks | None = None) -> Fat:
    found = find_fat(volume, landmarks or spine())
    assert isinstance(found, Fat), found
    return found


def vein_of(volume: CtVolume, landmarks: SpineLandmarks | None = None) -> VenaCava:
    found = find_vena_cava(volume, landmarks or spine())
    assert isinstance(found, VenaCava), found
    return found


@pytest.mark.parametrize("fat_hu", [-130.0, -118.0, -104.0, -92.0, -80.0])
def test_fat_below_the_skin_is_measured_and_judged(fat_hu: float) -> None:
    found = fat_of(trunk(fat_hu=fat_hu))
    assert found.place is FatPlace.SUBCUTANEOUS
    assert found.mean_hu == pytest.approx(fat_hu, abs=0.5)
    assert found.usual == (-123 <= fat_hu <= -89)


def test_noise_of_fat_is_its_sd_and_leaves_its_mean() -> None:
    found = fat_of(noisy(trunk(), 20.0, 1))
    assert found.mean_hu == pytest.approx(-104, abs=1)
    assert found.sd_hu == pytest.approx(20, abs=2)


def test_fat_keeps_off_skin_fascia_and_table() -> None:
    volume = trunk(table=True)
    fat = fat_in_slice(
        volume, volume.effective_slice(6), np.array([68.0, 80.0]), FatPlace.SUBCUTANEOUS
    )
    y = volume.to_lps(np.argwhere(fat) @ [[0, 1, 0], [0, 0, 1]])[:, 1]
    assert 88 + 3 < y.min() < 88 + 9
    assert 108 - 12 < y.max() < 108 - 3


def test_thin_layer_is_passed_over_for_the_fat_beside_the_spine() -> None:
    found = fat_of(trunk(layer_mm=6.0, around_kidneys_hu=-97.0))
    assert found.place is FatPlace.RETROPERITONEAL
    assert found.mean_hu == pytest.approx(-97, abs=4)


def test_without_fat_the_reason_is_told() -> None:
    volume = trunk(layer_mm=4.0)
    affine = volume.affine.copy()
    affine[1, 3] += 60.0
    narrow = CtVolume(np.ascontiguousarray(volume.hu[:, 40:]), affine, 6.0)
    found = find_fat(narrow, spine())
    assert isinstance(found, FatNotFound)
    assert "too little fat" in found.reason


@pytest.mark.parametrize("vein_hu", [30.0, 42.0, 75.0, 110.0, 160.0, 250.0])
def test_blood_in_the_vena_cava_is_measured(vein_hu: float) -> None:
    assert vein_of(trunk(vein_hu=vein_hu)).mean_hu == pytest.approx(vein_hu, abs=3)


def test_noise_leaves_the_blood_in_the_vena_cava() -> None:
    assert vein_of(noisy(trunk(vein_hu=110.0), 25.0, 1)).mean_hu == pytest.approx(110, abs=5)


def test_without_a_vein_there_is_a_reason() -> None:
    found = find_vena_cava(trunk(vein_hu=None), spine())
    assert isinstance(found, VenaCavaNotFound)
    assert "no vein" in found.reason


def test_one_body_alone_is_not_enough_for_the_vena_cava() -> None:
    found = find_vena_cava(trunk(), spine(Level.L1, Level.L2))
    assert isinstance(found, VenaCavaNotFound)
    assert "L2 to L4" in found.reason


@pytest.mark.parametrize(
    ("urine_hu", "enhanced"),
    [((20, 20), False), ((260, 260), False), ((900, 20), False), ((900, 900), True)],
    ids=["not yet", "bright cortex", "stone on one side", "both sides"],
)
def test_urine_counts_as_enhanced_on_both_sides_only(
    urine_hu: tuple[float, float], enhanced: bool
) -> None:
    assert urine_enhanced(trunk(urine_hu=urine_hu), spine(), 110.0) is enhanced


def test_urine_outside_the_scan_is_not_known() -> None:
    volume = trunk(urine_hu=(900, 900))
    narrow = CtVolume(np.ascontiguousarray(volume.hu[:, :, :110]), volume.affine, 6.0)
    assert urine_enhanced(narrow, spine(), 110.0) is None
    assert urine_enhanced(volume, spine(Level.L1), 110.0) is None


@pytest.mark.parametrize(
    ("aorta_hu", "vein_hu", "urine_hu", "phase"),
    [
        (45, 42, 20, ContrastPhase.UNENHANCED),
        (45, 42, 900, ContrastPhase.UNENHANCED),
        (250, 87, 20, ContrastPhase.ARTERIAL),
        (155, 113, 20, ContrastPhase.PORTAL_VENOUS),
        (150, 60, 20, ContrastPhase.ARTERIAL),
        (110, 105, 900, ContrastPhase.DELAYED),
        (110, 105, 20, ContrastPhase.PORTAL_VENOUS),
    ],
)
def test_phase_follows_from_blood_and_urine(
    aorta_hu: float, vein_hu: float, urine_hu: float, phase: ContrastPhase
) -> None:
    volume = trunk(vein_hu=vein_hu, urine_hu=(urine_hu, urine_hu))
    vein = find_vena_cava(volume, spine())
    assert contrast_phase(volume, spine(), Aorta(aorta_hu, 120.0), vein) is phase


def test_phase_is_undetermined_without_a_vessel_or_without_kidneys() -> None:
    volume, undetermined = trunk(vein_hu=110.0), ContrastPhase.UNDETERMINED
    aorta, vein = Aorta(150.0, 120.0), VenaCava(110.0, 12)
    assert contrast_phase(volume, spine(), AortaNotFound("none"), vein) is undetermined
    assert contrast_phase(volume, spine(), aorta, VenaCavaNotFound("none")) is undetermined
    assert contrast_phase(volume, spine(Level.L4, Level.L3), aorta, vein) is undetermined


def test_psoas_is_the_median_of_its_measured_sites() -> None:
    psoas = [site for site in SITES if site.muscle is Muscle.PSOAS_MAJOR]
    gone = Missing(MissingReason.FATTY)
    values = dict(zip([site.name for site in psoas], [50.0, 60.0, 61.0, 90.0], strict=False))

    def features(known: dict[str, float]) -> FeatureVector:
        return FeatureVector(
            tuple(
                SiteMeasurement(site, known[site.name], 12.0, ())
                if site.name in known
                else SiteMeasurement(site, 200.0, 9.0, ())
                if site.muscle is not Muscle.PSOAS_MAJOR
                else SiteMeasurement(site, float("nan"), float("nan"), (), gone)
                for site in SITES
            ),
            None,  # type: ignore[arg-type]
            spine(),
        )

    found = psoas_summary(features(values))
    assert found is not None
    assert (found.mean_hu, found.sd_hu, found.sites) == (60.5, 12.0, 4)
    assert psoas_summary(features({})) is None


@pytest.fixture(scope="module")
def real(shared_data: Path) -> tuple[CtVolume, np.ndarray]:
    folder = shared_data / "ct" / "totalseg_example_ct"
    volume = load_nifti_volume(folder / "ct.nii.gz")
    return volume, load_nifti_labels(folder / "seg_merged_v2_numbering.nii.gz", volume)


@pytest.mark.shared
@pytest.mark.parametrize("change", ["as it is", "pitched", "rolled", "noisy"])
def test_references_of_a_real_unenhanced_scan(
    real: tuple[CtVolume, np.ndarray], change: str
) -> None:
    volume, labels = real
    blood_hu = float(np.median(volume.hu[ndimage.binary_erosion(labels == VEIN_LABEL)]))
    if change == "pitched":
        volume, _ = resampled(volume, rotation_deg=(12, 0, 0))
    elif change == "rolled":
        volume, _ = resampled(volume, rotation_deg=(0, 5, -12))
    elif change == "noisy":
        volume = noisy(volume, 30.0, 1)
    found = find_spine(volume)
    assert vein_of(volume, found).mean_hu == pytest.approx(blood_hu, abs=4)
    fat = fat_of(volume, found)
    assert fat.place is FatPlace.SUBCUTANEOUS
    assert fat.mean_hu == pytest.approx(-104, abs=3)
    assert urine_enhanced(volume, found, 110.0) is False


@pytest.mark.shared
@pytest.mark.parametrize("place", list(FatPlace))
def test_fat_of_a_real_scan_touches_no_labelled_organ_and_no_air(
    real: tuple[CtVolume, np.ndarray], place: FatPlace
) -> None:
    volume, labels = real
    landmarks = find_spine(volume)
    canal = volume.to_index(landmarks.canal_lps_mm)
    pixels, labelled = 0, 0
    for body in landmarks.bodies.values():
        index = round(float(volume.to_index(body.centre_lps_mm)[0]))
        at = canal[np.abs(canal[:, 0] - index).argmin(), 1:]
        hu = volume.effective_slice(index)
        fat = fat_in_slice(volume, hu, at, place)
        pixels += int(fat.sum())
        labelled += int((fat & (labels[index] > 0)).sum())
        assert not (ndimage.binary_dilation(fat) & ((hu < -250) | (hu > 100))).any()
    assert labelled <= 1, "the labels themselves hold a pixel of fat"
    assert pixels * float(np.prod(volume.spacing_mm[1:])) > 1000


@pytest.mark.shared
def test_vein_and_excreted_urine_painted_into_a_real_scan_tell_the_phase(
    real: tuple[CtVolume, np.ndarray],
) -> None:
    volume, labels = real
    landmarks = find_spine(volume)
    hu = volume.hu.copy()
    hu[labels == VEIN_LABEL] += 70
    venous = CtVolume(hu, volume.affine, volume.slice_thickness_mm)
    vein = vein_of(venous, landmarks)
    assert vein.mean_hu == pytest.approx(112, abs=5)
    aorta = Aorta(150.0, 120.0)
    assert contrast_phase(venous, landmarks, aorta, vein) is ContrastPhase.PORTAL_VENOUS
    late = venous.hu.copy()
    for label in KIDNEY_LABELS:
        z, y, x = np.argwhere(labels == label).mean(axis=0)
        x -= np.sign(x - labels.shape[2] / 2) * 12.0 / volume.spacing_mm[2]
        grid = np.moveaxis(np.indices(labels.shape), 0, -1) - (z, y, x)
        late[np.linalg.norm(grid * volume.spacing_mm, axis=-1) < 10] = 800
    excreted = CtVolume(late, volume.affine, volume.slice_thickness_mm)
    assert contrast_phase(excreted, landmarks, aorta, vein) is ContrastPhase.DELAYED
