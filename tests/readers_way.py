"""A reader, a node and Orthanc as the hospital's PACS: `python -m tests.readers_way OUT`.

It runs in a network namespace of its own (`walk`). After each word of the reader what Orthanc holds
of reports is written to OUT/measured, OUT/corrected and OUT/rejected, and what the pages said to
OUT/seen.json.
"""

import json
import random
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from dicom_node.pages.access.visitor import Identity
from dicom_node.pages.app import make_pages
from dicom_node.settings.node import load_settings
from tests.conftest import CHROMIUM
from tests.dicom_builders import plain_series
from tests.fault_node import FaultNode, send_until_taken
from tests.ohif import NAMESPACE
from tests.page_client import PASSWORD, QUICK_HASHER
from tests.page_server import served
from tests.test_node_peers import Orthanc

__all__ = ["READER", "walk"]

READER = Identity("jane", frozenset({"reader"}), "Doe^Jane", "General Hospital")


def walk(out: Path) -> dict[str, str]:
    """Let the reader go the whole way; returns what the pages said."""
    command = [*NAMESPACE, sys.executable, "-m", "tests.readers_way", str(out)]
    subprocess.run(command, check=True, timeout=600)
    seen: dict[str, str] = json.loads((out / "seen.json").read_text())
    return seen


def keep_reports(orthanc: Orthanc, folder: Path) -> None:
    """Fetch all objects of reports that Orthanc holds."""
    folder.mkdir()
    for series in orthanc.get("/series?expand"):
        if series["MainDicomTags"]["Modality"] != "CT":
            for instance in series["Instances"]:
                (folder / f"{instance}.dcm").write_bytes(
                    orthanc.file(f"/instances/{instance}/file")
                )


def confirm(page: Page, seen: dict[str, str], word: str) -> None:
    """Say what the page asks for."""
    seen[f"asked {word}"] = page.inner_text("main")
    page.click("main .row form:first-child button")
    seen[f"said {word}"] = page.inner_text(".notice")


def main(out: Path) -> None:
    """Go the way, inside the namespace."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    seen: dict[str, str] = {}
    with (
        Orthanc(out / "orthanc") as orthanc,
        FaultNode(out / "node", [orthanc.dicom_port], ae_title="ORTHANC") as node,
        sync_playwright() as playwright,
    ):
        images = plain_series(out / "ct", patient_name="Roe^Rita", patient_id="4711")
        for path in images:
            orthanc.store(path)
        send_until_taken(node.port, images, random.Random(1))
        node.wait_for(lambda: node.events("delivered"))
        keep_reports(orthanc, out / "measured")
        app = make_pages(load_settings(node.config), QUICK_HASHER)
        app.state.gate.accounts.add(READER, PASSWORD)
        with served(app) as address:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1600, "height": 1200})
            page.goto(address)
            page.fill("#name", READER.name)
            page.fill("#password", PASSWORD)
            page.click("main button")
            seen["list"] = page.inner_text("tbody")
            page.click("tbody a")
            page.click("text=Read this report")
            form = page.url
            page.click("label:has-text('1 lower')")
            page.locator("form[data-most-mm] button[name=word]").click()
            confirm(page, seen, "corrected")
            node.wait_for(lambda: len(node.events("delivered")) == 2)
            keep_reports(orthanc, out / "corrected")
            page.goto(f"{address}/studies")
            seen["list corrected"] = page.inner_text("tbody")
            page.goto(form)
            page.fill("#reason", "wrong levels")
            page.click("button.danger")
            confirm(page, seen, "rejected")
            node.wait_for(lambda: len(node.events("withdrawn")) == 2)
            keep_reports(orthanc, out / "rejected")
            page.reload()
            seen["log"] = page.inner_text("main ol")
            browser.close()
    (out / "seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
