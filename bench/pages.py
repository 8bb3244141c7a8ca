"""Server time of the pages with many studies in the list.

    python -m bench.pages [--studies 50000] [--requests 20]

What is shown is simulated (`bench.pages_data`), in SQLite: studies with deliveries and events, one
small series with a report, as many series of a screening and studies of scanners, 10,000 readers'
words, 2000 pieces of failed work. Requests are made in this process, without a socket. What is kept
for some seconds is read anew for each. The first of a page is told by itself: what is kept for
longer is reckoned there, charts and figures of agreement.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.pages_data import BEGAN_MS, MINUTE_MS, filled
from dicom_node.pages.app import close_pages
from dicom_node.pages.studies import numbers
from tests.page_client import Browser

GOAL_MS = 150.0


@dataclass
class Timed:
    """Times of some requests; CPU time of these and of the first one before them, ms."""

    first_cpu: float
    times: list[float]
    cpu: list[float]


def timed(browser: Browser, path: str, requests: int) -> Timed:
    """Ask for a page some times, with nothing kept for seconds from the request before."""
    times, cpu = [], []
    for _ in range(requests + 1):
        browser.app.state.node_status.forget()
        numbers._kept.clear()
        begun, worked = time.perf_counter(), time.process_time()
        answer = browser.get(path)
        times.append((time.perf_counter() - begun) * 1000)
        cpu.append((time.process_time() - worked) * 1000)
        if answer.status != 200:
            raise SystemExit(f"{path}: status {answer.status}")
    return Timed(cpu[0], times[1:], cpu[1:])


def readers_pages(count: int, study: str) -> dict[str, str]:
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
        "a study, to be read": f"{study}/reading",
        "agreement": "/agreement",
        "agreement as CSV": "/agreement.csv",
    }


RESEARCHERS_PAGES = {
    "cohorts": "/cohorts",
    "a cohort": "/cohorts/spines",
    "scanners": "/scanners",
    "scanners as CSV": "/scanners.csv",
    "model": "/model",
}

ADMINISTRATORS_PAGES = {
    "list, without patients": "/studies",
    "work": "/work",
    "work, the part that changes": "/work/now",
    "rules": "/rules",
    "rules, search": "/rules?accession=a00",
    "destinations": "/destinations",
    "metrics": "/metrics",
}


def main() -> None:
    """Print a table of median and worst time by page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=50_000)
    parser.add_argument("--requests", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        app, study = filled(Path(folder), given.studies)
        print(f"{given.studies} studies, {given.requests} requests a page, goal {GOAL_MS:.0f} ms\n")
        print("| Page | First, CPU ms | Median, ms | CPU, ms | Worst, ms | Goal |")
        print("|---|---|---|---|---|---|")
        visitors = {
            "jane": readers_pages(given.studies, study),
            "rose": RESEARCHERS_PAGES,
            "adam": ADMINISTRATORS_PAGES,
        }
        for visitor, pages in visitors.items():
            browser = Browser(app)
            browser.sign_in(visitor)
            for name, path in pages.items():
                found = timed(browser, path, given.requests)
                median, worst = statistics.median(found.times), max(found.times)
                cpu = statistics.median(found.cpu)
                reached = "reached" if worst <= GOAL_MS else "missed"
                verdict = "median" if median <= GOAL_MS < worst else reached
                times = f"{found.first_cpu:.0f} | {median:.0f} | {cpu:.0f} | {worst:.0f}"
                print(f"| {name} | {times} | {verdict} |", flush=True)
        close_pages(app)


if __name__ == "__main__":
    main()
