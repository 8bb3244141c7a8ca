"""Server time of the pages of studies with many studies in the list.

    python -m bench.pages [--studies 50000] [--requests 20]

Studies are simulated: rows, deliveries and events in SQLite, one small series with a report.
Requests are made in this process, without a socket; the first one of each page is not counted.
"""

import argparse
import random
import statistics
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI

from dicom_node.pages.app import close_pages
from dicom_node.records.database import listed_studies, study_deliveries, study_events
from dicom_node.records.listed_studies import ListedStudy, StudyState, sought
from dicom_node.records.study_deliveries import DeliveryState
from dicom_node.records.study_events import StudyEvent
from tests.page_client import Browser, make_app
from tests.study_builders import make_study

GOAL_MS = 150.0

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
        values |= {
            f"{n}_sought": sought(values[n]) for n in ("accession", "patient_id", "patient_name")
        }
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


def filled(folder: Path, count: int) -> tuple[FastAPI, str]:
    """An application with simulated studies, and the address of one with images."""
    app = make_app(folder / "node", ("jane", "reader"))
    engine: sa.Engine = app.state.database.engine
    tables = (listed_studies, study_deliveries, study_events)
    with engine.begin() as connection:
        for table, rows in zip(tables, simulated_rows(count), strict=True):
            connection.execute(sa.insert(table), rows)
    return app, make_study(app, folder / "series").address


def timed_ms(browser: Browser, path: str, requests: int) -> list[float]:
    """Times of some requests, ms, after one that is not counted."""
    times = []
    for _ in range(requests + 1):
        begun = time.perf_counter()
        answer = browser.get(path)
        times.append((time.perf_counter() - begun) * 1000)
        if answer.status != 200:
            raise SystemExit(f"{path}: status {answer.status}")
    return times[1:]


def pages(count: int, study: str) -> dict[str, str]:
    """Addresses by what they are called in the table."""
    middle = f"{BEGAN_MS + count // 2 * MINUTE_MS}-{count // 2:040x}"
    return {
        "list, first page": "/studies",
        "list, page in the middle": f"/studies?after={middle}",
        "list, page before that": f"/studies?before={middle}",
        "state: refused": "/studies?state=refused",
        "view: to read": "/studies?view=to_read",
        "view: low L1, unread": "/studies?view=low_unread",
        "view: refused this week": "/studies?view=refused_week",
        "view: deliveries that failed": "/studies?view=deliveries_failed",
        "search: one accession number": f"/studies?search=a{count // 2:07d}",
        "search: a tenth of all names": "/studies?search=smith",
        "search: nothing": "/studies?search=nobody",
        "a study with images": study,
        "a study, another slice": f"{study}?slice=7&window=soft",
        "a study without report": f"/studies/1.2.826.{count // 2}",
    }


def main() -> None:
    """Print a table of median and worst time by page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=50_000)
    parser.add_argument("--requests", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        app, study = filled(Path(folder), given.studies)
        browser = Browser(app)
        browser.sign_in("jane")
        print(f"{given.studies} studies, {given.requests} requests a page, goal {GOAL_MS:.0f} ms\n")
        print("| Page | Median, ms | Worst, ms | Goal |\n|---|---|---|---|")
        for name, path in pages(given.studies, study).items():
            times = timed_ms(browser, path, given.requests)
            median, worst = statistics.median(times), max(times)
            verdict = "reached" if worst <= GOAL_MS else "median" if median <= GOAL_MS else "missed"
            print(f"| {name} | {median:.0f} | {worst:.0f} | {verdict} |")
        close_pages(app)


if __name__ == "__main__":
    main()
