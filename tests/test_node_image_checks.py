import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from dicom_node.analysis.analysis import analyse
from dicom_node.analysis.models import load_models
from dicom_node.analysis.outcome import Outcome
from dicom_node.assessment.image_checks import check_image
from dicom_node.assessment.segmenters import SegmenterPlan
from dicom_node.errors import SeriesRefused
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from dicom_node.settings.node import Acquisition, AcquisitionRules
from roi_extraction.anatomy import Anatomy
from roi_extraction.builtin import BuiltinSegmenter
from roi_extraction.checks.contrast_phase import ContrastPhase
from roi_extraction.checks.fat import Fat
from roi_extraction.checks.vena_cava import VenaCava
from roi_extraction.phantom import PhantomParameters, make_phantom
from roi_extraction.volume import CtVolume
from tests.ct_builders import noisy


@dataclass(frozen=True, eq=False)
class Segmented:
    volume: CtVolume
    anatomy: Anatomy


@pytest.fixture(scope="module")
def plain() -> Segmented:
    volume = make_phantom(PhantomParameters.random(7, noise_sd_hu=10.0), 7).volume
    return Segmented(volume, BuiltinSegmenter().segment(volume))


def bright_vessels(scan: Segmented) -> CtVolume:
    """Everything of 20-75 HU in front of the spine raised by 120, as iodine does."""
    volume = scan.volume
    hu = volume.hu.astype(np.float32)
    smooth = ndimage.gaussian_filter(hu, (0, 2, 2))
    bodies = sorted(
        (body.centre_lps_mm for body in scan.anatomy.spine.bodies.values()), key=lambda c: c[2]
    )
    z, y = (
        volume.to_lps(np.arange(n)[:, None] * unit)[:, axis]
        for n, unit, axis in ((volume.shape[0], [1, 0, 0], 2), (volume.shape[1], [0, 1, 0], 1))
    )
    centre = np.interp(z, [c[2] for c in bodies], [c[1] for c in bodies])
    ahead = y[None, :] < centre[:, None] - 17
    blood = (smooth > 20) & (smooth < 75) & ahead[:, :, None]
    return CtVolume(np.round(hu + 120.0 * blood).astype(np.int16), volume.affine, 3.0)


def deep_bodies(scan: Segmented) -> CtVolume:
    affine = scan.volume.affine.copy()
    affine[:3, 1] *= 1.5
    return CtVolume(scan.volume.hu, affine, scan.volume.slice_thickness_mm)


def brighter_scanner(scan: Segmented) -> CtVolume:
    return CtVolume(scan.volume.hu + np.int16(25), scan.volume.affine, 3.0)


BROKEN = {
    "fat_unusual": (brighter_scanner, "acquisition.fat_unusual"),
    "contrast_seen": (bright_vessels, "acquisition.contrast_seen"),
    "noise": (lambda scan: noisy(scan.volume, 90.0, 1), "acquisition.noise"),
    "pixel_spacing_doubtful": (deep_bodies, "acquisition.pixel_spacing_doubtful"),
}


def rules(name: str, mode: str) -> AcquisitionRules:
    every = dict.fromkeys(AcquisitionRules.model_fields, "warn")
    return AcquisitionRules.model_validate(every | {name: mode})


@pytest.mark.parametrize(("name", "case"), BROKEN.items(), ids=BROKEN)
def test_strict_rule_refuses_the_image(
    plain: Segmented, name: str, case: tuple[Callable[[Segmented], CtVolume], str]
) -> None:
    change, code = case
    with pytest.raises(SeriesRefused) as refusal:
        check_image(change(plain), plain.anatomy, rules(name, "strict"))
    assert refusal.value.code == code


@pytest.mark.parametrize(("name", "case"), BROKEN.items(), ids=BROKEN)
def test_warning_rule_reports_the_image(
    plain: Segmented, name: str, case: tuple[Callable[[Segmented], CtVolume], str]
) -> None:
    change, code = case
    _, findings = check_image(change(plain), plain.anatomy, rules(name, "warn"))
    assert code in [finding.code for finding in findings]


def test_ordinary_image_breaks_no_rule_and_its_facts_are_told(plain: Segmented) -> None:
    every = AcquisitionRules.model_validate(dict.fromkeys(AcquisitionRules.model_fields, "strict"))
    facts, findings = check_image(plain.volume, plain.anatomy, every)
    assert findings == []
    assert facts.noise_sd_hu == pytest.approx(10.0, rel=0.1)
    assert 0.5 < facts.noise_standard_error_hu < 2.0
    assert facts.aorta_hu == pytest.approx(45.0, abs=5)
    assert facts.aorta_missing is None
    assert isinstance(facts.vein, VenaCava)
    assert facts.vein.mean_hu == pytest.approx(42.0, abs=5)
    assert isinstance(facts.fat, Fat)
    assert facts.fat.mean_hu == pytest.approx(-107.0, abs=2)
    assert facts.phase is ContrastPhase.UNENHANCED


def test_contrast_is_named_by_its_phase_with_its_effect_on_l1(plain: Segmented) -> None:
    facts, findings = check_image(bright_vessels(plain), plain.anatomy, AcquisitionRules())
    assert facts.phase is ContrastPhase.PORTAL_VENOUS
    [words] = [found.message for found in findings if found.code == "acquisition.contrast_seen"]
    assert "portal venous phase" in words
    assert "Pompe 2015" in words
    assert "nothing was corrected" in words


def test_fat_of_another_scanner_is_told_with_its_range_and_not_corrected(plain: Segmented) -> None:
    facts, findings = check_image(brighter_scanner(plain), plain.anatomy, AcquisitionRules())
    assert isinstance(facts.fat, Fat)
    assert facts.fat.mean_hu == pytest.approx(-81.0, abs=2)
    [words] = [found.message for found in findings if found.code == "acquisition.fat_unusual"]
    assert words.startswith(f"subcutaneous fat has {facts.fat.mean_hu:.0f} HU")
    assert "-123 to -89" in words


def assess(folder: Path, out: Path, acquisition: Acquisition) -> tuple[Outcome, dict[str, Any]]:
    stager, network = load_models(None)
    outcome = analyse(
        list(folder.iterdir()), out, acquisition, stager, network, SegmenterPlan(("builtin",))
    )
    return outcome, json.loads((out / "report.json").read_text())


def test_contrast_that_no_tag_states_reaches_report_or_refusal(
    plain: Segmented, tmp_path: Path
) -> None:
    write_ct_series(bright_vessels(plain), tmp_path / "series", InventedHeader(seed="iodine"))
    outcome, report = assess(tmp_path / "series", tmp_path / "warn", Acquisition())
    assert outcome.reported
    assert report["acquisition"]["contrast"] is False
    assert report["acquisition"]["aorta_hu"] == pytest.approx(165, abs=10)
    assert report["acquisition"]["noise_sd_hu"] > 0
    assert "acquisition.contrast_seen" in [w["code"] for w in report["warnings"]]
    references = report["references"]
    assert references["phase"] == "portal_venous"
    assert references["aorta"]["mean_hu"] == report["acquisition"]["aorta_hu"]
    assert references["vena_cava"]["mean_hu"] == pytest.approx(162, abs=10)
    assert references["fat"]["mean_hu"] == pytest.approx(-107, abs=2)
    assert references["fat_place"] == "subcutaneous"
    psoas = [site["mean_hu"] for site in report["sites"] if site["label"].startswith("psoas")]
    measured = [mean_hu for mean_hu in psoas if mean_hu is not None]
    assert references["psoas"]["mean_hu"] == pytest.approx(np.median(measured), abs=0.06)
    strict = Acquisition(rules=AcquisitionRules(contrast_seen="strict"))
    outcome, report = assess(tmp_path / "series", tmp_path / "strict", strict)
    assert not outcome.reported
    assert report["refused"]["code"] == "acquisition.contrast_seen"
    assert report["references"] is None
    assert not (tmp_path / "strict" / "report.sr.dcm").exists()
