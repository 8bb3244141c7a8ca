"""Writes tests/golden/dsr2html.txt, a report as dcmtk's dsr2html shows it in words.

`python -m tests.dsr2html_golden` renews it; the change is then read before it is committed. Where
the same measurement says something else, `REPORT_FORM` is raised (`dicom_node.analysis.analysis`).
"""

import html
import re
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path

from dicom_node.reporting.structured_report import build_structured_report
from tests.assessment_builders import assessment
from tests.dicom_builders import plain_series

__all__ = ["GOLDEN", "sr_as_text"]

GOLDEN = Path(__file__).parent / "golden" / "dsr2html.txt"

MASKS = (
    (r"2\.25\.\d+", "UID"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE TIME"),
    (re.escape(f'"{version("osteonode")}"'), '"VERSION"'),
)
"""What differs between two runs or two releases."""


def sr_as_text(folder: Path) -> str:
    """The Structured Report of known numbers as dsr2html writes it, without its mark-up.

    Parameters
    ----------
    folder
        An empty folder, for the images and the report.
    """
    plain_series(folder / "series")
    document = build_structured_report(assessment(folder / "series"), "id-1")
    document.save_as(folder / "report.sr.dcm", enforce_file_format=True)
    page = subprocess.run(
        ["/usr/bin/dsr2html", "+U8", folder / "report.sr.dcm"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    body, _, _footer_with_version = page.partition('<div class="footnote">')
    body = body.partition("<body>")[2]
    body = re.sub(r"<h\d>", "\n# ", body)
    body = re.sub(r"(:</b>)(<br>|</td>)?\s*(<td>)?", r"\1 ", body)
    text = html.unescape(re.sub(r"<[^>]*>", "", body))
    for pattern, mask in MASKS:
        text = re.sub(pattern, mask, text)
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip()) + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        GOLDEN.write_text(sr_as_text(Path(name)), encoding="utf-8")
