"""Series as hospitals send them: invalid values, strays, doubles, interleaved or spectral scans."""

import re
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from openjpeg.utils import encode_array
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from dicom_node.assessment import assessment as assessing
from dicom_node.decoding import pixel_format, plane_reader, stored_plane
from dicom_node.decoding.codestream import Codestream, read_codestream
from dicom_node.decoding.elements import Elements
from dicom_node.decoding.plane_reader import read_plane
from dicom_node.errors import SeriesRefused
from dicom_node.reporting.checks.report_check import check_report, sources_of
from dicom_node.reporting.structured_report import build_structured_report
from dicom_node.series import instances as instances_module
from dicom_node.series import spectral
from dicom_node.series.instances import Instance, read_instance, scan_folder
from dicom_node.series.interleaving import check_alternation
from dicom_node.series.selection import EligibleSeries, Selection, check_series, select_series
from dicom_node.series.volume_reader import read_volume
from dicom_node.settings.node import Acquisition, AcquisitionRules
from tests.assessment_builders import assessment
from tests.dicom_builders import edit, instances, plain_series, plain_volume

RULES = Acquisition()
SHORT = Acquisition(min_slices=3, min_coverage_mm=5, rules=AcquisitionRules.of(["coverage=warn"]))


def codes(series: EligibleSeries) -> set[str]:
    return {finding.code for finding in series.findings}


def refusal(members: list[Instance]) -> SeriesRefused:
    with pytest.raises(SeriesRefused) as found:
        check_series(members, RULES)
    return found.value


# --- invalid values

LAST_OF_FILE_META = 0x0002FFFF

READ = sorted(
    {
        name
        for module in (instances_module, pixel_format, plane_reader, stored_plane, spectral)
        for name in re.findall(r'"([A-Z][A-Za-z]+)"', Path(str(module.__file__)).read_text())
        if (tag_for_keyword(name) or 0) > LAST_OF_FILE_META
    }
)
"""Every element that a series' header or pixels are read from, by the modules' own text."""

BROKEN = {
    "empty": b"",
    "blank": b"  ",
    "decimal comma": b"0,75",
    "words": b"unknown!",
    "not a number": b"NaN ",
    "infinite": b"1e999 ",
    "huge": b"1e300 ",
    "negative": b"-3",
    "two values": b"1\\2 ",
    "odd bytes": b"\xff\xfe\x00",
    "superscript": "²²²Y".encode("latin-1"),
}


def put_raw(path: Path, keyword: str, value: bytes) -> None:
    """Write the bytes of one element as they are, whatever its value representation."""
    dataset = pydicom.dcmread(path)
    tag = Tag(tag_for_keyword(keyword) or 0)
    vr = pydicom.datadict.dictionary_VR(tag).split(" or ")[0]
    dataset._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    dataset.save_as(path)


def test_list_of_elements_that_are_read_is_not_empty_by_mistake() -> None:
    assert {"KVP", "PixelSpacing", "RescaleSlope", "BitsStored", "PatientSex"} <= set(READ)


@pytest.mark.parametrize("keyword", READ)
def test_broken_value_of_any_element_is_a_reason_or_a_warning_and_never_a_fault(
    tmp_path: Path, keyword: str
) -> None:
    whole = plain_series(tmp_path / "whole", 4)
    first = {path: path.read_bytes() for path in whole}
    for value in BROKEN.values():
        for path in whole:
            path.write_bytes(first[path])
            put_raw(path, keyword, value)
        found, _ = scan_folder(whole)
        for series in select_series(found, SHORT).eligible:
            try:
                hu = read_volume(series).hu
            except SeriesRefused:
                continue
            unchanged = keyword.startswith("PixelPadding") or np.array_equal(hu, plain_volume(4).hu)
            assert unchanged or keyword in HU_MAY_CHANGE, (keyword, value)


HU_MAY_CHANGE = {"RescaleIntercept", "ImageOrientationPatient"}
"""Elements for which one of the broken values is a valid other number, such as -3."""


@pytest.mark.parametrize("sex", ["U", "f", "W", "UNKNOWN"])
def test_sex_outside_the_enumeration_is_unknown_and_warned_of(tmp_path: Path, sex: str) -> None:
    for path in plain_series(tmp_path):
        put_raw(path, "PatientSex", sex.encode() + b" " * (len(sex) % 2))
    series = check_series(scan_folder(tmp_path.iterdir())[0], RULES)
    assert "header.sex_unknown" in codes(series)
    assert assessing.stated_sex(series.first) is None


def test_empty_rescale_slope_is_refused_as_missing(tmp_path: Path) -> None:
    for path in plain_series(tmp_path):
        edit(path, RescaleSlope="")
    assert refusal(scan_folder(tmp_path.iterdir())[0]).code == "series.no_rescale"


def test_decimal_comma_in_a_number_that_is_not_needed_is_named_in_a_warning(
    tmp_path: Path,
) -> None:
    for path in plain_series(tmp_path):
        put_raw(path, "SliceThickness", b"3,0 ")
    series = check_series(scan_folder(tmp_path.iterdir())[0], RULES)
    [message] = [f.message for f in series.findings if f.code == "header.invalid_values"]
    assert "SliceThickness" in message


def test_patient_id_that_no_report_can_carry_is_refused(tmp_path: Path) -> None:
    for path in plain_series(tmp_path):
        put_raw(path, "PatientID", b"P" * 66)
    assert refusal(scan_folder(tmp_path.iterdir())[0]).code == "series.invalid_patient_id"


# --- unused bits

Encoder = Callable[[np.ndarray, Dataset], None]


def native(stored: np.ndarray, dataset: Dataset) -> None:
    dataset.PixelData = stored.tobytes()


def jpeg2000(stored: np.ndarray, dataset: Dataset) -> None:
    code = encode_array(stored, bits_stored=16, photometric_interpretation=2)
    encapsulated(dataset, bytes(code), JPEG2000Lossless)


def jpeg_ls(stored: np.ndarray, dataset: Dataset) -> None:
    jpeg_ls_codec = pytest.importorskip("jpeg_ls")
    encapsulated(dataset, bytes(jpeg_ls_codec.encode_array(stored)), JPEGLSLossless)


def encapsulated(dataset: Dataset, code: bytes, syntax: pydicom.uid.UID) -> None:
    dataset.PixelData = encapsulate([code])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax


ENCODERS: dict[str, Encoder] = {"native": native, "JPEG-LS": jpeg_ls, "JPEG 2000": jpeg2000}


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize("form", ["overlay", "sign", "high bits"])
def test_unused_bits_do_not_change_the_hu(tmp_path: Path, encode: Encoder, form: str) -> None:
    path = plain_series(tmp_path, 1)[0]
    hu = plain_volume(1).hu[0].astype(int)
    dataset = pydicom.dcmread(path)
    dataset.BitsStored, dataset.HighBit = 12, 11
    stored = hu + 1024
    if form == "overlay":
        stored[4:20, 6:9] |= 1 << 12
    elif form == "sign":
        stored = hu & 0x0FFF
        dataset.PixelRepresentation, dataset.RescaleIntercept = 1, 0
    else:
        stored, dataset.HighBit = stored << 4, 15
    encode(stored.astype("<u2"), dataset)
    dataset.save_as(path)
    np.testing.assert_array_equal(read_plane(path, 0), hu)


def test_codestream_of_fewer_bits_whose_sign_is_unclear_is_refused(tmp_path: Path) -> None:
    path = plain_series(tmp_path, 1)[0]
    dataset = pydicom.dcmread(path)
    dataset.PixelRepresentation, dataset.RescaleIntercept = 1, 0
    code = encode_array(
        np.full((32, 32), 3000, "<u2"), bits_stored=12, photometric_interpretation=2
    )
    encapsulated(dataset, bytes(code), JPEG2000Lossless)
    dataset.save_as(path)
    with pytest.raises(SeriesRefused, match="sign cannot be told") as found:
        read_plane(path, 0)
    assert found.value.code == "series.pixel_format"


def bomb_jpeg2000() -> bytes:
    code = encode_array(np.zeros((32, 32), "<u2"), bits_stored=16, photometric_interpretation=2)
    changed = bytearray(code)
    changed[8:16] = (60000).to_bytes(4, "big") * 2
    return bytes(changed)


def bomb_jpeg_ls() -> bytes:
    frame = b"\xff\xf7\x00\x0b\x10" + (60000).to_bytes(2, "big") * 2 + b"\x01\x01\x11\x00"
    return b"\xff\xd8" + frame + b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00" + b"\x00" * 64


BOMBS = {
    "JPEG 2000": (bomb_jpeg2000, JPEG2000Lossless),
    "JPEG-LS": (bomb_jpeg_ls, JPEGLSLossless),
}


@pytest.mark.parametrize(("bomb", "syntax"), BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("in_header", [False, True], ids=["codestream alone", "header too"])
def test_pixel_bomb_is_refused_before_it_is_decoded(
    tmp_path: Path, bomb: Callable[[], bytes], syntax: pydicom.uid.UID, in_header: bool
) -> None:
    path = plain_series(tmp_path, 1)[0]
    dataset = pydicom.dcmread(path)
    encapsulated(dataset, bomb(), syntax)
    if in_header:
        dataset.Rows = dataset.Columns = 60000
    dataset.save_as(path)
    started = time.process_time()
    with pytest.raises(SeriesRefused, match="60000 x 60000") as found:
        read_plane(path, 0)
    assert found.value.code == "series.pixel_format"
    assert time.process_time() - started < 2


def test_head_of_a_codestream_is_read() -> None:
    assert read_codestream(bomb_jpeg_ls()) == Codestream(60000, 60000, 1, 16, None)
    assert read_codestream(bomb_jpeg2000()) == Codestream(60000, 60000, 1, 16, False)
    assert read_codestream(b"") is read_codestream(b"\xff\xd8\xff") is None


def test_deflated_file_that_inflates_without_end_is_left_out(tmp_path: Path) -> None:
    path = plain_series(tmp_path, 1)[0]
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    assert scan_folder([path])[0][0].rows == 32
    content = path.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")
    header = zlib.decompress(content[start:], -15)[:-10]
    assert len(deflated(b"")) < 2**21
    path.write_bytes(content[:start] + deflated(b""))
    found, [left_out] = scan_folder([path])
    assert not found
    assert left_out.reason == "no image and no UID, truncated or damaged"
    path.write_bytes(content[:start] + deflated(header))
    with pytest.raises(SeriesRefused, match="InflatesTooFar"):
        read_plane(path, 0)


def deflated(front: bytes) -> bytes:
    """``front`` and 300 MB of zeros, as a deflated data set of some hundred kB."""
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
    parts = [front, *[bytes(1 << 20)] * 300]
    return b"".join([*map(deflate.compress, parts), deflate.flush()])


# --- strays, doubles, positions

SAGITTAL = np.array([[0, 1.0, 0], [0, 0, -1.0]])
STRAYS: dict[str, dict[str, Any]] = {
    "localizer": {"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER"), "orientation": SAGITTAL},
    "of another SOP class or modality": {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"},
    "derived": {"image_type": ("DERIVED", "SECONDARY", "MPR"), "orientation": SAGITTAL},
    "not axial": {"orientation": SAGITTAL},
    "without position": {"orientation": None, "position_mm": None},
}


@pytest.mark.parametrize(("kind", "changes"), STRAYS.items(), ids=STRAYS)
def test_stray_image_is_left_out_and_said(kind: str, changes: dict[str, Any]) -> None:
    stray = replace(instances(1)[0], sop_instance_uid="1.2.9", **changes)
    series = check_series([stray, *instances()], RULES)
    assert len(series.slices) == 80
    [message] = [f.message for f in series.findings if f.code == "series.images_left_out"]
    assert message == f"1 images left out: 1 {kind}"


def test_slice_that_lost_its_position_leaves_a_gap_and_is_refused() -> None:
    members = instances()
    members[40] = replace(members[40], position_mm=None)
    assert refusal(members).code == "series.missing_slices"


def doubled(folder: Path, change: int) -> list[Path]:
    paths = plain_series(folder)
    dataset = pydicom.dcmread(paths[5])
    dataset.SOPInstanceUID += ".1"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PixelData = (dataset.pixel_array + change).astype("<u2").tobytes()
    dataset.save_as(folder / "again.dcm")
    return [*paths, folder / "again.dcm"]


def test_slice_that_came_twice_counts_once_and_is_said(tmp_path: Path) -> None:
    series = check_series(scan_folder(doubled(tmp_path, 0))[0], RULES)
    assert len(series.slices) == 40
    assert "series.doubled_images" in codes(series)


def test_different_slices_at_one_position_are_refused(tmp_path: Path) -> None:
    assert refusal(scan_folder(doubled(tmp_path, 1))[0]).code == "series.duplicate_positions"


def rounded(step_mm: float, count: int = 200) -> list[Instance]:
    return [
        replace(instance, position_mm=np.array([0, 0, float(f"{-700 + k * step_mm:.1f}")]))
        for k, instance in enumerate(instances(count, slice_thickness_mm=step_mm))
    ]


@pytest.mark.parametrize("step_mm", [2.5, 1.25, 0.75, 0.625])
def test_even_steps_with_rounded_positions_are_even(step_mm: float) -> None:
    series = check_series(rounded(step_mm), RULES)
    assert series.step_mm == pytest.approx(step_mm, abs=1e-3)


@pytest.mark.parametrize("step_mm", [1.25, 0.75, 0.625])
def test_lost_slice_among_rounded_positions_is_found(step_mm: float) -> None:
    members = rounded(step_mm)
    del members[77]
    found = refusal(members)
    assert found.code == "series.missing_slices"
    assert str(found).startswith("1 slices are missing")


def test_rounded_spacing_and_thickness_are_one() -> None:
    members = instances()
    members[3] = replace(members[3], pixel_spacing_mm=(0.9000001, 0.9), slice_thickness_mm=2.999)
    series = check_series(members, RULES)
    assert series.slice_thickness_mm == 3.0


def test_spacing_that_differs_is_refused() -> None:
    members = instances()
    members[3] = replace(members[3], pixel_spacing_mm=(0.91, 0.9))
    assert refusal(members).code == "series.mixed_geometry"


# --- interleaved scans


def every_second(**changes: Any) -> list[Instance]:
    return [
        replace(instance, **{name: values[k % 2] for name, values in changes.items()})
        for k, instance in enumerate(instances())
    ]


def test_interleaved_acquisitions_are_refused() -> None:
    assert refusal(every_second(acquisition_number=(1, 2))).code == "series.interleaved"


def test_interleaved_times_are_refused() -> None:
    assert refusal(every_second(acquisition_time_s=(40.0, 90.0))).code == "series.interleaved"


def test_acquisitions_one_behind_the_other_are_one_series() -> None:
    members = [
        replace(instance, acquisition_number=k // 20, acquisition_time_s=100.0 + k)
        for k, instance in enumerate(instances())
    ]
    assert len(check_series(members, RULES).slices) == 80
    each = [replace(i, acquisition_number=k) for k, i in enumerate(instances())]
    assert len(check_series(each, RULES).slices) == 80


def test_tissue_that_alternates_in_brightness_is_refused_and_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    trend = np.linspace(0, 100, 40)[:, None, None]
    hu = (trend + rng.normal(40, 30, (40, 64, 64))).astype(np.int16)
    check_alternation(list(hu))
    hu[::2] += 15
    with pytest.raises(SeriesRefused, match="brighter in every second") as found:
        check_alternation(list(hu))
    assert found.value.code == "series.interleaved"


# --- spectral images

SPECTRAL: dict[str, dict[str, Any]] = {
    "standard": {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "VMI"]},
    "Siemens": {"SeriesDescription": "DE_Abdomen Monoenergetic Plus 50 keV"},
    "Siemens VNC": {"SeriesDescription": "Abd VNC 1.0 Qr40"},
    "GE": {"SeriesDescription": "Mono 70keV"},
    "GE material": {"SeriesDescription": "Iodine(Water)"},
    "GE unenhanced": {"SeriesDescription": "VUE", "Manufacturer": "GE MEDICAL SYSTEMS"},
    "Philips": {"SeriesDescription": "MonoE 70keV[HU]"},
    "Philips iodine": {"SeriesDescription": "Iodine no Water[mg/ml]"},
    "Philips calcium": {"SeriesDescription": "CalcSupp 50"},
    "Image Type in words": {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "MONO_E"]},
    "electron density": {"RescaleType": "EDW"},
}


@pytest.mark.parametrize("changes", SPECTRAL.values(), ids=SPECTRAL)
def test_spectral_image_is_refused_though_it_says_original(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    for path in plain_series(tmp_path):
        edit(path, **changes)
    assert refusal(scan_folder(tmp_path.iterdir())[0]).code == "series.spectral"


def test_monoenergetic_energy_alone_is_refused() -> None:
    dataset, item = Dataset(), Dataset()
    item.MonoenergeticEnergyEquivalent = 50.0
    dataset.MultienergyCTCharacteristicsSequence = [item]
    assert spectral.spectral_sign(Elements(dataset)) == "Monoenergetic Energy Equivalent"


@pytest.mark.parametrize(
    "description",
    ["Abdomen 3.0 iodine contrast", "120 kV Monitoring", "Vue axiale", "LWS nativ", "CT MSI 3mm"],
)
def test_plain_series_is_not_taken_for_a_spectral_one(description: str) -> None:
    dataset = Dataset()
    dataset.SeriesDescription = description
    assert spectral.spectral_sign(Elements(dataset)) == ""


def test_scan_with_several_spectra_is_warned_of_and_not_like_the_cohort() -> None:
    series = check_series(instances(multienergy=True), RULES)
    assert "acquisition.multienergy" in codes(series)
    assert "several X-ray spectra" in str(assessing._unlike_cohort(series))


# --- files


def test_file_that_vanishes_is_left_out(tmp_path: Path) -> None:
    found, [left_out] = scan_folder([tmp_path / "gone.dcm"])
    assert not found
    assert left_out.reason == "gone before it was read"


def test_nifti_says_what_to_give(tmp_path: Path) -> None:
    (tmp_path / "ct.nii.gz").write_bytes(b"\x1f\x8b\x08")
    (tmp_path / "ct.nii").write_bytes(bytes(344) + b"n+1\x00")
    _, left_out = scan_folder(tmp_path.iterdir())
    assert all("give the DICOM series itself" in item.reason for item in left_out)
    assert len(left_out) == 2


def test_selection_lists_a_series_of_invalid_headers(tmp_path: Path) -> None:
    path = plain_series(tmp_path, 1)[0]
    put_raw(path, "KVP", b"120,0 ")
    assert read_instance(path).invalid == ("KVP",)
    selection: Selection = select_series([read_instance(path)], RULES)
    assert [item.code for item in selection.refused] == ["series.kvp_missing"]


def test_report_is_built_though_an_element_that_it_could_inherit_is_broken(
    tmp_path: Path,
) -> None:
    paths = plain_series(tmp_path / "series")
    for path in paths:
        put_raw(path, "PregnancyStatus", b"\xff\xfe\x00")
        put_raw(path, "Manufacturer", b"X" * 70)
    document = build_structured_report(assessment(tmp_path / "series"), "id")
    document.save_as(tmp_path / "r.dcm", enforce_file_format=True)
    check_report(pydicom.dcmread(tmp_path / "r.dcm"), sources_of(scan_folder(paths)[0]))
    assert "PregnancyStatus" not in document
