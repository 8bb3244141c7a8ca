"""axe-core, which looks for what people with impairments could not read or use on a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from bench.npm_package import fetch_package

__all__ = ["axe_script", "violations"]

AXE_VERSION = "4.14.1"

AXE_INTEGRITY = (
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NP"
    "jCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
)

STANDARDS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
"""WCAG 2.2, levels A and AA, as axe-core calls its rules."""

LOOKS = ("color-contrast", "target-size", "scrollable-region-focusable")
"""Rules whose findings depend on colours and places; the others read what the page holds."""

RUN = """async (options) => {
  const found = await axe.run(document, {...options, resultTypes: ["violations"]});
  return found.violations.flatMap((rule) => rule.nodes.map((node) =>
    `${rule.impact} ${rule.id}: ${node.target} ${node.any.map((one) => one.message).join("; ")}`));
}"""


def axe_script(folder: Path) -> str:
    """The program, downloaded by npm into a folder if it is not there.

    Raises
    ------
    PackageUnavailable
        npm is missing or failed, or the package is not the one that was tested.
    """
    package = fetch_package("axe-core", AXE_VERSION, AXE_INTEGRITY, folder)
    return (package / "axe.min.js").read_text(encoding="utf-8")


def violations(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """What speaks against the standards, or some rules, on a page that `axe_script` was run in."""
    kind, values = ("rule", rules) if rules else ("tag", STANDARDS)
    found: list[Any] = page.evaluate(RUN, {"runOnly": {"type": kind, "values": list(values)}})
    return [str(one) for one in found]
