"""``osteonode analyze`` on what users will give it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner, Result

from dicom_node.cli import app
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from roi_extraction.phantom import Phantom, PhantomParameters, make_phantom
from roi_extraction.sites import SITES
from roi_extraction.volume import CtVolume
from tests.ct_builders import gantry_tilted
from tests.dicom_builders import edit, plain_series, plain_volume

REPORT_SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "report.schema.json").read_text())
"""The published schema: every report of this module is checked against it."""


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(PhantomParameters.random(7), 7)


@pytest.fixture(scope="module")
def phantom_folder(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom")
    write_ct_series(phantom.volume, folder, InventedHeader(seed="analyze"))
    return folder


def analyze(source: Path, out: Path, *options: str) -> tuple[Result, dict[str, Any]]:
    result = CliRunner().invoke(app, ["analyze", str(source), "-o", str(out), *options])
    path = out / "report.json"
    if not path.exists():
        return result, {}
    report = json.loads(path.read_text())
    jsonschema.validate(report, REPORT_SCHEMA)
    return result, report


@pytest.fixture(scope="module")
def analyzed(
    phantom_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Result, dict[str, Any]]:
    """The folder of the phantom's report, with what the command said; to be read alone."""
    out = tmp_path_factory.mktemp("analyzed") / "out"
    return out, *analyze(phantom_folder, out)


def test_phantom_is_measured_and_staged(analyzed: tuple[Path, Result, dict[str, Any]]) -> None:
    out, result, report = analyzed
    assert result.exit_code == 0, result.output
    assert report["schema"] == "osteonode.report/1"
    assert [site["name"] for site in report["sites"]] == [site.name for site in SITES]
    assert report["stage"]["predicted"] in "ABCD"
    assert sum(report["stage"]["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert report["explanation"]
    for site in report["sites"]:
        if site["status"] == "measured":
            assert len(site["rois"]) == 3
            assert site["mean_hu"] == pytest.approx(
                np.mean([roi["mean_hu"] for roi in site["rois"]]), abs=0.02
            )
        else:
            assert site["mean_hu"] is None
            assert site["reason"]
    for name in ("report.sr.dcm", "rois.png", "report.txt"):
        assert (out / name).stat().st_size > 0
    assert "Not a medical device" in result.output


def test_the_same_series_gives_the_same_report_whatever_the_file_names(
    analyzed: tuple[Path, Result, dict[str, Any]], phantom_folder: Path, tmp_path: Path
) -> None:
    shuffled = tmp_path / "shuffled"
    shuffled.mkdir()
    for number, path in enumerate(sorted(phantom_folder.iterdir(), reverse=True)):
        shutil.copy(path, shuffled / f"x{number}")
    out, _, first = analyzed
    _, second = analyze(shuffled, tmp_path / "again")
    assert {**first, "timings_s": None} == {**second, "timings_s": None}
    uids = {
        str(pydicom.dcmread(folder / "report.sr.dcm").SOPInstanceUID)
        for folder in (out, tmp_path / "again")
    }
    assert len(uids) == 1


def five(folder: Path) -> Path:
    plain_series(folder, 5)
    return folder


def at_140_kvp(folder: Path) -> Path:
    plain_series(folder, kvp=140.0)
    return folder


def localizer(folder: Path) -> Path:
    plain_series(folder, 1, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    return folder


def interleaved(folder: Path) -> Path:
    first = plain_series(folder / "1")
    for path in plain_series(folder / "2"):
        edit(path, SOPInstanceUID=pydicom.dcmread(path).SOPInstanceUID + "2", AcquisitionNumber=2)
    assert first
    return folder


def holes(folder: Path) -> Path:
    for path in plain_series(folder)[15:18]:
        path.unlink()
    return folder


def truncated(folder: Path) -> Path:
    path = plain_series(folder)[20]
    path.write_bytes(path.read_bytes()[:-500])
    return folder


def cut_in_header(folder: Path) -> Path:
    path = plain_series(folder)[20]
    path.write_bytes(path.read_bytes()[:200])
    return folder


def text_file(folder: Path) -> Path:
    folder.mkdir()
    (folder / "notes.txt").write_text("not DICOM")
    return folder / "notes.txt"


def nothing(folder: Path) -> Path:
    folder.mkdir()
    return folder


def magnetic_resonance(folder: Path) -> Path:
    for path in plain_series(folder):
        edit(path, SOPClassUID="1.2.840.10008.5.1.4.1.1.4", Modality="MR")
    return folder


def no_uid(folder: Path) -> Path:
    for path in plain_series(folder):
        edit(path, SeriesInstanceUID="")
    return folder


BAD = {
    "140 kVp": (at_140_kvp, "series.kvp"),
    "localizer only": (localizer, "series.localizer"),
    "five slices": (five, "series.too_few_slices"),
    "two interleaved acquisitions": (interleaved, "series.duplicate_positions"),
    "slices missing in the middle": (holes, "series.missing_slices"),
    "truncated in its pixels": (truncated, "series.unreadable_pixels"),
    "truncated in its header": (cut_in_header, "series.missing_slices"),
    "a text file": (text_file, "input.no_dicom"),
    "an empty folder": (nothing, "input.no_dicom"),
    "an MR": (magnetic_resonance, "series.not_ct"),
    "empty series UID": (no_uid, "series.invalid_uid"),
    "no spine": (lambda folder: plain_series(folder)[0].parent, "roi."),
}


@pytest.mark.parametrize(("build", "code"), BAD.values(), ids=BAD)
def test_bad_input_is_refused_with_its_reason(
    tmp_path: Path, build: Callable[[Path], Path], code: str
) -> None:
    result, report = analyze(build(tmp_path / "in"), tmp_path / "out")
    assert result.exit_code == 1, result.output
    assert report["refused"]["code"].startswith(code)
    assert report["refused"]["message"] in result.stderr
    assert [site["name"] for site in report["sites"]] == [site.name for site in SITES]
    assert all(site["status"] == "missing" for site in report["sites"])
    assert not (tmp_path / "out" / "report.sr.dcm").exists()


def test_file_that_is_no_dicom_among_slices_is_warned_of(
    phantom_folder: Path, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    shutil.copytree(phantom_folder, source)
    (source / "thumbs.db").write_bytes(b"junk")
    result, report = analyze(source, tmp_path / "out")
    assert result.exit_code == 0
    assert "input.unreadable_files" in {warning["code"] for warning in report["warnings"]}


def test_scan_that_ends_at_l4_is_refused_or_names_what_is_missing(
    phantom: Phantom, tmp_path: Path
) -> None:
    cut = round(float(phantom.volume.to_index(phantom.truth.body_centres_lps_mm["L4"])[0]))
    volume = phantom.volume
    affine = volume.affine.copy()
    affine[:3, 3] = volume.to_lps([cut, 0, 0])
    cropped = CtVolume(volume.hu[cut:], affine, volume.slice_thickness_mm)
    write_ct_series(cropped, tmp_path / "in", InventedHeader(seed="ends at L4"))
    result, report = analyze(tmp_path / "in", tmp_path / "out")
    assert result.exit_code == 1
    assert report["refused"]["code"].startswith("roi.")


def test_allowed_other_tube_voltage_is_measured_but_never_staged(
    phantom: Phantom, tmp_path: Path
) -> None:
    write_ct_series(phantom.volume, tmp_path / "in", InventedHeader(seed="140", kvp=140.0))
    result, report = analyze(tmp_path / "in", tmp_path / "out", "--allow-kvp", "140")
    assert result.exit_code == 0
    assert report["sites"][0]["status"] == "measured"
    assert report["stage"]["predicted"] is None
    assert "140 kVp" in report["stage"]["abstained"]
    assert report["l1_threshold"]["category"] is None
    assert "specific for osteoporosis" not in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["analyze", "nowhere", "-o", "out"],
        ["analyze", ".", "-o", "out", "--segmentation", "nowhere.nii.gz"],
        ["analyze", ".", "-o", "out", "--bodies", "pyproject.toml"],
        ["analyze", ".", "-o", "out", "--bundle", "nowhere"],
        ["check-config", "--config", "nowhere.toml"],
    ],
    ids=["no input", "no segmentation", "bodies alone", "no bundle", "no settings"],
)
def test_wrong_usage_exits_with_two(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import sys

    from dicom_node.cli import main

    monkeypatch.setattr(sys, "argv", ["osteonode", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capsys.readouterr().err


@pytest.mark.shared
@pytest.mark.parametrize(
    ("folder", "code"),
    [
        ("ts_example_ct_dicom_j2k", "series.invalid_uid"),
        ("enhanced_multiframe_ct", "series.derived"),
        ("dcm_qa_ct_ge_tilt", "series.gantry_tilt"),
    ],
)
def test_awkward_real_ct_is_refused(
    shared_data: Path, tmp_path: Path, folder: str, code: str
) -> None:
    result, report = analyze(shared_data / "ct" / folder, tmp_path)
    assert result.exit_code == 1
    assert report["refused"]["code"] == code


def test_tilted_gantry_is_measured_and_its_regions_lie_in_the_sent_slices(
    phantom: Phantom, tmp_path: Path
) -> None:
    tilted, _ = gantry_tilted(phantom.volume, None, 7.0)
    write_ct_series(tilted, tmp_path / "series", InventedHeader(seed="tilted"))
    result, report = analyze(tmp_path / "series", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "acquisition.gantry_tilt" in {warning["code"] for warning in report["warnings"]}
    assert report["acquisition"]["gantry_tilt_deg"] == pytest.approx(7.0, abs=0.05)
    truth = phantom.truth.hu
    sites = {site["name"]: site for site in report["sites"]}
    for name in ("L1", "L2", "L3", "L4", "L5"):
        assert sites[name]["mean_hu"] == pytest.approx(truth[name], abs=6), name
    positions = {
        str(dataset.SOPInstanceUID): np.array(dataset.ImagePositionPatient, float)
        for dataset in map(pydicom.dcmread, (tmp_path / "series").iterdir())
    }
    normal = np.cross([1.0, 0, 0], [0, np.cos(np.deg2rad(7.0)), -np.sin(np.deg2rad(7.0))])
    for roi in sites["L3"]["rois"]:
        offset = np.array(roi["contour_lps_mm"]) - positions[roi["sop_instance_uid"]]
        assert np.abs(offset @ normal).max() < 0.01


def test_strict_rule_refuses_the_whole_analysis(phantom_folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "bone"
    shutil.copytree(phantom_folder, copied)
    for path in copied.iterdir():
        edit(path, ConvolutionKernel="BONE", Manufacturer="GE MEDICAL SYSTEMS")
    result, report = analyze(copied, tmp_path / "out")
    assert result.exit_code == 1
    assert report["refused"]["code"] == "acquisition.kernel_lung_bone"
    assert not (tmp_path / "out" / "report.sr.dcm").exists()
    result, report = analyze(copied, tmp_path / "all", "--rule", "kernel_lung_bone=warn")
    assert result.exit_code == 0, result.output
    assert report["acquisition"]["kernel_class"] == "lung_bone"
    assert "acquisition.kernel_lung_bone" in {w["code"] for w in report["warnings"]}


@pytest.mark.parametrize("rule", ["kernel=warn", "contrast", "contrast=off", "kvp=warn"])
def test_unknown_rule_on_the_command_line_is_a_usage_error(
    phantom_folder: Path, tmp_path: Path, rule: str
) -> None:
    result, _ = analyze(phantom_folder, tmp_path, "--rule", rule)
    assert result.exit_code == 2
    assert "kernel_lung_bone" in result.output


def two_studies(folder: Path) -> list[str]:
    """Two studies of two patients; their Study Instance UIDs."""
    uids = []
    for name in ("first", "second"):
        header = InventedHeader(seed=name, patient_id=f"SECRET-{name}")
        paths = write_ct_series(plain_volume(5), folder / name, header)
        uids.append(str(pydicom.dcmread(paths[0]).StudyInstanceUID))
    return uids


def test_several_studies_are_listed_and_none_is_lost(tmp_path: Path) -> None:
    uids = two_studies(tmp_path / "in")
    result, report = analyze(tmp_path / "in", tmp_path / "out")
    assert result.exit_code == 2
    assert not report
    for uid in uids:
        assert f"{uid}  series 1, files 5" in result.output
    assert "--study" in result.output
    assert "SECRET" not in result.output


def test_chosen_study_alone_is_assessed(tmp_path: Path) -> None:
    _, second = two_studies(tmp_path / "in")
    result, report = analyze(tmp_path / "in", tmp_path / "out", "--study", second)
    assert result.exit_code == 1
    assert report["study_uid"] == second
    assert report["refused"]["code"] == "series.too_few_slices"


def test_study_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    two_studies(tmp_path / "in")
    result, _ = analyze(tmp_path / "in", tmp_path / "out", "--study", "1.2.3")
    assert result.exit_code == 2
    assert "no file is of study 1.2.3" in result.output


def test_study_of_two_patients_is_a_usage_error(tmp_path: Path) -> None:
    path = plain_series(tmp_path / "in", 5)[0]
    edit(path, PatientID="SECRET")
    result, _ = analyze(tmp_path / "in", tmp_path / "out")
    assert result.exit_code == 2
    assert "images of 2 patients" in result.output
    assert "SECRET" not in result.output


def test_nifti_in_place_of_a_series_says_what_to_give(tmp_path: Path) -> None:
    path = tmp_path / "ct.nii"
    path.write_bytes(bytes(344) + b"n+1\x00")
    result, report = analyze(path, tmp_path / "out")
    assert result.exit_code == 1
    assert report["refused"]["code"] == "input.no_dicom"
    assert "give the DICOM series itself" in result.stderr
