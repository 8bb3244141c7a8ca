"""A node's pages with something of all that they can show; all patients are invented.

`furnish` makes the node. Its times are those of one morning, so that its pictures stay the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from fastapi import FastAPI
from PIL import Image

from dicom_node.archive.bookkeeping.screenings import Question, ScreeningPlan, Screenings
from dicom_node.archive.bookkeeping.tables import SCREENING, SERIES
from dicom_node.archive.sources import SeriesFilter
from dicom_node.assessment.assessment import Assessment
from dicom_node.monitoring.notice_status import NoticeStatus
from dicom_node.monitoring.status import Queue, Status
from dicom_node.pages.operation.node_status import Moment
from dicom_node.records.database import study_deliveries
from dicom_node.records.followed_studies import follow_study
from dicom_node.records.listed_studies import StudyState
from dicom_node.records.noticed.outgoing import TargetState
from dicom_node.records.scanner_drift import ScannerStep
from dicom_node.records.study_deliveries import DeliveryState, list_delivery
from dicom_node.records.study_events import StudyEvent, note_event
from dicom_node.records.study_listing import StudyResult, list_result, list_study
from dicom_node.reporting.report_history import PICTURE_FILE, REPORT_FILE
from dicom_node.series.instances import scan_folder
from dicom_node.series.selection import check_series
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from dicom_node.settings.node import Acquisition, Destination, ScannerOffset
from dicom_node.settings.notices import Notices, Webhook
from dicom_node.spool.spool import spool_name
from dicom_node.study_facts import StudyHeader
from dicom_node.work.discarding import Item
from dicom_node.work.failed_work import FailedWork
from dicom_node.work.listing.kept_readings import KeptReading, keep_reading
from roi_extraction import LabelMapSegmenter, extract
from roi_extraction.anatomy import Finding
from roi_extraction.phantom import Density, PhantomParameters, make_phantom
from tests.assessment_builders import assessment_of
from tests.page_client import make_app
from tests.simulated_worker import simulated_report
from tests.study_builders import FOLDER, MadeStudy, make_study
from tests.test_node_scanner_drift import report as followed_report

MORNING = datetime(2026, 11, 30, 7, tzinfo=UTC)

MARKUP = '"><script>alert(1)</script><img src=x onerror=alert(1)>'

CHANGED_MS = round(MORNING.timestamp() * 1000)

MINUTE_MS = 60_000

GE = {"manufacturer": "GE MEDICAL SYSTEMS", "model": "Revolution CT", "kernel": "STANDARD"}

PATIENT = {
    "patient_id": "4711/26", "patient_name": "Müller^Jörg", "birth_date": "19550102", "sex": "M",
}  # fmt: skip

MAIN = StudyHeader(accession="CT-2026/1041", study_date="20261130", **PATIENT, **GE)


@dataclass(frozen=True)
class Furnished:
    """The application with the studies that have pages of their own."""

    app: FastAPI
    main: MadeStudy
    """Reported and not read yet, with images."""
    gone: MadeStudy
    """Read already; its images are no longer kept."""
    items: tuple[Item, ...]
    """What of a study can be discarded."""


def phantom_assessment(folder: Path) -> Assessment:
    """A phantom's CT in a folder, measured in the regions that the phantom itself names."""
    parameters = PhantomParameters.typical(density=Density.OSTEOPOROSIS, noise_sd_hu=8.0)
    phantom = make_phantom(parameters, 7)
    write_ct_series(phantom.volume, folder, InventedHeader(seed="furnished", sex="M"))
    found, _ = scan_folder(folder.iterdir())
    labels = LabelMapSegmenter(phantom.labels, phantom.body_labels, phantom.muscle_labels)
    findings = [
        Finding(
            "acquisition.contrast",
            "a contrast agent is stated: it raises the HU of bone and muscle by an amount that "
            "nobody can take back",
        ),
        Finding("acquisition.other_scanner", "another scanner than the cohort's"),
    ]
    made = assessment_of(check_series(found, Acquisition()), findings)
    return replace(made, features=extract(phantom.volume, labels))


def furnish(folder: Path, *accounts: Any) -> Furnished:
    """Make the node with its studies, screenings, scanners and readings.

    Parameters
    ----------
    folder
        For its data and what it is made from.
    accounts
        As for `make_app`.
    """
    app = make_app(folder / "node", *accounts, viewer_url="https://viewer.example/?{study_uid}")
    pacs = Destination(name="pacs", ae_title="PACS", host="pacs.example", port=104, commitment=True)
    archive = Destination(name="archive", ae_title="VNA", host="127.0.0.1", port=1)
    settings = app.state.settings
    acquisition = settings.acquisition.model_copy(update={"scanners": (
        ScannerOffset(
            manufacturer="SIEMENS", model="SOMATOM Force", bone_hu=-6.5, muscle_hu=1.5,
            source="QRM phantom, 2026-03",
        ),
    )})  # fmt: skip
    notices = Notices(webhooks=(Webhook(name="team", url="https://team.example/hook"),))
    changed = {
        "destinations": (pacs, archive), "acquisition": acquisition, "notices": notices,
    }  # fmt: skip
    app.state.settings = settings.model_copy(update=changed)
    engine: sa.Engine = app.state.database.engine
    main = make_study(app, folder / "main", MAIN, phantom_assessment, CHANGED_MS)
    (main.report_folder / REPORT_FILE).write_bytes(simulated_report("main"))
    gone = _gone(app, folder)
    _list_studies(engine)
    _follow_main(engine, main)
    _screen(engine)
    _follow_scanners(engine)
    _keep_words(engine)
    app.state.node_status = BusyNode(_failed(main))
    return Furnished(app, main, gone, _items(folder))


class BusyNode:
    """What the pages of work show, in place of a running node's status."""

    def __init__(self, failed: tuple[FailedWork, ...]) -> None:
        status = Status(
            False, ("worker gives no sign of life",),
            {"listener": 2.1, "worker": 94.0, "web": 0.4}, 18 * 10**9, 1240, 3,
            queues={"assess": Queue(12, 2, 340.0), "deliver-pacs": Queue(4, 1, 75.0),
                    "commit-pacs": Queue(2, 0, 8000.0)},
            alarms=("The disk is 94 % full: retention removes nothing before 2026-12-14.",),
            scanner_steps=(
                ScannerStep("GE MEDICAL SYSTEMS Revolution CT, kernel STANDARD, no contrast",
                            "muscle", "2025-05", -14.1),
            ),
            notices=NoticeStatus(
                ("not_ready", "destination_down archive"),
                (TargetState("webhook team", 130.0),
                 TargetState("mail", 7400.0, 2, 620.0, "did not answer in time")),
            ),
        )  # fmt: skip
        self._moment = Moment(status, failed, CHANGED_MS)

    def now(self) -> Moment:
        return self._moment

    def forget(self) -> None:
        """Nothing changes."""


def _gone(app: FastAPI, folder: Path) -> MadeStudy:
    """A study that was read, of which the picture of its report alone is left."""
    header = replace(
        MAIN, accession="CT-2026/0988", patient_name="Cohen^Ruth", patient_id="3308", sex="F",
        study_date="20260211",
    )  # fmt: skip
    made = make_study(app, folder / "gone", header, changed=CHANGED_MS - 900 * MINUTE_MS)
    for path in made.paths:
        path.unlink()
    picture = np.hypot(*np.mgrid[-120:120, -160:160]) < 60
    Image.fromarray((picture * 120).astype(np.uint8)).save(made.report_folder / PICTURE_FILE)
    return made


def _list_studies(engine: sa.Engine) -> None:
    """The other rows of the list, each with a state of its own."""
    done = StudyState.REPORTED

    def result(hu: float, category: str, stage: str = "", **more: Any) -> StudyResult:
        kind = more.pop("result", "staged" if stage else "l1_alone")
        return StudyResult(
            "a", FOLDER, done, result=kind, l1_hu=hu, l1_category=category, stage=stage, **more
        )

    read = {"reader": "Doe^Jane", "read_at": CHANGED_MS - 600 * MINUTE_MS}
    siemens = {"manufacturer": "SIEMENS", "model": "SOMATOM Force", "kernel": "Br40"}
    rows: list[tuple[dict[str, str], StudyResult | tuple[StudyState, str, str]]] = [
        ({"patient_name": "Łukasiewicz^Zofia", "patient_id": "80213", "sex": "F"},
         result(171.4, "high", "A")),
        ({"patient_name": "Roe^Rita^^Dr", "patient_id": "77120", **siemens},
         result(84.2, "low", "D", verdict="accepted", **read)),
        ({"patient_name": "Smith^John", "patient_id": "77121"},
         result(101.3, "low", "C", verdict="corrected", **read)),
        ({"patient_name": "Öztürk^Ayşe", "patient_id": "77125"},
         result(143.0, "middle", "B", verdict="rejected", **read)),
        ({"patient_name": "כהן^שרה", "patient_id": "80301"}, result(117.5, "middle")),
        ({"patient_name": "Brown^Ann", "patient_id": "80302", **siemens},
         result(139.0, "middle", result="undetermined")),
        ({"patient_name": "Van der Berg-Papadopoulou^Wilhelmina", "patient_id": "9" * 40},
         (StudyState.REFUSED, "series.kvp", "found 80 kVp in all series, 120 kVp is needed")),
        ({"patient_name": "Jones^Kim", "patient_id": "80311"},
         (StudyState.FAILED, "node.assessment_failed", "the assessment ended without a result")),
        ({"patient_name": "Hall^Lee", "patient_id": "80312"},
         (StudyState.WAITING, "input.gap", "slices are missing between z = 120 and 132 mm")),
        ({"patient_name": "Clark^Sam", "patient_id": "80313"}, (StudyState.ASSESSING, "", "")),
        ({"patient_name": "Yamada^Tarou", "ideographic_name": "山田^太郎", "patient_id": "80219"},
         result(128.0, "middle", "B", warnings=("acquisition.large_pixels",))),
        ({"patient_name": MARKUP, "patient_id": MARKUP, "accession": f"EVIL{MARKUP}"},
         (StudyState.REFUSED, f"series.kvp{MARKUP}", MARKUP)),
    ]  # fmt: skip
    with engine.begin() as connection:
        for number, (header, what) in enumerate(rows):
            given = {"accession": f"CT-2026/{1040 - number}", "study_date": "20261129", **GE}
            uid = f"1.2.826.0.{number + 1}"
            said = StudyHeader(uid, **(given | header))
            list_study(connection, spool_name(uid), said, CHANGED_MS)
            before = CHANGED_MS - 7 * (number + 1) * MINUTE_MS
            if isinstance(what, StudyResult):
                list_result(connection, spool_name(uid), what, before)
            else:
                held = StudyResult("a", "", *what)
                list_result(connection, spool_name(uid), held, before)
        _deliver(connection, spool_name("1.2.826.0.3"), failed="archive")
        _deliver(connection, spool_name("1.2.826.0.4"), withdrawn=True)
        for number, (day, hu) in enumerate((("20221004", 139.0), ("20240311", 121.0))):
            uid = f"1.2.826.1.{number}"
            said = replace(MAIN, study_uid=uid, study_date=day, accession=f"CT-{day[:4]}/07")
            list_study(connection, spool_name(uid), said, CHANGED_MS)
            before = CHANGED_MS - 10_000 * MINUTE_MS
            list_result(connection, spool_name(uid), result(hu, "middle", "B"), before)


def _deliver(
    connection: sa.Connection, study: str, *, failed: str = "", withdrawn: bool = False
) -> None:
    for file in (REPORT_FILE, "report.sc.dcm"):
        for name in ("pacs", "archive"):
            place = {"study": study, "folder": FOLDER, "file": file, "destination": name}
            reason, state = "", DeliveryState.DELIVERED
            if withdrawn:
                state = DeliveryState.WITHDRAWN
            elif name == failed:
                state, reason = DeliveryState.FAILED, "the destination was not there for 8 hours"
            elif name == "pacs":
                state = DeliveryState.COMMITTED
            list_delivery(connection, place, f"work-{study}-{file}-{name}", state, 1, "", reason)
    ours = study_deliveries.c.study == study
    connection.execute(sa.update(study_deliveries).where(ours).values(changed=CHANGED_MS))


def _follow_main(engine: sa.Engine, main: MadeStudy) -> None:
    """What happened with the main study, and where its objects are."""
    with engine.begin() as connection:
        _deliver(connection, main.row.study, failed="archive")
        for number, (event, detail, who) in enumerate([
            (StudyEvent.WAITING, "slices are missing between z = 120 and 132 mm", "node"),
            (StudyEvent.QUEUED, "", "node"), (StudyEvent.ASSESSING, "", "node"),
            (StudyEvent.REPORTED, "", "node"),
            (StudyEvent.DELIVERED, "report.sr.dcm to pacs", "node"),
            (StudyEvent.DELIVERY_FAILED, "archive was not there for 8 hours", "node"),
            (StudyEvent.RETRIED, "archive", "adam"),
        ]):  # fmt: skip
            before = CHANGED_MS - (30 - number) * MINUTE_MS
            note_event(connection, main.row.study, event, f"w{number}", detail, who, before)


def _screen(engine: sa.Engine) -> None:
    """Two screenings: one that goes on, one whose name is markup."""
    plan = ScreeningPlan(source="dimse:vna", send_to="pacs")
    made = Screenings(engine).create("spines-2025", plan, [Question(SeriesFilter(), {})])
    Screenings(engine).create(MARKUP, ScreeningPlan(source="folder:/archive"), [])
    left = [
        ("reported", "reported", None, None, 140), ("listed", None, None, None, 31),
        ("screened", "excluded", "series.localizer", "a localizer", 60),
        ("screened", "excluded", "series.kvp", "100 kVp", 22),
        ("assessed", "refused", "series.gap", f"slices are missing {MARKUP}", 9),
        ("assessed", "refused", "roi.levels_not_covered", "outside the scan: L1, L2", 5),
        ("fetched", "failed", "node.assessment_failed", "ended without a result", 1),
    ]  # fmt: skip
    rows: list[dict[str, Any]] = []
    for stage, outcome, code, reason, number in left:
        for _ in range(number):
            rows.append({
                "screening_id": made.id, "question_id": 1, "series_uid": f"1.2.{len(rows)}",
                "study_uid": "1.2", "stage": stage, "outcome": outcome, "code": code,
                "reason": reason, "patient_id": f"P{len(rows)}", "accession": "A",
            })  # fmt: skip
    with engine.begin() as connection:
        connection.execute(sa.insert(SERIES), rows)
        connection.execute(sa.update(SCREENING).values(created=MORNING.timestamp()))


def _follow_scanners(engine: sa.Engine) -> None:
    """Two years of a scanner that stays and of one whose muscle moved."""
    rng = np.random.default_rng(5)
    with engine.begin() as connection:
        for model, step_hu in (("Revolution CT", -12.0), ("SOMATOM Force", 0.0)):
            for month in range(24):
                date = f"{2024 + month // 12}{month % 12 + 1:02d}11"
                for number in range(6):
                    muscle = rng.normal(55, 4) + step_hu * (month >= 16)
                    measured = followed_report(rng.normal(130, 25), muscle)
                    measured["acquisition"]["model"] = model
                    follow_study(connection, f"{model}-{month:03d}-{number}", date, measured)


def _keep_words(engine: sa.Engine) -> None:
    """What readers said in three months."""
    day_ms = 86_400_000
    said = ("accepted", "accepted", "corrected", "accepted", "rejected", "corrected")
    with engine.begin() as connection:
        for number in range(18):
            verdict = said[number % len(said)]
            corrected = verdict == "corrected"
            before = {"L1": 100.0 + number, "L2": 90.0 + 2 * number}
            after = {"L1": 102.5 + number, "L2": 91.0 + number} if corrected else {}
            keep_reading(connection, KeptReading(
                f"s{number}", f"w{number}", f"o{number}", CHANGED_MS - number * 5 * day_ms, verdict,
                ("Doe^Jane", "Roe^Richard")[number % 2], int(number == 2), "GE, Revolution CT",
                "levels are wrong" if verdict == "rejected" else "", before, after,
            ))  # fmt: skip


def _failed(main: MadeStudy) -> tuple[FailedWork, ...]:
    """Failed work of several kinds."""
    made: Iterable[tuple[str, str, str | None, str, str]] = (
        ("assessment", main.row.study, None, "input.conflicting_instance",
         "two versions of an image contradict each other"),
        ("delivery", main.row.study, "archive", "delivery.unreachable",
         "archive was not there for 8 hours"),
        ("assessment", spool_name("1.2.826.0.8"), None, "node.assessment_failed",
         f"the child died {MARKUP}"),
        ("withdrawal", spool_name("9.9"), "pacs", "delivery.refused", "refused with status A700"),
    )  # fmt: skip
    return tuple(
        FailedWork(f"work-{number}", kind, study, destination, code, reason, MORNING)
        for number, (kind, study, destination, code, reason) in enumerate(made)
    )


def _items(folder: Path) -> tuple[Item, ...]:
    return (
        Item("a1", "conflict", (folder / "a", folder / "b"), "CT01", MORNING, MORNING),
        Item("b2", "foreign", (folder / "c",), f"PACS{MARKUP}", MORNING, MORNING),
    )
