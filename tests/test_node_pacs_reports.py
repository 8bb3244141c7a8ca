"""Earlier reports from a PACS: found by C-FIND, got by C-GET, and of the same patient or none."""

import random
import shutil
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless
from structlog.testing import capture_logs

import dicom_node.analysis.analysis as analysis
import dicom_node.analysis.models as models
import dicom_node.sending.allowance as allowance
import dicom_node.sending.pacs_reports as pacs_reports
from dicom_node.analysis.earlier_reports import find_earlier
from dicom_node.errors import QueryFailed
from dicom_node.reporting.report_history import ASK_AGAIN, IMAGE_FILE, REPORT_FILE
from dicom_node.reporting.report_index import ReportIndex
from dicom_node.reporting.report_model import Comparison, Report
from dicom_node.reporting.withdrawal import write_withdrawal
from dicom_node.sending.pacs_reports import PacsReports
from dicom_node.sending.retrieval import Retrieval
from dicom_node.series.patients import patient_of
from dicom_node.settings.node import NodeSettings
from dicom_node.settings.work import Query
from dicom_node.work.assessment_pool import assess_in_child
from tests.compared_studies import comparison, run, study, vertebrae_alone
from tests.fault_node import FaultNode, MoodyPacs, send_until_taken
from tests.quick_assessment import QuickStager
from tests.report_pacs import ReportPacs, slowly
from tests.test_node_pacs import Dcmqrscp
from tests.test_node_peers import Orthanc, dcmtk_storescu

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def node() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analysis, "assess", vertebrae_alone)
        yield


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory, node: None) -> Path:
    """Another node's report of 2024 with its images; to be read alone."""
    folder = tmp_path_factory.mktemp("past")
    run(study(folder / "ct", 1, "20240301"), folder / "reports" / "one" / "a")
    return folder


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The images of 2026; to be read alone."""
    return study(tmp_path_factory.mktemp("now"), 2, "20260302")


@pytest.fixture
def held(past: Path) -> list[Dataset]:
    """What the PACS holds: the report and its images."""
    paths = [past / "reports" / "one" / "a" / REPORT_FILE, *sorted((past / "ct").iterdir())]
    return [pydicom.dcmread(path) for path in paths]


EVIDENCE = "CurrentRequestedProcedureEvidenceSequence"


def archive(query: Query, folder: Path) -> PacsReports:
    return PacsReports(query, "NODE", folder / "earlier")


@pytest.fixture(scope="module")
def present(now: list[Path], node: None, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of 2026."""
    out = tmp_path_factory.mktemp("present") / "reports" / "two" / "b"
    run(now, out)
    return Report.model_validate_json((out / "report.json").read_bytes())


@dataclass
class Asker:
    """Compares the report of 2026 with what a PACS holds."""

    present: Report
    header: Dataset
    folder: Path

    def __call__(
        self, held: list[Dataset], *changes: Callable[[ReportPacs], None]
    ) -> Comparison | None:
        with ReportPacs(held) as pacs:
            for change in changes:
                change(pacs)
            archive(pacs.query, self.folder).fetch(self.header, "two", [self.present.study_uid])
            self.pacs = pacs
        return find_earlier(
            ReportIndex(self.folder / "reports"),
            patient_of(self.header),
            self.present.study_uid,
            archived=archive(pacs.query, self.folder).kept("two"),
        ).compare(self.present, date(2026, 3, 2))


@pytest.fixture
def compared(present: Report, now: list[Path], tmp_path: Path) -> Asker:
    return Asker(present, header(now), tmp_path)


def header(now: list[Path]) -> Dataset:
    return pydicom.dcmread(now[0], stop_before_pixels=True)


def reasons(found: Comparison | None) -> list[str]:
    assert found is not None
    return [item.code for item in found.not_compared]


def test_report_from_the_pacs_is_compared_as_one_of_the_node(
    held: list[Dataset], now: list[Path], past: Path, tmp_path: Path
) -> None:
    with ReportPacs(held) as pacs:
        run(now, tmp_path / "reports" / "two" / "b", archive(pacs.query, tmp_path))
    found = comparison(tmp_path / "reports" / "two" / "b")
    shutil.copytree(past / "reports", tmp_path / "own" / "reports")
    run(now, tmp_path / "own" / "reports" / "two" / "b")
    assert found is not None
    assert found == comparison(tmp_path / "own" / "reports" / "two" / "b")
    assert found["earlier"]["sop_instance_uid"] == held[0].SOPInstanceUID
    assert {change["change_hu"] for change in found["changes"]} == {-30.0}
    assert [asked.QueryRetrieveLevel for asked in pacs.asked] == ["STUDY", "SERIES"]
    # the report, and one image of those that it is on
    assert [asked.QueryRetrieveLevel for asked in pacs.got] == ["SERIES", "IMAGE"]
    one, other = (
        (folder / "reports" / "two" / "b" / REPORT_FILE).read_bytes()
        for folder in (tmp_path, tmp_path / "own")
    )
    assert pydicom.dcmread(BytesIO(one)).SOPInstanceUID == (
        pydicom.dcmread(BytesIO(other)).SOPInstanceUID
    )


def test_study_of_which_the_node_has_a_report_is_not_asked_for(
    held: list[Dataset], now: list[Path], past: Path, tmp_path: Path
) -> None:
    shutil.copytree(past / "reports", tmp_path / "reports")
    with ReportPacs(held) as pacs:
        run(now, tmp_path / "reports" / "two" / "b", archive(pacs.query, tmp_path))
    found = comparison(tmp_path / "reports" / "two" / "b")
    assert found is not None
    assert found["earlier"] is not None
    assert found["not_compared"] == []
    assert [asked.QueryRetrieveLevel for asked in pacs.asked] == ["STUDY"]
    assert pacs.got == []


@pytest.mark.parametrize(
    "other",
    [
        {"PatientBirthDate": "19500102"},
        {"PatientBirthDate": ""},
        {"IssuerOfPatientID": "ELSEWHERE"},
        {"PatientName": "Eve^A"},
        {"PatientID": "P2"},
    ],
    ids=["birth date", "no birth date", "issuer", "name", "ID"],
)
def test_report_of_another_patient_in_the_pacs_is_never_a_prior(
    held: list[Dataset], compared: Asker, other: dict[str, str]
) -> None:
    """Also where the PACS itself says that the study is the patient's."""

    def lying(pacs: ReportPacs) -> None:
        claims = [deepcopy(h) for h in held]
        for instance in pacs.held:
            for keyword, value in other.items():
                setattr(instance, keyword, value)
        find = pacs._answers

        def answers(asked: Dataset) -> list[Dataset]:
            told, pacs.held = pacs.held, claims
            found = find(asked)
            pacs.held = told
            return found

        pacs._answers = answers  # type: ignore[method-assign]

    assert compared(held, lying) is None
    assert compared.pacs.got != []


def changed(document: Dataset, keyword: str, value: object) -> None:
    setattr(document, keyword, value)


def impossible(document: Dataset) -> None:
    """Write an HU that no tissue has into the first mean of the document itself."""
    for element in document.iterall():
        if element.keyword == "MeasuredValueSequence" and element.value:
            units = element.value[0].MeasurementUnitsCodeSequence[0].CodeValue
            if units == "[hnsf'U]":
                element.value[0].NumericValue = 9000.0
                return
    raise AssertionError("no value in HU")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda sr: changed(sr, "Manufacturer", "SOMEBODY"), "report.manufacturer"),
        (lambda sr: changed(sr, "CompletionFlag", "PARTIAL"), "report.completion"),
        (lambda sr: changed(sr, "ContentTemplateSequence", []), "report.template"),
        (lambda sr: changed(sr, EVIDENCE, []), "report.evidence"),
        (lambda sr: changed(sr, "ContentSequence", []), "report.content"),
        (impossible, "report.value"),
    ],
    ids=["manufacturer", "flag", "template", "evidence", "content", "value"],
)
def test_what_is_no_report_of_ours_is_left_out_by_name(
    held: list[Dataset], compared: Asker, spoil: Callable[[Dataset], None], reason: str
) -> None:
    spoil(held[0])
    with capture_logs() as logs:
        assert compared(held) is None
    [event] = [log for log in logs if log["event"] == "earlier report left out"]
    assert reason in event["reason"]
    assert list((compared.folder / "earlier" / "two").iterdir()) == []


def test_garbage_in_place_of_a_report_is_left_out(
    held: list[Dataset], compared: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = BytesIO()
    held[0].save_as(written)
    half = written.getvalue()[: len(written.getvalue()) // 2]
    other = held[0].file_meta.to_json().encode()
    monkeypatch.setattr(Retrieval, "get", lambda *_: [b"garbage", half, other])
    with capture_logs() as logs:
        assert compared(held) is None
    assert [log["event"] for log in logs] == ["earlier report left out"] * 3


def test_rejected_report_is_withdrawn(
    held: list[Dataset], compared: Asker, past: Path, tmp_path: Path
) -> None:
    copy = tmp_path / REPORT_FILE
    shutil.copy(past / "reports" / "one" / "a" / REPORT_FILE, copy)
    note = pydicom.dcmread(write_withdrawal(copy))
    assert reasons(compared([*held, note])) == ["withdrawn"]
    note.ConceptNameCodeSequence[0].CodeValue = "113000"  # of interest
    assert reasons(compared([*held, note])) == []


def test_of_two_reports_of_a_study_the_one_that_stands_counts(
    held: list[Dataset], compared: Asker, past: Path, tmp_path: Path
) -> None:
    shutil.copytree(past / "reports", tmp_path / "other" / "reports")
    paths = study(tmp_path / "other" / "ct", 1, "20240301", AccessionNumber="CORRECTED")
    run(paths, tmp_path / "other" / "reports" / "one" / "b")
    newer = pydicom.dcmread(tmp_path / "other" / "reports" / "one" / "b" / REPORT_FILE)
    assert "PredecessorDocumentsSequence" in newer
    found = compared([*held, newer])
    assert found is not None
    assert found.earlier is not None
    assert found.earlier.sop_instance_uid == newer.SOPInstanceUID


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"KVP": 100.0}, "kvp"),
        ({"ManufacturerModelName": "Other"}, "scanner"),
        ({"ConvolutionKernel": "B70f"}, "kernel"),
        ({"SliceThickness": None}, "slice_thickness"),
        ({"ContrastBolusAgent": "IODINE"}, "contrast"),
        ({"StudyInstanceUID": "1.2.9"}, "scanner"),
    ],
    ids=["kvp", "scanner", "kernel", "thickness", "contrast", "no image"],
)
def test_image_tells_whether_the_scans_compare(
    held: list[Dataset], compared: Asker, change: dict[str, Any], code: str
) -> None:
    for image in held[1:]:
        for keyword, value in change.items():
            setattr(image, keyword, value)
    assert reasons(compared(held)) == [code]


def test_image_of_another_patient_tells_nothing(held: list[Dataset], compared: Asker) -> None:
    for image in held[1:]:
        image.PatientName = "Eve^A"
    assert reasons(compared(held)) == ["scanner"]
    assert list((compared.folder / "earlier" / "two").glob(f"*/{IMAGE_FILE}"))


@pytest.mark.parametrize("allowed", [True, False])
def test_assessment_asks_where_the_settings_allow_it(
    held: list[Dataset],
    now: list[Path],
    node: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    allowed: bool,
) -> None:
    monkeypatch.setattr(models, "load_models", lambda _bundle: (QuickStager(), None))
    with ReportPacs(held) as pacs:
        query = pacs.query.model_copy(update={"earlier_reports": allowed})
        settings = NodeSettings(data_dir=tmp_path, query=query)
        out = settings.reports_dir / "two" / "b"
        assess_in_child(settings, now, out, out.parent, ())
    assert bool(pacs.asked) == allowed
    assert (comparison(out) is not None) == allowed


# ---- a PACS that does not answer, or too much


def test_without_an_answer_the_report_says_so_and_goes_without_comparison(
    now: list[Path], tmp_path: Path
) -> None:
    dead = ReportPacs([]).query
    with capture_logs() as logs:
        outcome = run(now, tmp_path / "reports" / "two" / "b", archive(dead, tmp_path))
    assert outcome.reported
    assert "input.earlier_unasked" in outcome.warnings
    assert comparison(tmp_path / "reports" / "two" / "b") is None
    [event] = [log for log in logs if log["event"] == "earlier reports not asked for"]
    assert "cannot be reached" in event["reason"]
    text = (tmp_path / "reports" / "two" / "b" / "report.txt").read_text()
    assert "earlier reports in the PACS could not be asked for" in text


def test_repeated_assessment_meets_the_same_reports_and_makes_no_second_one(
    held: list[Dataset], now: list[Path], tmp_path: Path
) -> None:
    """As after kill -9 behind the report, before the step was recorded."""
    out = tmp_path / "reports" / "two" / "b"
    with ReportPacs(held) as pacs:
        first = run(now, out, archive(pacs.query, tmp_path))
        written = (out / REPORT_FILE).stat().st_mtime_ns
        pacs.held = []
        asked = len(pacs.asked)
        again = run(now, out, archive(pacs.query, tmp_path))
        assert len(pacs.asked) == asked
    dead = run(now, tmp_path / "reports" / "two" / "c", archive(pacs.query, tmp_path))
    assert first.identity == again.identity == dead.identity
    assert (again.folder, dead.folder) == ("b", "b")
    assert (out / REPORT_FILE).stat().st_mtime_ns == written


def test_report_without_an_answer_is_the_same_when_it_is_repeated_with_one(
    held: list[Dataset], now: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "reports" / "two" / "b"
    with ReportPacs(held) as pacs:
        dead = pacs.query.model_copy(update={"ae_title": "NOBODY", "port": 1})
        first = run(now, out, archive(dead, tmp_path))
        assert run(now, out, archive(pacs.query, tmp_path)).identity == first.identity
        # `osteonode retry` asks again
        (tmp_path / "earlier" / "two").mkdir()
        (tmp_path / "earlier" / "two" / ASK_AGAIN).touch()
        later = run(now, out, archive(pacs.query, tmp_path))
        assert not (tmp_path / "earlier" / "two" / ASK_AGAIN).exists()
        assert run(now, out, archive(pacs.query, tmp_path)).identity == later.identity
    assert later.identity != first.identity
    assert comparison(out) is not None


def endless(asked: Dataset) -> Iterator[Dataset]:
    for number in range(5000):
        found = Dataset()
        found.PatientID, found.StudyInstanceUID = "P1", f"1.2.3.{number}"
        found.QueryRetrieveLevel = asked.QueryRetrieveLevel
        yield found


def flood(held: list[Dataset]) -> None:
    """More reports in the series than are taken."""
    for number in range(30):
        other = deepcopy(held[0])
        other.SOPInstanceUID = f"1.2.5.{number}"
        held.append(other)


@pytest.mark.parametrize(
    ("change", "limits", "reason"),
    [
        (lambda p: setattr(p, "more", endless), {"max_answers": 50}, "more than 50 answers"),
        (lambda p: flood(p.held), {"max_answers": 10}, "more than 10 answers"),
        (
            lambda p: setattr(p, "before_each", slowly(0.4)),
            {"total_seconds": 1.0},
            "not done after 1 s",
        ),
        (
            lambda p: setattr(p, "before_each", slowly(3.0)),
            {"timeout_seconds": 0.5},
            "no answer",
        ),
    ],
    ids=["answers", "instances", "slow", "silent"],
)
def test_pacs_that_sends_too_much_or_too_slowly_is_left(
    held: list[Dataset],
    now: list[Path],
    tmp_path: Path,
    change: Callable[[ReportPacs], None],
    limits: dict[str, Any],
    reason: str,
) -> None:
    (tmp_path / "earlier" / "two" / "kept").mkdir(parents=True)
    with ReportPacs(held) as pacs:
        change(pacs)
        asking = archive(pacs.query.model_copy(update=limits), tmp_path)
        with pytest.raises(QueryFailed, match=reason):
            asking.fetch(header(now), "two", [])
    # what was fetched before stays, and nothing else is left
    assert [path.name for path in (tmp_path / "earlier").iterdir()] == ["two"]
    assert [path.name for path in (tmp_path / "earlier" / "two").iterdir()] == ["kept"]


def test_bytes_of_an_answer_are_limited(
    held: list[Dataset], now: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowance, "MAX_MB", 1)
    held[0].private_block(0x0099, "X", create=True).add_new(1, "OB", bytes(4 * 1024 * 1024))
    with ReportPacs(held) as pacs:
        asking = archive(pacs.query.model_copy(update={"timeout_seconds": 2.0}), tmp_path)
        with pytest.raises(QueryFailed, match="more than"):
            asking.fetch(header(now), "two", [])


def test_pacs_without_c_get_counts_as_not_answering(
    held: list[Dataset], now: list[Path], tmp_path: Path
) -> None:
    with (
        ReportPacs(held, gives=False) as pacs,
        pytest.raises(QueryFailed, match="does not accept C-GET"),
    ):
        archive(pacs.query, tmp_path).fetch(header(now), "two", [])


def test_study_that_the_pacs_does_not_send_whole_is_left_out(
    held: list[Dataset], now: list[Path], tmp_path: Path
) -> None:
    with ReportPacs(held, classes=["1.2.840.10008.5.1.4.1.1.4"]) as pacs:
        with capture_logs() as logs:
            archive(pacs.query, tmp_path).fetch(header(now), "two", [])
        assert [log["reason"] for log in logs] == ["the PACS did not send all reports of a study"]


def test_newest_studies_with_reports_are_looked_into(
    now: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacs_reports, "MAX_STUDIES", 2)
    image = header(now)
    image.IssuerOfPatientID = "HERE"
    held = []
    for year, modality in ((2019, "SR"), (2023, "SR"), (2024, "CT"), (2021, "SR")):
        other = deepcopy(image)
        other.StudyInstanceUID, other.SeriesInstanceUID = f"1.2.{year}", f"1.2.{year}.1"
        other.StudyDate, other.Modality = f"{year}0101", modality
        held.append(other)
    with ReportPacs(held) as pacs:
        archive(pacs.query, tmp_path).fetch(image, "two", [])
    assert pacs.asked[0].IssuerOfPatientID == "HERE"
    assert [asked.StudyInstanceUID for asked in pacs.asked[1:]] == ["1.2.2023", "1.2.2021"]


@pytest.mark.parametrize("patient_id", ["*", "P?", "P\\Q", ""])
def test_patient_id_that_would_match_others_is_not_asked_for(
    now: list[Path], tmp_path: Path, patient_id: str
) -> None:
    image = header(now)
    image.PatientID = patient_id
    with ReportPacs([]) as pacs:
        archive(pacs.query, tmp_path).fetch(image, "two", [])
        assert pacs.asked == []


# ---- a whole node


def test_worker_that_is_killed_while_it_asks_and_afterwards_sends_one_report(
    held: list[Dataset], now: list[Path], tmp_path: Path
) -> None:
    destination = MoodyPacs(1).start()
    with ReportPacs(held) as pacs:
        pacs.before_each = lambda: time.sleep(1.0 if pacs.got else 0.0)
        settings = (
            f'[query]\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {pacs.query.port}\n'
            'earlier_reports = true\nunknown = "send"\n'
        )
        with FaultNode(tmp_path / "node", [destination.port], settings) as running:
            send_until_taken(running.port, now, random.Random(1))
            running.wait_for(lambda: pacs.got)
            running.kill("worker")
            running.wait_for(lambda: running.events("assessed"))
            running.kill("worker")
            running.wait_for(lambda: running.events("delivered"))
            assert running.kills == 2
            pacs.before_each = lambda: None
            asked, assessed = len(pacs.got), running.events("assessed")
            running.command("retry", assessed[0]["assessment"])
            running.wait_for(lambda: len(running.events("assessed")) > len(assessed))
            assert len(pacs.got) > asked
    destination.stop()
    assert [len(set(contents)) for contents in destination.stored.values()] == [1]
    [out] = (tmp_path / "node" / "data" / "reports").glob("*/*/report.sr.dcm")
    assert comparison(out.parent) is not None
    [kept] = (tmp_path / "node" / "data" / "earlier").iterdir()
    assert kept.name == out.parent.parent.name
    assert {path.stat().st_mode & 0o777 for path in kept.rglob("*.dcm")} == {0o600}


# ---- real archives


def check_compared(query: Query, present: Report, now: list[Path], folder: Path) -> None:
    """The report in an archive is found, got with an image, and compared."""
    asking = PacsReports(query, "OSTEONODE", folder / "earlier")
    asking.fetch(header(now), "two", [present.study_uid])
    found = find_earlier(
        ReportIndex(folder / "reports"),
        patient_of(header(now)),
        present.study_uid,
        archived=asking.kept("two"),
    ).compare(present, date(2026, 3, 2))
    assert found is not None
    assert found.earlier is not None
    assert len(found.changes) == 6


def files(past: Path) -> list[Path]:
    return [past / "reports" / "one" / "a" / REPORT_FILE, *sorted((past / "ct").iterdir())]


@pytest.mark.peers
def test_report_in_orthanc_is_compared_though_its_images_are_compressed(
    past: Path, now: list[Path], present: Report, tmp_path: Path
) -> None:
    report, *images = files(past)
    with Orthanc(tmp_path / "orthanc") as orthanc:
        orthanc.store(report)
        for path in images:
            image = pydicom.dcmread(path)
            image.compress(RLELossless, generate_instance_uid=False)
            image.save_as(tmp_path / "compressed.dcm")
            orthanc.store(tmp_path / "compressed.dcm")
        query = Query(ae_title="ORTHANC", host="127.0.0.1", port=orthanc.dicom_port)
        check_compared(query, present, now, tmp_path)


@pytest.mark.peers
def test_report_in_dcmqrscp_is_compared(
    past: Path, now: list[Path], present: Report, tmp_path: Path
) -> None:
    (tmp_path / "sent").mkdir()
    for path in files(past):
        shutil.copy(path, tmp_path / "sent")
    with Dcmqrscp(tmp_path / "pacs") as pacs:
        dcmtk_storescu(pacs.port, "QRPACS", tmp_path / "sent")
        query = Query(ae_title="QRPACS", host="127.0.0.1", port=pacs.port)
        check_compared(query, present, now, tmp_path)
