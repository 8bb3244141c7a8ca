"""The reader's way in a browser: from the list to a verified report in the PACS, and its end."""

import random
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright
from pydicom.uid import ComprehensiveSRStorage, KeyObjectSelectionDocumentStorage

from dicom_node.pages.access.visitor import Identity
from dicom_node.pages.app import make_pages
from dicom_node.settings.node import load_settings
from tests.conftest import CHROMIUM
from tests.dicom_builders import plain_series
from tests.fault_node import FaultNode, send_until_taken
from tests.node_process import Pacs
from tests.page_client import PASSWORD, QUICK_HASHER
from tests.page_server import served

pytestmark = pytest.mark.viewers


def confirm(page: Page) -> str:
    """Say what the confirmation page asks for; what the study's page says then."""
    page.click("main .row form:first-child button")
    return page.inner_text(".notice")


def test_reader_corrects_then_rejects_and_the_pacs_gets_both(tmp_path: Path) -> None:
    with Pacs() as pacs, FaultNode(tmp_path / "node", [pacs.port]) as node:
        send_until_taken(node.port, plain_series(tmp_path / "ct"), random.Random(1))
        node.wait_for(lambda: node.events("delivered"))
        app = make_pages(load_settings(node.config), QUICK_HASHER)
        reader = Identity("jane", frozenset({"reader"}), "Doe^Jane", "General Hospital")
        app.state.gate.accounts.add(reader, PASSWORD)
        with served(app) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1600, "height": 1200})
            page.goto(address)
            page.fill("#name", "jane")
            page.fill("#password", PASSWORD)
            page.click("main button")
            page.click("tbody a")
            page.click("text=Read this report")
            form = page.url
            page.click("label:has-text('1 lower')")
            page.locator("form[data-most-mm] button[name=word]").click()
            assert "all levels named one lower" in page.inner_text("main")
            assert len(pacs.stored) == 1
            assert "Corrected" in confirm(page)
            node.wait_for(lambda: len(node.events("delivered")) == 2)
            page.goto(form)
            page.fill("#reason", "wrong levels")
            page.click("button.danger")
            assert "wrong levels" in page.inner_text("main")
            assert "Rejected" in confirm(page)
            node.wait_for(lambda: len(node.events("withdrawn")) == 2)
            page.reload()
            assert "wrong levels" in page.inner_text("main ol")
            browser.close()
    first, second = (d for d in pacs.stored if d.SOPClassUID == ComprehensiveSRStorage)
    assert (first.VerificationFlag, second.VerificationFlag) == ("UNVERIFIED", "VERIFIED")
    [observer] = second.VerifyingObserverSequence
    assert observer.VerifyingObserverName == "Doe^Jane"
    [study] = second.PredecessorDocumentsSequence
    [named] = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert named.ReferencedSOPInstanceUID == first.SOPInstanceUID
    notes = [d for d in pacs.stored if d.SOPClassUID == KeyObjectSelectionDocumentStorage]
    assert len(notes) == 2
