"""Identity follows content: versions of instances, patients of a study, identities of reports."""

import itertools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import highdicom._standard_utils as standard
import numpy as np
import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian, JPEGLSLossless

from dicom_node.analysis import analysis
from dicom_node.analysis.analysis import analyse, series_identity
from dicom_node.analysis.outcome import Outcome
from dicom_node.assessment.segmenters import SegmenterPlan
from dicom_node.decoding import plane_reader
from dicom_node.reporting.report_history import REPORT_FILE, mark_withdrawn
from dicom_node.reporting.report_index import ReportIndex
from dicom_node.reporting.structured_report import report_uids
from dicom_node.reporting.withdrawal import write_withdrawal
from dicom_node.series import instances as instance_module
from dicom_node.series import spectral
from dicom_node.series.content import (
    DESCRIBING,
    MEASURED,
    header_digests,
    is_inherited,
    pixels_digest,
)
from dicom_node.series.instances import scan_folder
from dicom_node.series.membership import SurveyRow, decide
from dicom_node.series.selection import check_series
from dicom_node.series.survey import survey
from dicom_node.series.volume_reader import read_volume
from dicom_node.settings.node import Acquisition
from dicom_node.spool.spool import Spool, SpooledSeries, SpooledStudy, spool_name
from dicom_node.spool.versions import MAX_VERSIONS, TooManyVersions, version_paths
from dicom_node.work.complete_study import complete_study, doubts
from tests.dicom_builders import edit, plain_series
from tests.quick_assessment import QuickStager, quick_assessment

RULES = Acquisition(min_coverage_mm=90)


def row(number: int, version: int = 0, series: str = "1.2", **changes: Any) -> SurveyRow:
    """A version of an instance of Jane, unless it is changed."""
    values: dict[str, Any] = {
        "path": Path(series) / f"{number}.{version}.dcm",
        "order": (version, 0),
        "series_uid": series,
        "sop_instance_uid": f"{series}.{number}",
        "patient": ("p1", "", "19500101", "f", "doe jane"),
        "inherited": "jane",
        "measured": "m",
        "pixels": "p",
    }
    return SurveyRow(**(values | changes))


JOHN: dict[str, Any] = {"patient": ("p2", "", "19500101", "m", "doe john"), "inherited": "john"}


def names(rows: Sequence[SurveyRow]) -> list[str]:
    return [item.path.stem for item in rows]


@pytest.mark.parametrize(
    ("rows", "counted", "conflicts", "foreign", "mixed"),
    [
        ([row(1), row(2)], ["1.0", "2.0"], 0, [], False),
        ([row(1), row(1, 1, **JOHN)], ["1.1"], 0, [], False),
        ([row(1, 1), row(1), row(1, 2)], ["1.2"], 0, [], False),
        ([row(1), row(1, 1, pixels="q"), row(2)], ["1.1", "2.0"], 1, [], False),
        ([row(1), row(1, 1, measured="n")], ["1.1"], 1, [], False),
        ([*map(row, range(3)), row(3, **JOHN)], ["0.0", "1.0", "2.0"], 0, ["3.0"], False),
        ([*map(row, range(2)), row(3, **JOHN)], ["0.0", "1.0"], 0, ["3.0"], True),
        ([row(1), row(2, **JOHN)], ["1.0"], 0, ["2.0"], True),
        (
            [*map(row, range(5)), row(1, series="1.3", **JOHN), row(2, series="1.3", **JOHN)],
            ["0.0", "1.0", "2.0", "3.0", "4.0"], 0, ["1.0", "2.0"], False,
        ),
        (
            [*map(row, range(9)), row(1, series="1.3", **JOHN), row(2, series="1.3")],
            [*(f"{k}.0" for k in range(9)), "2.0"], 0, ["1.0"], True,
        ),
        ([row(1), row(2, patient=("p1", "issuer", "", "f", ""))], ["1.0", "2.0"], 0, [], False),
        ([row(1), row(2), row(3), row(4, patient=("", "", "", "", ""))],
         ["1.0", "2.0", "3.0"], 0, ["4.0"], False),
        ([], [], 0, [], False),
    ],
    ids=[
        "all agree", "a correction counts", "the newest of three", "other pixels", "other elements",
        "one odd slice", "two thirds are not clear", "half and half", "an odd series",
        "a series without a majority", "empty elements do not differ", "no patient is another",
        "nothing",
    ],
)  # fmt: skip
def test_what_counts_is_odd_and_contradicts(
    rows: list[SurveyRow], counted: list[str], conflicts: int, foreign: list[str], mixed: bool
) -> None:
    for given in (rows, rows[::-1]):
        found = decide(given)
        if not mixed or len(counted) != len(foreign):  # of two halves either may be the odd one
            assert names(found.counted) == counted
            assert names(found.foreign) == foreign
        assert len(found.conflicting) == conflicts
        assert found.mixed is mixed


def test_a_correction_that_is_half_there_is_noticed_and_a_whole_one_is_not() -> None:
    other = {"inherited": "other accession"}
    old = [row(number) for number in range(4)]
    half = decide([*old, row(0, 1, **other)])
    assert (half.corrected, half.uncorrected) == (1, 3)
    assert [finding.code for finding in doubts(half)] == ["input.partly_corrected"]
    whole = decide([*old, *(row(number, 1, **other) for number in range(4))])
    assert doubts(whole) == []


def test_findings_name_elements_and_never_values() -> None:
    member = decide([*(row(number) for number in range(5)), row(9, **JOHN)])
    [finding] = doubts(member)
    assert finding.code == "input.foreign_instances"
    assert "PatientID, PatientName, PatientSex" in finding.message
    assert "p2" not in finding.message
    assert "john" not in finding.message


def store(spool: Spool, path: Path, header: bytes = b"", **changes: Any) -> str:
    dataset = pydicom.dcmread(path)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    changed = path.with_suffix(".changed")
    dataset.save_as(changed)
    return spool.store(
        changed.read_bytes(), str(dataset.SeriesInstanceUID), str(dataset.SOPInstanceUID), header,
        study_uid=str(dataset.StudyInstanceUID),
    )  # fmt: skip


def spool_at(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "data", durable=False)
    spool.prepare()
    return spool


def files(spool: Spool) -> list[Path]:
    return sorted(spool.series.glob("*/*.dcm"))


def test_instance_that_comes_again_is_kept_beside_the_first_only_if_it_differs(
    tmp_path: Path,
) -> None:
    spool, [path] = spool_at(tmp_path), plain_series(tmp_path / "ct", 1)
    assert store(spool, path) == "new"
    [first] = files(spool)
    content = first.read_bytes()
    [study] = spool.unsettled()
    spool.settle(study)
    assert store(spool, path) == "repeated"
    assert spool.unsettled() == []
    assert store(spool, path, PatientID="RIGHT") == "different"
    assert len(spool.unsettled()) == 1
    assert store(spool, path, PatientID="RIGHT") == "repeated"
    assert store(spool, path) == "different", "what counted first comes back"
    assert first.read_bytes() == content
    stem = first.stem
    assert [p.stem for p in version_paths(first.parent, stem)] == [stem, f"{stem}.1", f"{stem}.2"]


@pytest.mark.parametrize(
    ("discarded", "left"),
    [((0,), [b"B", b"C"]), ((1,), [b"A", b"C"]), ((2,), [b"A", b"B"]), ((0, 1, 2), [])],
)
def test_discarded_versions_leave_the_others_in_their_order(
    tmp_path: Path, discarded: tuple[int, ...], left: list[bytes]
) -> None:
    spool = spool_at(tmp_path)
    for content in (b"A", b"B", b"C"):
        spool.store(content, "1.2", "1.2.3", study_uid="1")
    [folder] = spool.series.iterdir()
    name = spool_name("1.2.3")
    paths = version_paths(folder, name)
    [study] = spool.unsettled()
    spool.settle(study)
    spool.discard(study.key, [paths[number] for number in discarded])
    assert [path.read_bytes() for path in version_paths(folder, name)] == left
    assert not left or (folder / f"{name}.dcm").exists()
    assert [found.key for found in spool.unsettled()] == [study.key]
    assert not list(spool.removed.iterdir())


def test_versions_of_an_instance_are_limited(tmp_path: Path) -> None:
    spool, [path] = spool_at(tmp_path), plain_series(tmp_path / "ct", 1)
    for number in range(MAX_VERSIONS):
        store(spool, path, PatientID=f"P{number}")
    with pytest.raises(TooManyVersions):
        store(spool, path, PatientID="P")
    assert len(files(spool)) == MAX_VERSIONS


def test_of_many_writers_none_loses_or_overwrites_anything(tmp_path: Path) -> None:
    spools = [spool_at(tmp_path) for _ in range(4)]
    receipts: list[str] = []

    def send(spool: Spool) -> None:
        for number in range(40):
            for content in (b"one", b"other"):
                receipts.append(spool.store(content, "1.2", f"1.2.{number}", study_uid="1"))

    threads = [threading.Thread(target=send, args=(spool,)) for spool in spools]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert receipts.count("new") == 40
    for number in range(40):
        [folder] = spools[0].series.iterdir()
        kept = [p.read_bytes() for p in version_paths(folder, spool_name(f"1.2.{number}"))]
        assert set(kept) == {b"one", b"other"}
        assert all(one != other for one, other in itertools.pairwise(kept))
    assert not list(spools[0].incoming.iterdir())


def test_series_under_two_studies_is_two_series(tmp_path: Path) -> None:
    spool, [path] = spool_at(tmp_path), plain_series(tmp_path / "ct", 1)
    assert store(spool, path) == "new"
    assert store(spool, path, StudyInstanceUID="1.2.3") == "new"
    assert [len(spool.load(study).series) for study in spool.arrivals()] == [1, 1]


def test_digests_cover_what_highdicom_copies_into_a_report() -> None:
    sop_class = standard.get_sop_class_iod_map()["1.2.840.10008.5.1.4.1.1.2"]
    copied = [
        str(attribute["keyword"])
        for module in standard.get_iod_module_map()[sop_class]
        if module["ie"] in ("Patient", "Study")
        for attribute in standard.get_module_attribute_map()[module["key"]]
        if not attribute["path"]
    ]
    assert len(copied) > 90
    left = [keyword for keyword in copied if not is_inherited(pydicom.tag.Tag(keyword))]
    assert left == ["StudyInstanceUID"]


IDENTIFYING = {
    "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "TransferSyntaxUID",
    "MediaStorageSOPClassUID",
}  # fmt: skip
UNMEASURED = {"SourceApplicationEntityTitle"}
"""Who sent a file, in its meta information, which is no part of the instance."""


def test_digests_cover_every_element_that_is_read() -> None:
    source = "".join(
        Path(m.__file__ or "").read_text() for m in (instance_module, plane_reader, spectral)
    )
    known = [word for word in pydicom.datadict.keyword_dict if word]
    keywords = {word for word in known if f'"{word}"' in source}
    keywords |= {word for word in known if f"dataset.{word}" in source}
    assert len(keywords) > 25
    read = keywords - IDENTIFYING - UNMEASURED - {*MEASURED, *DESCRIBING, "PixelData"}
    assert {k for k in read if not is_inherited(pydicom.tag.Tag(k))} == set()


def content_digests(dataset: pydicom.Dataset) -> dict[str, str]:
    return {**vars(header_digests(dataset)), "pixels": pixels_digest(dataset)}


@pytest.mark.parametrize(
    ("keyword", "value", "changed"),
    [
        ("PatientID", "P9", "inherited"), ("PatientBirthDate", "19010101", "inherited"),
        ("PatientSex", "O", "inherited"), ("PatientAge", "099Y", "inherited"),
        ("PatientWeight", 99, "inherited"), ("AccessionNumber", "A9", "inherited"),
        ("StudyDescription", "other", "inherited"), ("ClinicalTrialSiteID", "S", "inherited"),
        ("KVP", 80, "measured"), ("ImagePositionPatient", [1, 2, 3], "measured"),
        ("PixelSpacing", [0.5, 0.5], "measured"), ("RescaleSlope", 2, "measured"),
        ("RescaleIntercept", -1000, "measured"), ("SliceThickness", 9, "measured"),
        ("ConvolutionKernel", "EDGE", "measured"), ("PixelPaddingValue", 7, "measured"),
        ("ImageType", ["DERIVED", "PRIMARY"], "measured"), ("Manufacturer", "X", "measured"),
        ("ContrastBolusAgent", "IODINE", "measured"), ("GantryDetectorTilt", 5, "measured"),
        ("PatientPosition", "FFS", "measured"), ("LossyImageCompression", "01", "measured"),
        ("PixelData", b"\0\0", "pixels"), ("StationName", "CT9", ""),
        ("SeriesDescription", "other", "inherited"), ("InstanceCreationDate", "20200101", ""),
        ("LossyImageCompression", "00", ""), ("PatientComments", "", ""),
    ],
)  # fmt: skip
def test_a_change_shows_in_the_digest_that_it_belongs_to(
    tmp_path: Path, keyword: str, value: object, changed: str
) -> None:
    dataset = pydicom.dcmread(plain_series(tmp_path, 1)[0])
    before = content_digests(dataset)
    setattr(dataset, keyword, value)
    after = content_digests(dataset)
    found = [name for name in before if before[name] != after[name]]
    assert found == ([changed] if changed else [])


def test_encoding_of_the_data_set_does_not_show_in_the_digests(tmp_path: Path) -> None:
    [path] = plain_series(tmp_path, 1)
    edit(path, PatientName="Müller^Jörg", SpecificCharacterSet="ISO_IR 100")
    before = content_digests(pydicom.dcmread(path))
    dataset = pydicom.dcmread(path)
    dataset.decode()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.save_as(path)
    assert content_digests(pydicom.dcmread(path)) == before


def compress(path: Path, out: Path) -> Path:
    dataset = pydicom.dcmread(path)
    dataset.compress(JPEGLSLossless, generate_instance_uid=False)
    dataset.save_as(out)
    return out


def versions(folder: Path, make: Callable[[Path, Path], object]) -> list[Path]:
    """Three slices, the first of which came again as ``make`` makes it."""
    paths = plain_series(folder, 3)
    again = folder / f"{paths[0].stem}.1.dcm"
    make(paths[0], again)
    return [*paths, again]


def damage(path: Path, out: Path) -> None:
    dataset = pydicom.dcmread(path)
    dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 2]
    dataset.save_as(out)


def other_pixels(path: Path, out: Path) -> None:
    dataset = pydicom.dcmread(path)
    dataset.PixelData = (dataset.pixel_array + 1).astype(np.int16).tobytes()
    dataset.save_as(out)


def test_lossless_recompression_is_the_same_and_other_pixels_are_a_conflict(
    tmp_path: Path,
) -> None:
    same = survey(versions(tmp_path / "a", compress)).membership
    assert same.conflicting == ()
    assert sorted(names(same.counted)) == ["0001", "0002", "0003.1"]
    other = survey(versions(tmp_path / "b", other_pixels)).membership
    assert [names(group) for group in other.conflicting] == [["0003", "0003.1"]]


def test_a_damaged_version_says_nothing_against_a_whole_one(tmp_path: Path) -> None:
    damaged = survey(versions(tmp_path / "a", damage)).membership
    assert damaged.conflicting == ()
    assert sorted(names(damaged.counted)) == ["0001", "0002", "0003"]
    cut = survey(versions(tmp_path / "b", lambda _path, out: out.write_bytes(b"cut")))
    assert cut.unreadable == ()
    assert sorted(names(cut.membership.counted)) == ["0001", "0002", "0003"]


def identity_of(paths: Sequence[Path], rules: Acquisition = RULES, model: str = "model") -> str:
    found, _ = scan_folder(paths)
    series = check_series(found, rules)
    return series_identity(series, read_volume(series), rules, model)


CHANGES: list[dict[str, Any]] = [
    {"PatientID": "P2"}, {"PatientName": "Doe^Jane"}, {"PatientBirthDate": "19510101"},
    {"PatientSex": "M"}, {"IssuerOfPatientID": "HOSPITAL"}, {"AccessionNumber": "A2"},
    {"StudyDescription": "other"}, {"StudyInstanceUID": "1.2.99"}, {"SeriesInstanceUID": "1.2.98"},
    {"RescaleIntercept": "-1023"}, {"KVP": "119.9"}, {"ConvolutionKernel": "B30f"},
    {"PatientAge": "071Y"}, {"StudyDate": "20200101"},
]  # fmt: skip


def test_no_two_contents_have_reports_with_one_uid(tmp_path: Path) -> None:
    uids = []
    for number, change in enumerate([{}, *CHANGES]):
        paths = plain_series(tmp_path / str(number))
        for path in paths:
            edit(path, **change)
        uids.append(report_uids(identity_of(paths)))
    paths = plain_series(tmp_path / "more")
    uids.append(report_uids(identity_of(paths[1:])))
    uids.append(report_uids(identity_of(paths, model="other")))
    uids.append(report_uids(identity_of(paths, Acquisition(min_coverage_mm=80))))
    other_pixels(paths[7], paths[7])
    uids.append(report_uids(identity_of(paths)))
    assert len({uid for pair in uids for uid in pair}) == 2 * len(uids)


def test_what_a_report_does_not_depend_on_leaves_its_identity(tmp_path: Path) -> None:
    paths = plain_series(tmp_path / "a")
    before = identity_of(paths)
    for path in paths:
        edit(path, StationName="CT9", InstanceCreationDate="20200101")
        compress(path, path)
    assert identity_of(paths[::-1]) == before


def test_work_follows_content_and_not_how_it_came(tmp_path: Path) -> None:
    spool, paths = spool_at(tmp_path), plain_series(tmp_path / "ct", 4)

    def identity() -> str:
        [study] = spool.arrivals()
        content = spool.load(study)
        [series] = content.series
        complete = complete_study(content, survey(spool.paths(series.key, series.names)))
        assert complete.hold is None
        assert [len(chosen) for chosen in complete.names.values()] == [4]
        return complete.identity

    for path in paths:
        store(spool, path)
    first = identity()
    for path in paths:
        store(spool, path, StationName="CT9")
    assert identity() == first
    for path in paths:
        store(spool, path, PatientID="RIGHT")
    assert identity() != first
    for path in paths:
        store(spool, path)
    assert identity() == first


def test_conflict_holds_and_a_mixed_study_is_refused(tmp_path: Path) -> None:
    paths = versions(tmp_path, other_pixels)
    folder = SpooledSeries(tmp_path.name, tuple(path.stem for path in paths))
    study = SpooledStudy("key", (folder,))
    held = complete_study(study, survey(paths)).hold
    assert held is not None
    assert (held.state, held.code) == ("failed", "input.conflicting_instance")
    assert "1 instances" in held.reason
    assert "osteonode discard" in held.reason
    edit(paths[1], PatientID="OTHER")
    refused = complete_study(study, survey(paths[:3])).hold
    assert refused is not None
    assert (refused.state, refused.code) == ("refused", "input.patient_mismatch")
    assert "PatientID" in refused.reason
    assert "OTHER" not in refused.reason


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "assess", quick_assessment)


def run(paths: Sequence[Path], out: Path) -> Outcome:
    return analyse(paths, out, RULES, QuickStager(), None, SegmenterPlan(), out.parent)


def predecessors(path: Path) -> int:
    return len(pydicom.dcmread(path).get("PredecessorDocumentsSequence", ()))


@pytest.mark.usefixtures("quick")
def test_report_under_another_patient_is_found_and_not_named_as_predecessor(
    tmp_path: Path,
) -> None:
    paths = plain_series(tmp_path / "ct")
    reports = tmp_path / "reports"
    wrong = run(paths, reports / "study" / "a")
    for path in paths:
        edit(path, PatientID="RIGHT-7")
    right = run(paths, reports / "study" / "b")
    assert [report.folder for report in right.displaced] == [wrong.folder]
    assert predecessors(reports / "study" / "b" / REPORT_FILE) == 0
    assert right.identity != wrong.identity
    mark_withdrawn(right.displaced[0].path, "b")
    assert run(paths, reports / "study" / "b").displaced == right.displaced, "done again"
    for path in paths:
        edit(path, AccessionNumber="A-2")
    study_only = run(paths, reports / "study" / "c")
    assert study_only.displaced == ()
    assert predecessors(reports / "study" / "c" / REPORT_FILE) == 1


@pytest.mark.usefixtures("quick")
def test_report_on_the_same_images_under_another_study_is_found(tmp_path: Path) -> None:
    paths = plain_series(tmp_path / "ct")
    reports = tmp_path / "reports"
    first = run(paths, reports / "one" / "a")
    for path in paths:
        edit(path, StudyInstanceUID="1.2.3.99")
    second = run(paths, reports / "two" / "b")
    assert [(found.study, found.folder) for found in second.displaced] == [("one", "a")]
    assert first.sha256 != second.sha256
    index = ReportIndex(reports)
    index.forget(reports / "one")
    uids = [str(pydicom.dcmread(path).SOPInstanceUID) for path in paths]
    assert [found.study for found in index.find(uids)] == ["two"]
    index.prepare()
    assert {found.study for found in index.find(uids)} == {"one", "two"}


@pytest.mark.usefixtures("quick")
def test_what_was_withdrawn_and_counts_again_gets_a_report_of_its_own(tmp_path: Path) -> None:
    paths = plain_series(tmp_path / "ct")
    reports = tmp_path / "reports"
    first = run(paths, reports / "study" / "a")
    mark_withdrawn(reports / "study" / "a" / REPORT_FILE, "b")
    again = run(paths, reports / "study" / "c")
    assert (again.folder, again.identity != first.identity) == ("c", True)


@pytest.mark.usefixtures("quick")
def test_withdrawal_rejects_the_report_in_its_own_patient_and_study(tmp_path: Path) -> None:
    run(plain_series(tmp_path / "ct"), tmp_path / "reports" / "study" / "a")
    report = tmp_path / "reports" / "study" / "a" / REPORT_FILE
    wrong = pydicom.dcmread(report)
    path = write_withdrawal(report)
    note = pydicom.dcmread(path)
    assert note.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.59"
    assert (note.PatientID, note.StudyInstanceUID) == (wrong.PatientID, wrong.StudyInstanceUID)
    [title] = note.ConceptNameCodeSequence
    assert (title.CodeValue, title.CodingSchemeDesignator) == ("113037", "DCM")
    [evidence] = note.CurrentRequestedProcedureEvidenceSequence
    [series] = evidence.ReferencedSeriesSequence
    [rejected] = series.ReferencedSOPSequence
    assert rejected.ReferencedSOPInstanceUID == wrong.SOPInstanceUID
    content = path.read_bytes()
    assert write_withdrawal(report).read_bytes() == content
    path.unlink()
    assert pydicom.dcmread(write_withdrawal(report)).SOPInstanceUID == note.SOPInstanceUID
