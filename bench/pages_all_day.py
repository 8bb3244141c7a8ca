"""What a page that is open for a day leaves behind, in the browser and in the web process.

    python -m bench.pages_all_day [--studies 2000] [--refreshes 2880] [--page work]

A web process of its own and a headless Chromium, whose clock is wound on: the list of studies
renews itself every 30 s, the page of work every 10 s, and on the page of a study a reader takes a
step through the slices every 30 s: of 2880 the hours are 24, of the page of work 8. Told are,
after each sixth of them and a collection of the browser's garbage: heap of JavaScript, nodes and
listeners of the browser; memory, open files and threads of the web process; rows of sessions and of
failed tries; size of the audit trail.
"""

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

import psutil
import sqlalchemy as sa
from playwright.sync_api import CDPSession, Error, Page, sync_playwright

from bench.pages_data import filled
from dicom_node.pages.app import close_pages
from dicom_node.records.database import login_failures, open_database, sessions
from tests.conftest import CHROMIUM
from tests.page_client import PASSWORD
from tests.page_process import HOST, PageProcess

PARTS = 6

REFRESH_SECONDS = {"list of studies": 30, "work": 10, "a study, stepped": 30}
"""What renews itself how often; as templates say, and a reader's step."""

DEADLINE_SECONDS = 60.0

HEADER = (
    "| Page | Hours | Requests | JS heap, MB | Nodes | Listeners | RSS, MB | Files | Threads "
    "| Sessions | Audit, MB |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


def _note(faults: list[str], fault: Error) -> None:
    faults.append(str(fault))


def sign_in(page: Page, address: str, name: str, to: str) -> None:
    page.goto(f"{address}/login?to={to}")
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.click("main button")
    page.wait_for_load_state("networkidle")


def in_browser(session: CDPSession) -> tuple[float, int, int]:
    """Heap in MB, nodes and listeners, after a collection of garbage."""
    for _ in range(2):
        session.send("HeapProfiler.collectGarbage")
    found = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
    heap = found["JSHeapUsedSize"] / 1e6
    return heap, int(found["Nodes"]), int(found["JSEventListeners"])


def in_process(server: PageProcess) -> tuple[float, int, int, int, float]:
    """Memory in MB, open files and threads, rows of access, audit trail in MB."""
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    engine = open_database(server.settings.database)
    with engine.connect() as connection:
        rows = sum(
            connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in (sessions, login_failures)
        )
    engine.dispose()
    trail = sum(path.stat().st_size for path in (server.settings.data_dir / "audit").iterdir())
    memory = process.memory_info().rss / 1e6
    return memory, process.num_fds(), process.num_threads(), rows, trail / 1e6


def tell(what: str, hours: float, requests: int, session: CDPSession, server: PageProcess) -> None:
    heap, nodes, listeners = in_browser(session)
    memory, files, threads, rows, trail = in_process(server)
    print(
        f"| {what} | {hours:g} | {requests} | {heap:.1f} | {nodes} | {listeners} | {memory:.0f} "
        f"| {files} | {threads} | {rows} | {trail:.1f} |",
        flush=True,
    )


COUNT_RENEWALS = """
    window.renewals = 0;
    document.addEventListener("htmx:afterSettle", () => { window.renewals += 1; });
"""


def renew(page: Page, what: str, seconds: int) -> None:
    """Wind the clock on by one renewal, or take a step, and wait until it is shown."""
    before = page.evaluate("window.renewals")
    if what == "a study, stepped":
        page.keyboard.press("ArrowRight" if steps_on(page) else "ArrowLeft")
    page.clock.run_for(seconds * 1000)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while page.evaluate("window.renewals") == before:
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: it is not renewed any more")
        page.clock.run_for(50)  # htmx settles by the clock what it swapped


def steps_on(page: Page) -> bool:
    """Whether there is a next slice; at the last the way goes back."""
    # evaluated there: a handle to an element would hold the picture that is replaced
    return bool(
        page.evaluate(
            """() => {
                if (!document.querySelector("#picture a[rel=next]")) window.backwards = true;
                if (!document.querySelector("#picture a[rel=prev]")) window.backwards = false;
                return !window.backwards;
            }"""
        )
    )


def watch(address: str, pages: dict[str, str], refreshes: int, server: PageProcess) -> None:
    """Open each page in a browser, let it renew itself, and tell what it leaves."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for what, path in pages.items():
            context = browser.new_context()
            page = context.new_page()
            page.clock.install()
            page.add_init_script(COUNT_RENEWALS)
            faults: list[str] = []
            page.on("pageerror", partial(_note, faults))
            sign_in(page, address, "adam" if what == "work" else "jane", path)
            session = context.new_cdp_session(page)
            session.send("Performance.enable")
            seconds = REFRESH_SECONDS[what]
            begun = time.monotonic()
            renew(page, what, seconds)
            tell(what, 0, 1, session, server)
            for done in range(1, refreshes + 1):
                renew(page, what, seconds)
                if done % max(1, refreshes // PARTS) == 0:
                    tell(what, done * seconds / 3600, done, session, server)
            took = time.monotonic() - begun
            print(f"<!-- {what}: {took:.0f} s, faults of scripts: {len(faults)} -->")
            context.close()
        browser.close()


def main() -> None:
    """Print a table of what grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--refreshes", type=int, default=2880)
    parser.add_argument("--page", choices=[*REFRESH_SECONDS], help="this one alone")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = PageProcess(folder, web="idle_minutes = 1440\nsession_hours = 168\n")
        app, study = filled(folder, given.studies)
        close_pages(app)
        server.start()
        pages = {"list of studies": "/studies", "work": "/work", "a study, stepped": study}
        if given.page:
            pages = {given.page: pages[given.page]}
        address = f"http://{HOST}:{server.port}"
        print(HEADER)
        try:
            watch(address, pages, given.refreshes, server)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
