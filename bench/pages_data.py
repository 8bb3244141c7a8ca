"""Simulated data of a node that ran for years, for the benches of the pages."""

import random
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer
from fastapi import FastAPI

from dicom_node.archive.bookkeeping.screenings import Question, ScreeningPlan, Screenings
from dicom_node.archive.bookkeeping.tables import SERIES
from dicom_node.archive.sources import SeriesFilter
from dicom_node.records.database import (
    followed_studies,
    listed_studies,
    readings,
    study_deliveries,
    study_events,
)
from dicom_node.records.listed_studies import SOUGHT, ListedStudy, StudyState, sought
from dicom_node.records.study_deliveries import DeliveryState
from dicom_node.records.study_events import StudyEvent
from dicom_node.records.worker_table import WORKFLOW_VERSION
from dicom_node.settings.node import NodeSettings
from roi_extraction.sites import SITES
from tests.page_client import make_app
from tests.study_builders import make_study

__all__ = ["BEGAN_MS", "MINUTE_MS", "filled"]

SHARES = {
    StudyState.REPORTED: 0.80,
    StudyState.REFUSED: 0.17,
    StudyState.FAILED: 0.01,
    StudyState.WAITING: 0.01,
    StudyState.ASSESSING: 0.01,
}

Row = dict[str, Any]

BEGAN_MS = 1_700_000_000_000

MINUTE_MS = 60_000

FAMILIES = ("Roe", "Doe", "Smith", "Jones", "Brown", "Miller", "Davis", "Moore", "Clark", "Hall")


def simulated_rows(count: int) -> tuple[list[Row], list[Row], list[Row]]:
    """Rows of the three tables: studies, their deliveries, their events."""
    draw = random.Random(1)
    studies: list[Row] = []
    deliveries: list[Row] = []
    events: list[Row] = []
    for number in range(count):
        state = draw.choices(list(SHARES), list(SHARES.values()))[0]
        reported = state is StudyState.REPORTED
        hu = round(draw.gauss(140, 40), 1) if reported else None
        category = "" if hu is None else "low" if hu <= 110 else "middle" if hu <= 160 else "high"
        row = ListedStudy(
            study_uid=f"1.2.826.{number}", accession=f"A{number:07d}",
            patient_id=f"P{number // 2:06d}", patient_name=f"{draw.choice(FAMILIES)}^{number}",
            birth_date="19550101", sex="F", study_date=f"202{number % 7}0{number % 9 + 1}15",
            manufacturer="GE", model="Revolution", kernel="STANDARD", study=f"{number:040x}",
            state=state, code="series.kvp" if state is StudyState.REFUSED else "",
            reason="found 80 kVp, 120 kVp is needed" if state is StudyState.REFUSED else "",
            assessment=f"{number:040x}", folder="f" * 40 if reported else "",
            result="staged" if reported else "", l1_hu=hu, l1_category=category,
            stage=draw.choice("ABCD") if reported else "",
            received=BEGAN_MS + number * MINUTE_MS, changed=BEGAN_MS + number * MINUTE_MS,
            verdict="accepted" if reported and number < 0.9 * count else "none",
        )  # fmt: skip
        values = asdict(row)
        values |= {f"{name}_sought": sought(values[name]) for name in SOUGHT}
        values["warnings"] = " acquisition.contrast " if draw.random() < 0.3 else ""
        studies.append({**values, "state": str(state)})
        for file in ("report.sr.dcm", "report.sc.dcm") if reported else ():
            sent = DeliveryState.FAILED if draw.random() < 0.002 else DeliveryState.COMMITTED
            deliveries.append({
                "study": row.study, "folder": row.folder, "file": file, "destination": "pacs",
                "work": f"{number}-{file}", "state": str(sent), "code": "", "reason": "",
                "attempt": 1, "changed": row.changed,
            })  # fmt: skip
        for event in (StudyEvent.QUEUED, StudyEvent.ASSESSING, StudyEvent.REPORTED):
            events.append({
                "study": row.study, "moment": row.changed, "event": str(event), "work": "w",
                "detail": "", "who": "node",
            })  # fmt: skip
    return studies, deliveries, events


def scanner_rows(count: int) -> list[Row]:
    """What was measured, on twelve scanners over three years."""
    draw = random.Random(2)
    first = date(2024, 1, 1)
    return [
        {
            "study": f"{number:040x}",
            "study_date": f"{first + timedelta(days=number * 1000 // count):%Y%m%d}",
            "manufacturer": ("GE", "SIEMENS", "PHILIPS")[number % 3],
            "model": f"Scanner {number % 6}", "kernel": ("STANDARD", "B30f")[number % 2],
            "contrast": ("no", "yes")[number % 12 // 6],
            "hu": {
                **{site.name: round(draw.gauss(90, 30), 1) for site in SITES},
                "aorta_hu": draw.gauss(45, 8), "noise_sd_hu": draw.gauss(20, 3),
            },
        }
        for number in range(count)
    ]  # fmt: skip


def read_rows(count: int) -> list[Row]:
    """Words of eight readers, one in five a correction with all sites before and after."""
    draw = random.Random(3)
    found = []
    for number in range(count):
        verdict = draw.choices(("accepted", "corrected", "rejected"), (75, 20, 5))[0]
        before = {site.name: round(draw.gauss(120, 40), 1) for site in SITES}
        after = {name: round(value + draw.gauss(0, 5), 1) for name, value in before.items()}
        found.append({
            "study": f"{number:040x}", "work": f"{number:040x}", "own": "f" * 40,
            "moment": BEGAN_MS + number * 200 * MINUTE_MS, "verdict": verdict,
            "reader": f"Reader^{number % 8}", "levels_down": int(draw.random() < 0.02),
            "scanner": f"GE Scanner {number % 6}",
            "reason": f"reason {number % 40}" if verdict == "rejected" else "",
            "before": before, "after": {} if verdict == "rejected" else after,
        })  # fmt: skip
    return found


def series_rows(count: int, screening: int, question: int) -> list[Row]:
    """Series of a screening, most of them reported."""
    draw = random.Random(4)
    found = []
    for number in range(count):
        outcome = draw.choices(("reported", "refused", "excluded", None), (60, 20, 18, 2))[0]
        stage = {"reported": "reported", "refused": "assessed", "excluded": "screened"}
        refused = outcome in ("refused", "excluded")
        found.append({
            "screening_id": screening, "question_id": question, "series_uid": f"1.2.{number}",
            "study_uid": f"1.2.{number // 2}", "stage": stage.get(outcome or "", "listed"),
            "outcome": outcome, "code": f"series.code{number % 20}" if refused else None,
            "reason": f"found {number % 500}" if refused else None,
            "patient_id": f"P{number}", "accession": f"A{number}",
        })  # fmt: skip
    return found


def fail_work(settings: NodeSettings, count: int) -> None:
    """Put failed work into the records: rejections that could not be carried out."""
    config: DBOSConfig = {
        "name": "osteonode", "system_database_url": settings.database,
        "application_version": WORKFLOW_VERSION, "executor_id": "bench",
        "log_level": "CRITICAL", "console_log_level": "CRITICAL",
        "serializer": DBOSPortableJSONSerializer(), "enable_otlp": False,
    }  # fmt: skip
    DBOS(config=config)
    DBOS.launch()
    DBOS.destroy(workflow_completion_timeout_sec=0)
    client = DBOSClient(
        system_database_url=settings.database, serializer=DBOSPortableJSONSerializer()
    )
    options: Any = {
        "workflow_name": "Worker.reject", "class_name": "Worker", "instance_name": "worker",
        "queue_name": "assess", "workflow_id": "failed-0", "app_version": WORKFLOW_VERSION,
    }  # fmt: skip
    client.enqueue(options, f"{0:040x}", {"reason": "r" * 100})
    client.destroy()
    engine = sa.create_engine(settings.database)
    with engine.begin() as connection:
        table = sa.Table("workflow_status", sa.MetaData(), autoload_with=connection)
        error = '{"name": "WorkFailed", "message": "%s", "code": "reading.outdated"}' % ("m" * 80)
        connection.execute(table.update().values(status="ERROR", error=error))
        row = dict(connection.execute(table.select()).one()._mapping)
        ended = row["updated_at"]
        rows = [
            {
                **row,
                "workflow_uuid": f"failed-{number}",
                "completed_at": ended - number * MINUTE_MS,
                "updated_at": ended - number * MINUTE_MS,
            }
            for number in range(1, count)
        ]
        connection.execute(table.insert(), rows)
    engine.dispose()


def filled(
    folder: Path, studies: int, words: int = 10_000, failed: int = 2000
) -> tuple[FastAPI, str]:
    """An application with simulated data in ``data``, and the address of a study with images."""
    names = (("jane", "reader"), ("rose", "researcher"), ("adam", "administrator"))
    app = make_app(folder / "data", *names)  # type: ignore[arg-type]
    engine: sa.Engine = app.state.database.engine
    tables = (listed_studies, study_deliveries, study_events)
    plan = ScreeningPlan(source="folder:/archive")
    made = Screenings(engine).create("spines", plan, [Question(SeriesFilter(), {})])
    with engine.begin() as connection:
        for table, rows in zip(tables, simulated_rows(studies), strict=True):
            connection.execute(sa.insert(table), rows)
        connection.execute(sa.insert(followed_studies), scanner_rows(studies))
        connection.execute(sa.insert(readings), read_rows(words))
        connection.execute(sa.insert(SERIES), series_rows(studies, made.id, 1))
    fail_work(app.state.settings, failed)
    return app, make_study(app, folder / "series").address
