"""A report is sent only under a patient whom the PACS names clearly; no query lasts for ever."""

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_node.errors import QueryFailed
from dicom_node.records.audit import AuditTrail
from dicom_node.reporting.report_history import file_digest
from dicom_node.sending.allowance import Allowance
from dicom_node.sending.pacs_query import PacsQuery
from dicom_node.sending.retrieval import retrieval
from dicom_node.settings.node import Destination, NodeSettings
from dicom_node.settings.work import Query
from dicom_node.work.delivery_steps import DeliverySteps
from dicom_node.work.sharing.outgoing import OutgoingObjects
from tests.dicom_builders import plain_series
from tests.test_node_completeness import Answers, answer, answering_pacs

DESTINATION = Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=1, timeout_seconds=2)


def said(study_uid: str, **values: str) -> Dataset:
    """An answer at study level."""
    return answer(QueryRetrieveLevel="STUDY", StudyInstanceUID=study_uid, **values)


def outcome(tmp_path: Path, answers: Answers, patient_id: str, **settings: Any) -> dict[str, Any]:
    """What an attempt to send a report leads to; nobody listens at its destination."""
    folder = tmp_path / "reports" / "study" / "folder"
    folder.mkdir(parents=True)
    document = pydicom.dcmread(plain_series(tmp_path / "ct", 1)[0])
    document.StudyInstanceUID, document.PatientID = "1.2", patient_id
    path = folder / "report.sr.dcm"
    document.save_as(path)
    report = {"identity": "id", "study": "study", "study_uid": "1.2", "folder": "folder"}
    report["sha256"] = file_digest(path)
    with answering_pacs(answers) as query:
        chosen = NodeSettings(data_dir=tmp_path, query=query.model_copy(update=settings))
        assert chosen.query is not None
        steps = DeliverySteps(
            chosen,
            AuditTrail(None),
            PacsQuery(chosen.query, "NODE"),
            OutgoingObjects(chosen.reports_dir),
            lambda: None,
        )
        return steps.send(report, DESTINATION, 1)


CASES: dict[str, tuple[str, list[Dataset], str]] = {
    "query.unknown": ("unknown", [said("1.3", PatientID="P1")], "P1"),
    "query.ambiguous": (
        "ambiguous",
        [said("1.2", PatientID="P1"), said("1.2", PatientID="P2")],
        "P1",
    ),
    "query.no_patient_id": ("no_patient_id", [said("1.2", PatientID="")], "P1"),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("code", CASES)
@pytest.mark.parametrize("chosen", ["default", "hold", "send"])
def test_report_without_a_clear_patient_is_held_unless_the_settings_say_otherwise(
    tmp_path: Path, code: str, chosen: str
) -> None:
    key, answers, patient_id = CASES[code]
    settings = {} if chosen == "default" else {key: chosen}
    found = outcome(tmp_path, lambda _asked: answers, patient_id, **settings)
    assert found["state"] == "retrying"
    # one that is let through comes to the destination, where nobody listens
    assert found["code"] == ("node.delivery_failed" if chosen == "send" else code)


def test_report_without_a_patient_id_of_its_own_is_held(tmp_path: Path) -> None:
    found = outcome(tmp_path, lambda _asked: [said("1.2", PatientID="P1")], "")
    assert (found["state"], found["code"]) == ("retrying", "query.no_patient_id")
    assert "report has no Patient ID" in found["reason"]


def test_another_name_is_still_refused_where_the_patient_id_may_be_missing(tmp_path: Path) -> None:
    answers = [said("1.2", PatientID="", PatientName="SOMEBODY^ELSE")]
    found = outcome(tmp_path, lambda _asked: answers, "P1", no_patient_id="send")
    assert (found["state"], found["code"]) == ("failed", "report.pacs_identity")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_answers_that_say_the_same_are_one(tmp_path: Path) -> None:
    answers = [said("1.2", PatientID="P1"), said("1.2", PatientID="p1 ")]
    assert outcome(tmp_path, lambda _asked: answers, "P1")["code"] == "node.delivery_failed"


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_answers": 50}, "more than 50 answers"),
        ({"total_seconds": 0.5}, "not done after 0.5 s"),
    ],
    ids=["number", "time"],
)
def test_pacs_that_answers_for_ever_is_left(limits: dict[str, Any], reason: str) -> None:
    left = threading.Event()

    def endless(_asked: Dataset) -> Iterator[Dataset]:
        for number in itertools.takewhile(lambda _: not left.is_set(), itertools.count()):
            time.sleep(0.005)
            yield said("1.2", PatientID=f"P{number}")

    with answering_pacs(endless) as query:
        asked = PacsQuery(query.model_copy(update=limits), "NODE")
        with pytest.raises(QueryFailed, match=reason):
            asked.identity("1.2")
        left.set()
        with pytest.raises(QueryFailed, match="a moment ago"):
            asked.instance_counts("1.2")


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"total_seconds": 0.5, "timeout_seconds": 60.0}, "not done after 0.5 s"),
        ({"total_seconds": 60.0, "timeout_seconds": 0.5}, "no answer"),
    ],
    ids=["in all", "for one message"],
)
def test_pacs_that_falls_silent_is_left_for_the_limit_that_it_broke(
    limits: dict[str, Any], reason: str
) -> None:
    left = threading.Event()

    def silent(_asked: Dataset) -> Iterator[Dataset]:
        yield said("1.2", PatientID="P1")
        left.wait(60)

    with answering_pacs(silent) as query:
        asked = PacsQuery(query.model_copy(update=limits), "NODE")
        with pytest.raises(QueryFailed, match=reason):
            asked.identity("1.2")
        left.set()


def test_question_without_time_says_so_where_the_pacs_cannot_be_reached() -> None:
    query = Query(ae_title="PACS", host="127.0.0.1", port=1, total_seconds=0.01)
    over = Allowance(query)
    time.sleep(0.02)
    with pytest.raises(QueryFailed, match=r"not done after 0\.01 s"):
        PacsQuery(query, "NODE").find(Dataset(), over)
    with (
        pytest.raises(QueryFailed, match=r"not done after 0\.01 s"),
        retrieval(query, "NODE", over),
    ):
        pass
