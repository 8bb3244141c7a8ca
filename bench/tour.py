"""Pictures of the pages for docs/tour.md: `python -m bench.tour [FOLDER]`.

Patients, findings and times are invented (`tests.furnished_node`), the CT is a phantom's. Chromium
is needed.
"""

import argparse
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from tests.furnished_node import Furnished, furnish
from tests.page_visits import visits

WIDE, TALL, PHONE = (1180, 720), (1180, 1000), (390, 800)

COLOURS = (256, 192, 128, 96, 64)
"""Of a picture: as many as its file is small enough with."""

MOST_BYTES = 100_000

Shown = tuple[str, str, str, tuple[int, int], Callable[[Page, Furnished], None]]


def nothing(_page: Page, _node: Furnished) -> None:
    """Look at the page as it opens."""


def correct(page: Page, _node: Furnished) -> None:
    """Name the levels one lower and move a region."""
    page.click("label:has-text('1 lower')")
    page.fill('[name="right.L1.0"]', "4.5")
    page.locator("fieldset").scroll_into_view_if_needed()
    page.evaluate("document.querySelector('#correct').scrollIntoView()")


def confirm(page: Page, node: Furnished) -> None:
    """Ask for what `correct` says."""
    correct(page, node)
    page.click("form[data-most-mm] button")


def to_failed(page: Page, _node: Furnished) -> None:
    """Go down to the failed work."""
    page.evaluate("document.querySelector('#failed').scrollIntoView()")


def try_file(page: Page, node: Furnished) -> None:
    """Let the rules judge an image."""
    page.set_input_files("#header", node.main.paths[0])
    page.click("form[enctype] button")


def to_muscle(page: Page, _node: Furnished) -> None:
    """Go down to the chart with the step."""
    page.locator("h3").nth(1).evaluate("e => e.scrollIntoView()")


TOUR: tuple[Shown, ...] = (
    ("list", "jane", "/studies", WIDE, nothing),
    ("study", "jane", "MAIN", TALL, nothing),
    ("correct", "jane", "MAIN/reading", WIDE, correct),
    ("confirm", "jane", "MAIN/reading", WIDE, confirm),
    ("work", "adam", "/work", PHONE, nothing),
    ("rules", "adam", "/rules", WIDE, try_file),
    ("cohort", "rose", "/cohorts/spines-2025", WIDE, nothing),
    ("scanner", "rose", "/scanners", WIDE, to_muscle),
)
"""Name, who looks, where, size of the window, and what they do; readers sit in the dark."""


def small(screenshot: bytes) -> bytes:
    """The same picture as a small file; colours that are rare stay, as an outline's."""
    picture = Image.open(BytesIO(screenshot)).convert("RGB")
    for number in COLOURS:
        written = BytesIO()
        few = picture.quantize(number, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(written, "PNG", optimize=True)
        if written.tell() <= MOST_BYTES:
            break
    return written.getvalue()


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs/tour"))
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    people = (("jane", "reader"), ("adam", "administrator"), ("rose", "researcher"))
    with tempfile.TemporaryDirectory() as scratch:
        node = furnish(Path(scratch), *people)
        with visits(node.app) as visitors:
            for name, who, address, size, act in TOUR:
                visit = visitors.of(who)
                page = visit.page
                page.set_viewport_size({"width": size[0], "height": size[1]})
                dark = who == "jane" or size is PHONE
                page.emulate_media(color_scheme="dark" if dark else "light")
                visit.open(address.replace("MAIN", node.main.address))
                act(page, node)
                page.wait_for_load_state("networkidle")
                path = folder / f"{name}.png"
                path.write_bytes(small(page.screenshot()))
                print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
