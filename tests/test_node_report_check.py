"""The check before sending: each broken report that validators let pass is stopped."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_node.errors import ReportInvalid
from dicom_node.reporting.checks.report_check import Source, check_report, find_faults, sources_of
from dicom_node.reporting.structured_report import SrProfile, build_structured_report
from dicom_node.series.instances import scan_folder
from tests.assessment_builders import assessment
from tests.dicom_builders import edit, plain_series

CIRCLE = [5.0, 5.0, 6.0, 6.0, 7.0, 7.0]


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("checked") / "series"
    return plain_series(folder, patient_id="P1")


@pytest.fixture(scope="module")
def sources(series: list[Path]) -> dict[str, Source]:
    return sources_of(scan_folder(series)[0])


@pytest.fixture(scope="module")
def written(series: list[Path]) -> Path:
    path = series[0].parent.parent / "report.dcm"
    build_structured_report(assessment(series[0].parent), "id").save_as(
        path, enforce_file_format=True
    )
    return path


@pytest.fixture
def report(written: Path) -> Dataset:
    return pydicom.dcmread(written)


def items(dataset: Dataset, value: str) -> list[tuple[Dataset, Dataset]]:
    """(parent, item) of every content item whose concept name has this code value."""
    found = []
    for child in dataset.get("ContentSequence", ()):
        if child.ConceptNameCodeSequence[0].CodeValue == value:
            found.append((dataset, child))
        found += items(child, value)
    return found


def site(report: Dataset, name: str) -> Dataset:
    for group, tracking in items(report, "112039"):
        if tracking.TextValue.split()[0] == name:
            return group
    raise AssertionError(name)


def circle_of_three_points(report: Dataset) -> None:
    region = items(report, "111030")[0][1]
    region.GraphicType = "CIRCLE"
    region.GraphicData = CIRCLE


def polygon_of_two_points(report: Dataset) -> None:
    items(report, "111030")[0][1].GraphicData = [5.0, 5.0, 6.0, 6.0, 5.0, 5.0]


def no_completion_flag(report: Dataset) -> None:
    del report.CompletionFlag


def no_evidence(report: Dataset) -> None:
    del report.CurrentRequestedProcedureEvidenceSequence


def reference_outside_the_evidence(report: Dataset) -> None:
    [study] = report.CurrentRequestedProcedureEvidenceSequence
    del study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]


def wrong_relationship(report: Dataset) -> None:
    items(report, "112031")[0][1].RelationshipType = "HAS PROPERTIES"


def millimetres(report: Dataset) -> None:
    unit = items(report, "112031")[0][1].MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]
    unit.CodeValue, unit.CodeMeaning = "mm", "millimeter"


def hounsfield_with_the_unit_of_a_probability(report: Dataset) -> None:
    unit = items(report, "112031")[0][1].MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]
    unit.CodeValue, unit.CodeMeaning = "1", "no units"


def l1_with_the_meaning_of_l2(report: Dataset) -> None:
    place = items(site(report, "L1"), "363698007")[0][1]
    place.ConceptCodeSequence[0].CodeMeaning = "L2 vertebra"


def l1_placed_at_l2(report: Dataset) -> None:
    place = items(site(report, "L1"), "363698007")[0][1].ConceptCodeSequence[0]
    place.CodeValue, place.CodeMeaning = "14293000", "L2 vertebra"


def no_tracking_uid(report: Dataset) -> None:
    group, tracking = items(report, "112040")[3]
    group.ContentSequence.remove(tracking)


def tracking_uid_taken_twice(report: Dataset) -> None:
    first, second = items(report, "112040")[1:3]
    second[1].UID = first[1].UID


def left_called_right(report: Dataset) -> None:
    side = items(site(report, "L1-L2_4"), "272741003")[0][1].ConceptCodeSequence[0]
    side.CodeValue, side.CodeMeaning = "24028007", "Right"


def side_left_out(report: Dataset) -> None:
    place = items(site(report, "L1-L2_4"), "363698007")[0][1]
    del place.ContentSequence


def sides_exchanged_on_the_image(report: Dataset) -> None:
    for name, columns in (("L3-L4_1", 8.0), ("L3-L4_4", -10.0)):
        for _, region in items(site(report, name), "111030"):
            data = list(region.GraphicData)
            data[0::2] = [value + columns for value in data[0::2]]
            region.GraphicData = data


def hu_that_cannot_be(report: Dataset) -> None:
    measured = items(site(report, "L3"), "112031")[0][1].MeasuredValueSequence[0]
    measured.NumericValue = "9999"


def muscle_as_dense_as_bone(report: Dataset) -> None:
    measured = items(site(report, "L3-L4_3"), "112031")[0][1].MeasuredValueSequence[0]
    measured.NumericValue = "900"


def negative_deviation(report: Dataset) -> None:
    measured = items(site(report, "L3"), "386136009")[0][1].MeasuredValueSequence[0]
    measured.NumericValue = "-1"


def no_number(report: Dataset) -> None:
    items(site(report, "L3"), "112031")[0][1].MeasuredValueSequence[0].NumericValue = ""


def probabilities_over_one(report: Dataset) -> None:
    items(report, "PROB-A")[0][1].MeasuredValueSequence[0].NumericValue = "0.9"


def stage_without_probabilities(report: Dataset) -> None:
    for letter in "ABCD":
        [(group, item)] = items(report, f"PROB-{letter}")
        group.ContentSequence.remove(item)


def stage_that_the_set_does_not_decide(report: Dataset) -> None:
    [(_, stage)] = items(report, "STAGE")
    value = stage.ConceptCodeSequence[0]
    value.CodeValue, value.CodingSchemeDesignator = "373068000", "SCT"
    value.CodeMeaning = "Undetermined"


def second_stage(report: Dataset) -> None:
    [(group, stage)] = items(report, "STAGE")
    group.ContentSequence.append(copy.deepcopy(stage))


def region_beyond_the_image(report: Dataset) -> None:
    region = items(report, "111030")[0][1]
    region.GraphicData = [value + 25.0 for value in region.GraphicData]


def open_region(report: Dataset) -> None:
    region = items(report, "111030")[0][1]
    region.GraphicData = region.GraphicData[:-2]


def other_patient(report: Dataset) -> None:
    report.PatientID = "P2"


def other_name(report: Dataset) -> None:
    report.PatientName = "Someone^Else"


def other_study(report: Dataset) -> None:
    report.StudyInstanceUID = "1.2.3"


def other_accession(report: Dataset) -> None:
    report.AccessionNumber = "A2"


def verified(report: Dataset) -> None:
    report.VerificationFlag = "VERIFIED"


def statement_removed(report: Dataset) -> None:
    for group, comment in items(report, "121106"):
        if comment.TextValue.startswith("Research use"):
            group.ContentSequence.remove(comment)


def foreign_item(report: Dataset) -> None:
    comment = items(report, "121106")[0][1]
    comment.ConceptNameCodeSequence[0].CodeValue = "121111"
    comment.ConceptNameCodeSequence[0].CodeMeaning = "Summary"


def long_accession(report: Dataset) -> None:
    report["AccessionNumber"]._value = "A" * 17


def sequence_of_the_images(report: Dataset) -> None:
    report.ReferencedStudySequence = [Dataset()]


def no_time_zone(report: Dataset) -> None:
    del report.TimezoneOffsetFromUTC


def claims_a_predecessor(report: Dataset) -> None:
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = "1.2.3"
    series = Dataset()
    series.ReferencedSOPSequence = [reference]
    study = Dataset()
    study.ReferencedSeriesSequence = [series]
    report.PredecessorDocumentsSequence = [study]


EIGHT = {
    "circle with three points": (circle_of_three_points, "report.region"),
    "no completion flag": (no_completion_flag, "report.completion"),
    "no evidence": (no_evidence, "report.evidence"),
    "reference outside the evidence": (reference_outside_the_evidence, "report.reference"),
    "wrong relationship": (wrong_relationship, "report.relationship"),
    "millimetres instead of HU": (millimetres, "report.unit"),
    "L1 with the meaning of L2": (l1_with_the_meaning_of_l2, "report.code"),
    "no tracking UID": (no_tracking_uid, "report.tracking"),
}
"""Those of which each validator lets some pass."""

MORE = {
    "polygon of two points": (polygon_of_two_points, "report.region"),
    "open polygon": (open_region, "report.region"),
    "region beyond the image": (region_beyond_the_image, "report.region"),
    "HU with another known unit": (hounsfield_with_the_unit_of_a_probability, "report.unit"),
    "L1 placed at L2": (l1_placed_at_l2, "report.site"),
    "tracking UID twice": (tracking_uid_taken_twice, "report.tracking"),
    "left called right": (left_called_right, "report.laterality"),
    "side left out": (side_left_out, "report.laterality"),
    "sides exchanged on the image": (sides_exchanged_on_the_image, "report.laterality"),
    "9999 HU": (hu_that_cannot_be, "report.value"),
    "muscle of 900 HU": (muscle_as_dense_as_bone, "report.value"),
    "negative deviation": (negative_deviation, "report.value"),
    "no number": (no_number, "report.value"),
    "probabilities over one": (probabilities_over_one, "report.value"),
    "stage without probabilities": (stage_without_probabilities, "report.stage"),
    "undetermined though the set decides": (stage_that_the_set_does_not_decide, "report.stage"),
    "two stages": (second_stage, "report.stage"),
    "another patient ID": (other_patient, "report.wrong_patient"),
    "another name": (other_name, "report.wrong_patient"),
    "another study": (other_study, "report.wrong_study"),
    "another accession number": (other_accession, "report.wrong_study"),
    "verified": (verified, "report.verification"),
    "statement removed": (statement_removed, "report.statement"),
    "item that is not ours": (foreign_item, "report.content"),
    "accession number over its length": (long_accession, "report.element"),
    "sequence of the images": (sequence_of_the_images, "report.element"),
    "no time zone": (no_time_zone, "report.element"),
    "predecessor that is none": (claims_a_predecessor, "report.predecessor"),
}


def test_report_as_it_was_built_passes(report: Dataset, sources: dict[str, Source]) -> None:
    check_report(report, sources)


def test_report_that_was_not_staged_passes(
    series: list[Path], sources: dict[str, Source], tmp_path: Path
) -> None:
    document = build_structured_report(assessment(series[0].parent, abstained="no reason"), "id")
    document.save_as(tmp_path / "r.dcm", enforce_file_format=True)
    check_report(pydicom.dcmread(tmp_path / "r.dcm"), sources)


@pytest.mark.parametrize(("damage", "code"), [*EIGHT.values(), *MORE.values()], ids=[*EIGHT, *MORE])
def test_broken_report_is_stopped_with_its_code(
    report: Dataset, sources: dict[str, Source], damage: Callable[[Dataset], None], code: str
) -> None:
    damage(report)
    assert code in {fault.code for fault in find_faults(report, sources)}
    with pytest.raises(ReportInvalid, match="must not be sent"):
        check_report(report, sources)


@pytest.mark.parametrize("damage", [other_patient, other_name], ids=["id", "name"])
def test_messages_hold_no_patient_data(
    report: Dataset, sources: dict[str, Source], damage: Callable[[Dataset], None]
) -> None:
    damage(report)
    with pytest.raises(ReportInvalid) as caught:
        check_report(report, sources)
    assert not any(text in str(caught.value) for text in ("P1", "P2", "Phantom", "Someone"))


def test_superseding_report_must_name_the_report_that_it_supersedes(
    written: Path, series: list[Path], sources: dict[str, Source], tmp_path: Path
) -> None:
    second = tmp_path / "second.dcm"
    build_structured_report(assessment(series[0].parent), "later", [written]).save_as(
        second, enforce_file_format=True
    )
    uid = str(pydicom.dcmread(written).SOPInstanceUID)
    check_report(pydicom.dcmread(second), sources, [uid])
    with pytest.raises(ReportInvalid, match="supersedes"):
        check_report(pydicom.dcmread(written), sources, ["1.2.3"])


def test_images_of_two_patients_never_make_a_report(tmp_path: Path) -> None:
    paths = plain_series(tmp_path / "series")
    edit(paths[20], PatientID="SOMEONE")
    document = build_structured_report(assessment(tmp_path / "series"), "id")
    document.save_as(tmp_path / "r.dcm", enforce_file_format=True)
    with pytest.raises(ReportInvalid) as caught:
        check_report(pydicom.dcmread(tmp_path / "r.dcm"), sources_of(scan_folder(paths)[0]))
    assert caught.value.code == "report.mixed_sources"


HEADERS = {
    "Japanese character sets": {"SpecificCharacterSet": ["", "ISO 2022 IR 87"]},
    "no patient ID": {"PatientID": None},
    "no patient or study elements": dict.fromkeys(
        ("PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber", "ReferringPhysicianName")
    ),
    "accents": {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Zoë"},
}


@pytest.mark.parametrize("values", HEADERS.values(), ids=HEADERS)
def test_report_of_what_archives_hold_passes(tmp_path: Path, values: dict[str, Any]) -> None:
    paths = plain_series(tmp_path / "series")
    for path in paths:
        edit(path, **values)
    document = build_structured_report(assessment(tmp_path / "series"), "id")
    document.save_as(tmp_path / "r.dcm", enforce_file_format=True)
    check_report(pydicom.dcmread(tmp_path / "r.dcm"), sources_of(scan_folder(paths)[0]))


def test_birth_date_that_is_no_date_does_not_stop_the_report(tmp_path: Path) -> None:
    paths = plain_series(tmp_path / "series")
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset["PatientBirthDate"]._value = "12.03.1950"
        dataset.save_as(path)
    document = build_structured_report(assessment(tmp_path / "series"), "id")
    document.save_as(tmp_path / "r.dcm", enforce_file_format=True)
    check_report(pydicom.dcmread(tmp_path / "r.dcm"), sources_of(scan_folder(paths)[0]))


@pytest.fixture(scope="module")
def planar_written(series: list[Path]) -> Path:
    path = series[0].parent.parent / "planar.dcm"
    document = build_structured_report(assessment(series[0].parent), "id", profile=SrProfile.PLANAR)
    document.save_as(path, enforce_file_format=True)
    return path


def slice_of(report: Dataset, name: str) -> Dataset:
    for group, finding in items(report, "121071"):
        if finding.ConceptCodeSequence[0].CodeValue == name:
            return group
    raise AssertionError(name)


def third_number(report: Dataset) -> None:
    group = site(report, "L3")
    extra = copy.deepcopy(items(group, "386136009")[0][1])
    name = extra.ConceptNameCodeSequence[0]
    name.CodeValue, name.CodeMeaning = "373098007", "Mean"
    group.ContentSequence.append(extra)


def test_third_number_in_the_group_of_a_site_is_stopped(
    report: Dataset, sources: dict[str, Source]
) -> None:
    third_number(report)
    assert "report.content" in {fault.code for fault in find_faults(report, sources)}


def wrong_mean(report: Dataset) -> None:
    measured = items(slice_of(report, "L3"), "373098007")[0][1].MeasuredValueSequence[0]
    measured.NumericValue = "9999"


def numbers_of_two_regions(report: Dataset) -> None:
    deviation = items(slice_of(report, "L3"), "386136009")[0][1]
    region = deviation.ContentSequence[0]
    region.GraphicData = [value + 1.0 for value in region.GraphicData]


def finding_of_another_site(report: Dataset) -> None:
    finding = items(slice_of(report, "L3"), "121071")[0][1].ConceptCodeSequence[0]
    finding.CodeValue, finding.CodeMeaning = "L4", "L4"


def left_named_right(report: Dataset) -> None:
    finding = items(slice_of(report, "L3-L4_6"), "121071")[0][1].ConceptCodeSequence[0]
    finding.CodeValue, finding.CodeMeaning = "L3-L4_3", "right psoas major at L3-L4"


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (wrong_mean, "report.value"),
        (numbers_of_two_regions, "report.region"),
        (finding_of_another_site, "report.site"),
        (left_named_right, "report.laterality"),
    ],
)
def test_broken_planar_report_is_stopped_with_its_code(
    planar_written: Path, sources: dict[str, Source], damage: Callable[[Dataset], None], code: str
) -> None:
    report = pydicom.dcmread(planar_written)
    assert not find_faults(report, sources)
    damage(report)
    assert code in {fault.code for fault in find_faults(report, sources)}
