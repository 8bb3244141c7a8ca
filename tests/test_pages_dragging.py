"""Outlines that are dragged and moved by keys in a browser that keeps to the pages' policy."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from dicom_node.pages.reading import word
from dicom_node.records.reading import Reading
from dicom_node.reporting.report_history import REPORT_FILE
from tests.conftest import CHROMIUM
from tests.page_client import PASSWORD, make_app
from tests.page_server import served
from tests.simulated_worker import simulated_report
from tests.study_builders import make_study

pytestmark = pytest.mark.viewers


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Reading]:
    given: list[Reading] = []

    def take(_settings: object, _assessment: str, said: Reading) -> str:
        given.append(said)
        return "work"

    monkeypatch.setattr(word, "send_reading", take)
    return given


@pytest.fixture
def form(tmp_path: Path, sent: list[Reading]) -> Iterator[Page]:
    """The form of a report, as a reader has it before them."""
    assert not sent
    app = make_app(tmp_path / "node", ("jane", "reader"))
    study = make_study(app, tmp_path / "series")
    (study.report_folder / REPORT_FILE).write_bytes(simulated_report("first"))
    with served(app) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 1200})
        faults: list[str] = []
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.goto(f"{address}/login?to={study.address}/reading")
        page.fill("#name", "jane")
        page.fill("#password", PASSWORD)
        page.click("main button")
        page.wait_for_selector(".movable")
        yield page
        browser.close()
    assert not faults


def values(page: Page, region: str) -> tuple[str, str]:
    return page.input_value(f'[name="right.{region}"]'), page.input_value(f'[name="down.{region}"]')


def test_outline_is_moved_by_keys_pointer_and_fields_and_measured_by_the_node(
    form: Page, sent: list[Reading]
) -> None:
    outline = form.locator('polygon[data-field="L1.0"]')
    outline.focus()
    for key in ("ArrowRight", "Shift+ArrowDown", "ArrowUp"):
        form.keyboard.press(key)
    assert values(form, "L1.0") == ("0.5", "4.5")
    assert outline.get_attribute("transform") == "translate(0.5 4.5)"
    for _ in range(20):
        form.keyboard.press("Shift+ArrowLeft")
    right, down = map(float, values(form, "L1.0"))
    assert right < -55
    assert (right**2 + down**2) ** 0.5 <= 60

    dragged = form.locator('polygon[data-field="L1.1"]')
    dragged.scroll_into_view_if_needed()
    box = dragged.bounding_box()
    picture = form.locator("svg.slice").nth(1)
    frame, view = picture.bounding_box(), picture.get_attribute("viewBox")
    assert box is not None
    assert frame is not None
    assert view is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    form.mouse.move(x, y)
    form.mouse.down()
    form.mouse.move(x + 40, y - 20, steps=3)
    form.mouse.up()
    mm = float(view.split()[2]) / frame["width"]
    right, down = map(float, values(form, "L1.1"))
    assert (right, down) == pytest.approx((40 * mm, -20 * mm), abs=0.1)

    form.fill('[name="right.L1.2"]', "-7")
    typed = form.locator('polygon[data-field="L1.2"]')
    assert typed.get_attribute("transform") == "translate(-7 0)"

    form.click("text=Correct …")
    form.wait_for_selector("text=Nothing has been sent yet.")
    assert not sent
    form.click("text=Measure again and send")
    form.wait_for_selector("text=the study is being measured again")
    [said] = sent
    assert [(move.site, move.right_mm, move.down_mm) for move in said.moved[1:]] == [
        ("L1", right, down), ("L1", -7.0, 0.0),
    ]  # fmt: skip
