"""Before and now: what is compared with what, the identity of the patient, and the check of it."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

import dicom_node.analysis.analysis as analysis
from dicom_node.analysis.earlier_reports import is_surely_of
from dicom_node.reporting.checks.report_check import find_faults, sources_of
from dicom_node.reporting.checks.report_content import CHANGE_NAME, COMPARISON_NAME
from dicom_node.reporting.compared_scan import compared_scan
from dicom_node.reporting.comparison import LEAST_SIGNIFICANT_HU, PriorReport, compare
from dicom_node.reporting.report import report
from dicom_node.reporting.report_history import REPORT_FILE, mark_withdrawn
from dicom_node.reporting.report_index import COMPLETE, INDEX, ReportIndex
from dicom_node.reporting.report_model import Report, Warned
from dicom_node.reporting.words.comparison_words import comparison_words
from dicom_node.series.instances import scan_folder
from tests.assessment_builders import assessment
from tests.compared_studies import NATIVE, comparison, run, study, vertebrae_alone
from tests.dicom_builders import plain_series

NOW = date(2026, 3, 2)
THEN = date(2024, 3, 1)


@pytest.fixture(scope="module")
def present(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A report without contrast: L1 is 100 HU, L2 101, and so on."""
    folder = tmp_path_factory.mktemp("ct")
    plain_series(folder)
    return report(replace(assessment(folder), findings=(), image=NATIVE), {})


def changed(base: Report, by_hu: float = 0.0, **acquisition: Any) -> Report:
    """The report of another study whose means were higher by some HU."""
    sites = tuple(
        site.model_copy(update={"mean_hu": None if site.mean_hu is None else site.mean_hu + by_hu})
        for site in base.sites
    )
    scan = base.acquisition.model_copy(update=acquisition)
    return base.model_copy(update={"study_uid": "1.2.9", "sites": sites, "acquisition": scan})


def prior(content: Report | None, day: date | None = THEN, **others: Any) -> PriorReport:
    return PriorReport(**{"uid": "1.2.9.1", "study_uid": "1.2.9", **others}, study_date=day,
                       content=None if content is None else compared_scan(content))  # fmt: skip


def refused(present: Report, *priors: PriorReport, on: date | None = NOW) -> list[str]:
    found = compare(present, on, priors)
    assert found is not None
    assert found.earlier is None
    assert found.changes == ()
    return [item.code for item in found.not_compared]


def test_change_and_change_a_year_are_those_of_the_means_and_dates(present: Report) -> None:
    found = compare(present, NOW, [prior(changed(present, 15.0))])
    assert found is not None
    assert found.earlier is not None
    assert found.earlier.study_date == THEN
    assert [change.name for change in found.changes] == ["L1", "L2", "L3", "L4", "L5", "S1"]
    first = found.changes[0]
    assert (first.mean_hu, first.earlier_hu, first.change_hu) == (100.0, 115.0, -15.0)
    assert first.per_year_hu == pytest.approx(-15.0 / (731 / 365.25), abs=0.005)
    assert (first.least_significant_hu, first.significant) == (LEAST_SIGNIFICANT_HU["L1"], False)
    assert comparison_words(found)[0] == (
        "L1 100 HU, 115 HU on 2024-03-01: -15 HU, -7.5 a year; within the least significant "
        "change of 16 HU"
    )


@pytest.mark.parametrize(("by_hu", "significant"), [(16.0, False), (16.01, True), (-16.01, True)])
def test_change_is_significant_beyond_the_limit_alone(
    present: Report, by_hu: float, significant: bool
) -> None:
    found = compare(present, NOW, [prior(changed(present, by_hu))])
    assert found is not None
    assert found.changes[0].significant is significant
    assert ("beyond" in comparison_words(found)[0]) is significant


@pytest.mark.parametrize(
    ("acquisition", "code"),
    [
        ({"manufacturer": "SIEMENS"}, "scanner"),
        ({"model": "Other"}, "scanner"),
        ({"model": ""}, "scanner"),
        ({"kvp": 100.0}, "kvp"),
        ({"kvp": None}, "kvp"),
        ({"contrast": True}, "contrast"),
        ({"aorta_hu": None}, "contrast"),
        ({"kernel_class": "sharp"}, "kernel"),
        ({"slice_thickness_mm": 5.0}, "slice_thickness"),
    ],
)
def test_another_acquisition_is_not_compared(
    present: Report, acquisition: dict[str, Any], code: str
) -> None:
    assert refused(present, prior(changed(present, **acquisition))) == [code]


def test_spelling_and_rounding_of_the_same_scanner_are_no_difference(present: Report) -> None:
    a = present.acquisition
    same = changed(present, manufacturer=a.manufacturer.lower() + " ", kvp=120.3,
                   slice_thickness_mm=a.slice_thickness_mm + 0.5)  # fmt: skip
    found = compare(present, NOW, [prior(same)])
    assert found is not None
    assert found.earlier is not None


@pytest.mark.parametrize(
    ("day", "on", "others", "code"),
    [
        (THEN, NOW, {"withdrawn": True}, "withdrawn"),
        (THEN, NOW, {"superseded": True}, "superseded"),
        (date(2026, 3, 3), NOW, {}, "later_study"),
        (NOW, NOW, {}, "short_interval"),
        (date(2025, 9, 2), NOW, {}, "short_interval"),
        (None, NOW, {}, "unknown_date"),
        (THEN, None, {}, "unknown_date"),
    ],
)
def test_other_times_and_reports_that_do_not_stand_are_not_compared(
    present: Report, day: date | None, on: date | None, others: dict[str, Any], code: str
) -> None:
    assert refused(present, prior(changed(present), day, **others), on=on) == [code]


def test_the_same_study_another_segmenter_and_an_unreadable_report_are_not_compared(
    present: Report,
) -> None:
    newer = present.segmenter.model_copy(update={"version": "2"})
    other = changed(present).model_copy(update={"segmenter": newer})
    assert refused(present, prior(present, study_uid=present.study_uid)) == ["same_study"]
    assert refused(present, prior(other)) == ["segmenter"]
    assert refused(present, prior(None)) == ["unreadable"]


def test_the_newest_that_allows_it_is_compared_and_the_others_are_listed(present: Report) -> None:
    found = compare(
        present,
        NOW,
        [
            prior(changed(present, 40.0), date(2020, 1, 1), uid="1.1"),
            prior(changed(present, 20.0), date(2023, 1, 1), uid="1.2"),
            prior(changed(present, 20.0, kvp=100.0), date(2025, 1, 1), uid="1.3"),
        ],
    )
    assert found is not None
    assert found.earlier is not None
    assert found.earlier.sop_instance_uid == "1.2"
    assert [item.code for item in found.not_compared] == ["kvp"]


def test_of_two_on_the_same_day_the_choice_does_not_depend_on_the_order(present: Report) -> None:
    two = [prior(changed(present, hu), uid=uid) for uid, hu in (("1.1", 5.0), ("1.2", 30.0))]
    one, other = compare(present, NOW, two), compare(present, NOW, two[::-1])
    assert one == other


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("roi.fractured", "L1 has lost 40% of its height (wedge); its HU may mislead"),
        ("roi.dense_body", "L1 is 60 HU denser than the others"),
        ("roi.dense_lesion", "L1 holds a dense spot (cement, sclerosis or bone island)"),
        ("roi.focal_density", "L1 vertebral body: 9% of the ROI is much denser than the rest"),
    ],
)
def test_vertebra_with_a_finding_in_one_of_the_two_is_left_out(
    present: Report, code: str, message: str
) -> None:
    warned = changed(present).model_copy(update={"warnings": (Warned(code=code, message=message),)})
    found = compare(present, NOW, [prior(warned)])
    assert found is not None
    assert [change.name for change in found.changes] == ["L2", "L3", "L4", "L5", "S1"]


def test_no_other_reports_give_no_comparison_and_no_words(present: Report) -> None:
    assert compare(present, NOW, []) is None
    assert comparison_words(None) == ()


ANN = ("1", "", "19500101", "f", "ann")


@pytest.mark.parametrize(
    "other",
    [
        ("1", "b", "19500101", "f", "ann"),
        ("1", "", "19500102", "f", "ann"),
        ("1", "", "", "f", "ann"),
        ("1", "", "19500101", "m", "ann"),
        ("1", "", "19500101", "f", "eve"),
        ("2", "", "19500101", "f", "ann"),
        ("", "", "19500101", "f", "ann"),
    ],
    ids=["issuer", "birth date", "no birth date", "sex", "name", "ID", "no ID"],
)
def test_doubtful_identity_is_another_patient(other: tuple[str, ...]) -> None:
    assert is_surely_of(ANN, ANN)
    assert not is_surely_of(ANN, other)
    assert not is_surely_of(other, ANN)
    if not other[0] or not other[2]:
        assert not is_surely_of(other, other)


# ---- on the disk: from files to the report that is sent


@pytest.fixture(scope="module")
def node() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analysis, "assess", vertebrae_alone)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, node: None) -> tuple[Path, list[Path]]:
    """A node with the reports of 2024 and 2026, and the images of 2026; to be read alone."""
    folder = tmp_path_factory.mktemp("node")
    reports = folder / "reports"
    run(study(folder / "then", 1, "20240301"), reports / "one" / "a")
    paths = study(folder / "now", 2, "20260302")
    run(paths, reports / "two" / "b")
    return reports, paths


@pytest.fixture
def two(made: tuple[Path, list[Path]], tmp_path: Path) -> tuple[Path, list[Path]]:
    """The same node, to be changed."""
    shutil.copytree(made[0], tmp_path / "reports")
    return tmp_path / "reports", made[1]


def test_the_earlier_report_stands_in_every_output(two: tuple[Path, list[Path]]) -> None:
    reports, paths = two
    earlier = pydicom.dcmread(reports / "one" / "a" / REPORT_FILE)
    found = comparison(reports / "two" / "b")
    assert found is not None
    assert found["earlier"]["sop_instance_uid"] == earlier.SOPInstanceUID
    assert {change["change_hu"] for change in found["changes"]} == {-30.0}
    text = (reports / "two" / "b" / "report.txt").read_text()
    assert "Change    L1 100 HU, 130 HU on 2024-03-01: -30 HU" in text
    document = pydicom.dcmread(reports / "two" / "b" / REPORT_FILE)
    words = item(document, "111414", "COMPARISON", "121106").TextValue
    assert words.startswith("L1 100 HU, 130 HU on 2024-03-01: -30 HU")
    assert comparison(reports / "one" / "a") is None
    assert len(paths) == 40


def test_the_same_images_with_the_same_prior_are_the_same_report(
    two: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    reports, paths = two
    again = run(paths, reports / "two" / "c")
    assert again.folder == "b"
    alone = run(paths, tmp_path / "alone" / "two" / "b")
    assert alone.identity != again.identity
    assert run(paths, reports / "three" / "b").identity != alone.identity


def test_a_prior_whose_two_forms_differ_is_no_prior(
    two: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    reports, paths = two
    path = reports / "one" / "a" / "report.json"
    path.write_text(path.read_text().replace("130.0", "131.0"))
    shutil.rmtree(reports / "two")
    assert run(paths, reports / "two" / "c").reported
    found = comparison(reports / "two" / "c")
    assert found is not None
    assert (found["earlier"], [item["code"] for item in found["not_compared"]]) == (
        None, ["unreadable"],
    )  # fmt: skip


def test_an_old_study_that_comes_late_gives_a_report_that_supersedes(
    tmp_path: Path, node: None
) -> None:
    reports = tmp_path / "reports"
    now = study(tmp_path / "now", 2, "20260302")
    first = run(now, reports / "two" / "b")
    run(study(tmp_path / "then", 1, "20240301"), reports / "one" / "a")
    late = comparison(reports / "one" / "a")
    assert late is not None
    assert [item["code"] for item in late["not_compared"]] == ["later_study"]
    second = run(now, reports / "two" / "c")
    assert (second.folder, second.identity != first.identity) == ("c", True)
    assert "PredecessorDocumentsSequence" in pydicom.dcmread(reports / "two" / "c" / REPORT_FILE)
    assert run(now, reports / "two" / "d").folder == "c"


@pytest.mark.parametrize(
    "other",
    [
        {"IssuerOfPatientID": "ELSEWHERE"},
        {"PatientBirthDate": ""},
    ],
    ids=["issuer", "no birth date"],
)
def test_reports_of_another_patient_are_never_a_prior(
    tmp_path: Path, node: None, other: dict[str, str]
) -> None:
    reports = tmp_path / "reports"
    run(study(tmp_path / "then", 1, "20240301", **other), reports / "one" / "a")
    run(study(tmp_path / "now", 2, "20260302"), reports / "two" / "b")
    assert comparison(reports / "two" / "b") is None


def test_withdrawn_and_superseded_reports_are_no_prior(tmp_path: Path, node: None) -> None:
    reports = tmp_path / "reports"
    then = study(tmp_path / "then", 1, "20240301")
    run(then, reports / "one" / "a")
    mark_withdrawn(reports / "one" / "a" / REPORT_FILE, "x")
    run(study(tmp_path / "now", 2, "20260302"), reports / "two" / "b")
    found = comparison(reports / "two" / "b")
    assert found is not None
    assert found["earlier"] is None
    assert [item["code"] for item in found["not_compared"]] == ["withdrawn"]
    assert COMPARISON_NAME[2] not in str(pydicom.dcmread(reports / "two" / "b" / REPORT_FILE))


def test_index_of_patients_is_made_anew_and_forgotten(two: tuple[Path, list[Path]]) -> None:
    reports, _ = two
    index = ReportIndex(reports)
    patient = ("p1", "", "", "", "")
    assert len(index.of_patient(patient)) == 2
    assert index.of_patient(("", "", "19500101", "f", "ann a")) == []
    index.forget(reports / "one")
    assert [found.study for found in index.of_patient(patient)] == ["two"]
    (reports / INDEX / "complete").touch()
    index.prepare()
    assert (reports / INDEX / COMPLETE).exists()
    assert len(index.of_patient(patient)) == 2


def test_a_finding_of_the_index_without_a_report_is_passed_over(tmp_path: Path) -> None:
    index = ReportIndex(tmp_path)
    index.add("study", "crashed", ["1.2"], ANN)
    assert index.of_patient(ANN) == []


# ---- the check before sending


def item(document: Dataset, *names: str) -> Dataset:
    """The first content item under a path of code values."""
    found = document
    for name in names:
        found = next(
            child
            for child in found.ContentSequence
            if child.ConceptNameCodeSequence[0].CodeValue == name
        )
    return found


def faults(two: tuple[Path, list[Path]], document: Dataset, earlier: Dataset | None) -> set[str]:
    written = BytesIO()
    document.save_as(written, enforce_file_format=True)
    read = pydicom.dcmread(BytesIO(written.getvalue()))
    return {
        fault.code for fault in find_faults(read, sources_of(scan_folder(two[1])[0]), (), earlier)
    }


CHANGE = ("111414", "COMPARISON", CHANGE_NAME[0])


@pytest.mark.parametrize(
    "path",
    [CHANGE, *((*CHANGE, name) for name in ("112031", "CHANGE-A-YEAR", "LEAST-SIGNIF"))],
    ids=["change", "earlier mean", "change a year", "least significant change"],
)
def test_a_number_that_does_not_follow_from_both_reports_is_refused(
    two: tuple[Path, list[Path]], path: tuple[str, ...]
) -> None:
    earlier = pydicom.dcmread(two[0] / "one" / "a" / REPORT_FILE)
    document = pydicom.dcmread(two[0] / "two" / "b" / REPORT_FILE)
    assert faults(two, document, earlier) == set()
    number = item(document, *path).MeasuredValueSequence[0]
    number.NumericValue = float(number.NumericValue) + 0.1
    assert faults(two, document, earlier) == {"report.comparison"}


def test_words_date_reference_and_unit_of_a_comparison_are_checked(
    two: tuple[Path, list[Path]],
) -> None:
    earlier = pydicom.dcmread(two[0] / "one" / "a" / REPORT_FILE)
    path = two[0] / "two" / "b" / REPORT_FILE
    for where, keyword, value in (
        (("111414", "COMPARISON", "121106"), "TextValue", "L1 unchanged"),
        (("111414", "COMPARISON", "111060"), "Date", "20230301"),
    ):
        document = pydicom.dcmread(path)
        setattr(item(document, *where), keyword, value)
        assert faults(two, document, earlier) == {"report.comparison"}
    document = pydicom.dcmread(path)
    reference = item(document, "111414", "COMPARISON", "EARLIER-REPORT").ReferencedSOPSequence[0]
    reference.ReferencedSOPInstanceUID = "1.2.3.99"
    assert "report.comparison" in faults(two, document, earlier)
    document = pydicom.dcmread(path)
    per_year = item(document, *CHANGE, "CHANGE-A-YEAR").MeasuredValueSequence[0]
    per_year.MeasurementUnitsCodeSequence = (
        item(document, *CHANGE).MeasuredValueSequence[0].MeasurementUnitsCodeSequence
    )
    assert faults(two, document, earlier) == {"report.comparison"}


def test_a_comparison_without_the_earlier_report_or_of_another_patient_is_refused(
    two: tuple[Path, list[Path]],
) -> None:
    earlier = pydicom.dcmread(two[0] / "one" / "a" / REPORT_FILE)
    document = pydicom.dcmread(two[0] / "two" / "b" / REPORT_FILE)
    assert faults(two, document, None) == {"report.comparison"}
    earlier.PatientBirthDate = "19500102"
    assert faults(two, document, earlier) == {"report.comparison_patient"}
    del document.PertinentOtherEvidenceSequence
    assert "report.comparison" in faults(two, document, earlier)
