"""A study in Orthanc, opened in OHIF by headless Chromium: `python -m tests.ohif STUDY DIST OUT`.

It runs in a network namespace of its own (`look`), so that no server is reachable from outside and
the viewer reaches nothing but them. What was seen is written to OUT/seen.json, a picture of each
object to OUT/NAME.png.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from pydicom.dataset import Dataset

from bench.viewer.__main__ import demo_home
from bench.viewer.archive import FolderArchive
from bench.viewer.page import Proxy, serve_viewer
from dicom_node.reporting.objects.kinds import ObjectKind
from dicom_node.reporting.report_history import REPORT_FILE
from tests.conftest import CHROMIUM, DICOMWEB_PLUGIN
from tests.test_node_peers import Orthanc

__all__ = ["BLACK_SPREAD", "OPENINGS", "look"]

SOFTWARE_WEBGL = (
    "--enable-unsafe-swiftshader", "--force-prefers-reduced-motion", "--no-sandbox",
)  # fmt: skip
"""Images are drawn by WebGL, here without a graphics card; the page itself is not. Root has no
sandbox."""

PATIENCE_MS = 120_000
"""How long one thing may take to appear; a loaded machine of two cores took 30 s."""

BLACK_SPREAD = 5.0
"""A picture whose grey values spread less is a viewport without an image."""

NAMESPACE = ("unshare", "--net", "--map-root-user")

PORT = 3000
"""Of the viewer in its namespace; Orthanc writes it into addresses."""

ROW = '[data-cy="data-row"]'
"""An entry in the panels of measurements and segments."""

SEEN_FILE = "seen.json"


@dataclass(frozen=True)
class Opening:
    """How a reader opens an object, and when it is there."""

    shown: str
    """JavaScript, true when the viewer shows it; ``UID`` stands for its SOP Instance UID."""
    offered: bool = False
    """Whether the viewer asks first, with a button "Yes"."""
    panel: str | None = None
    """The panel that lists what was loaded."""


FIRST_IMAGE_SHOWN = r"/I:\d+ \(\d+\/\d+\)/.test(document.body.innerText)"
"""An object that is opened before stops the viewer: "ViewportId is required"."""

IMAGE_SHOWN = """(() => {
  const {viewportGridService: grid, cornerstoneViewportService: views} = window.services;
  const view = views.getCornerstoneViewport(grid.getActiveViewportId());
  return view?.viewportStatus === 'rendered' && view.getCurrentImageId().includes('UID');
})()"""

PDF = "'object[type=\"application/pdf\"]'"

OPENINGS = {
    REPORT_FILE: Opening(
        "[...document.querySelectorAll('svg text')].some(t => t.textContent.includes('L1'))"
    ),
    ObjectKind.PLANAR.file_name: Opening(
        "window.services.measurementService.getMeasurements().length > 0",
        offered=True,
        panel="trackedMeasurements",
    ),
    ObjectKind.SC.file_name: Opening(IMAGE_SHOWN),
    ObjectKind.SLICES.file_name: Opening(IMAGE_SHOWN),
    ObjectKind.SEG.file_name: Opening(
        "window.services.segmentationService.getSegmentations().length > 0",
        offered=True,
        panel="panelSegmentation",
    ),
    ObjectKind.PDF.file_name: Opening(
        "document.querySelector('object[type=\"application/pdf\"]') !== null"
    ),
}
"""The objects of a report's folder that readers open."""

PDF_STARTS = f"""async () => {{
  const found = document.querySelector({PDF});
  return found ? (await (await fetch(found.data)).text()).slice(0, 5) : '';
}}"""


@dataclass(frozen=True)
class Seen:
    """What the viewer made of one object."""

    faults: list[str]
    """Errors in the console, uncaught errors, requests that failed."""
    text: str
    """All words on the page."""
    listed: int
    """Rows in the panel of what was loaded."""
    spreads: list[float]
    """Standard deviation of the grey values of each viewport."""
    pdf_starts: str
    """First bytes of a document that is shown."""


def look(study: Path, dist: Path, out: Path) -> dict[str, Any]:
    """Open all objects of a study, in a network namespace; returns what was written.

    Parameters
    ----------
    study
        Folder with ``ct`` and ``report``.
    dist
        OHIF's built files.
    out
        Folder for pictures and ``seen.json``.
    """
    out.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [*NAMESPACE, sys.executable, "-m", "tests.ohif", study, dist, out],
        check=True,
        timeout=900,
    )  # fmt: skip
    found: dict[str, Any] = json.loads((out / SEEN_FILE).read_text())
    return found


def _blank_page(browser: Browser, faults: list[str]) -> Page:
    """A page that writes down what goes wrong on it."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(PATIENCE_MS)
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("response", lambda got: faults.append(got.url) if got.status >= 400 else None)
    page.on("requestfailed", lambda asked: faults.append(f"{asked.url}: {asked.failure}"))
    return page


def _open(browser: Browser, address: str, header: Dataset, name: str, out: Path) -> Seen:
    """Open the study's page, then one object by its entry in the list; as a reader would."""
    faults: list[str] = []
    page = _blank_page(browser, faults)
    page.goto(f"{address}/")
    page.wait_for_function(FIRST_IMAGE_SHOWN)
    opening = OPENINGS[name]
    entries = page.locator('[data-cy^="study-browser-thumbnail"]')
    entries.filter(has_text=header.SeriesDescription).dblclick()
    if opening.offered:
        page.get_by_role("button", name="Yes", exact=True).click()
    page.wait_for_function(opening.shown.replace("UID", header.SOPInstanceUID))
    if opening.panel:
        page.locator(f'[data-cy="{opening.panel}-btn"]').click()
        page.locator(ROW).first.wait_for()
    return _look_at(page, faults, out / f"{Path(name).stem}.png")


def _open_demo(browser: Browser, address: str, out: Path) -> Seen:
    """The demonstration's page, where CT, picture and report stand beside each other."""
    faults: list[str] = []
    page = _blank_page(browser, faults)
    page.goto(f"{address}/")
    page.wait_for_function(OPENINGS[REPORT_FILE].shown)
    return _look_at(page, faults, out / "demo.png")


def _look_at(page: Page, faults: list[str], picture: Path) -> Seen:
    page.wait_for_load_state("networkidle")
    spreads = [
        float(np.asarray(Image.open(BytesIO(pane.screenshot())).convert("L")).std())
        for pane in page.locator('[data-cy="viewport-pane"]').all()
    ]
    picture.write_bytes(page.screenshot())
    seen = Seen(
        faults=list(faults),
        text=page.inner_text("body"),
        listed=page.locator(ROW).count(),
        spreads=spreads,
        pdf_starts=page.evaluate(PDF_STARTS),
    )
    page.close()
    return seen


def _previews(orthanc: Orthanc, stored: dict[str, str]) -> dict[str, str]:
    """First bytes of what Orthanc shows in its own pages of a picture and of a document."""
    views = {ObjectKind.SC.file_name: "preview", ObjectKind.PDF.file_name: "pdf"}
    return {
        name: orthanc.file(f"/instances/{stored[name]}/{view}")[:5].decode("latin-1")
        for name, view in views.items()
    }


def main(study: Path, dist: Path, out: Path) -> None:
    """Look at the study, inside the namespace."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    images = sorted((study / "ct").iterdir())
    objects = {name: study / "report" / name for name in OPENINGS}
    headers = {name: pydicom.dcmread(path) for name, path in objects.items()}
    home = f"/viewer?StudyInstanceUIDs={pydicom.dcmread(images[0]).StudyInstanceUID}"
    seen: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory() as scratch,
        Orthanc(Path(scratch) / "orthanc", plugins=[DICOMWEB_PLUGIN]) as orthanc,
        sync_playwright() as playwright,
    ):
        for path in images:
            orthanc.store(path)
        stored = {name: orthanc.store(path) for name, path in objects.items()}
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SOFTWARE_WEBGL)
        archive = Proxy(f"http://127.0.0.1:{orthanc.http_port}/dicom-web", f"127.0.0.1:{PORT}")
        with serve_viewer(dist, archive, home, PORT) as address:
            for name, header in headers.items():
                seen[name] = asdict(_open(browser, address, header, name, out))
        folder = FolderArchive([*images, *objects.values()])
        with serve_viewer(dist, folder, demo_home(folder), 0) as address:
            seen["demo"] = asdict(_open_demo(browser, address, out))
        browser.close()
        previews = _previews(orthanc, stored)
    (out / SEEN_FILE).write_text(json.dumps({"seen": seen, "previews": previews}, indent=1))


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
