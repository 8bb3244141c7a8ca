"""A validation's folder: sections with tables and figures, JSON, and one HTML page."""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modeling.errors import StudyFolderForeign
from modeling.files import write_whole
from modeling.study.folder import dump_json, read_step, write_step
from modeling.study.keys import versions
from modeling.study.outcome import StepStatus
from modeling.study.report import StepView, page_templates, section_of
from modeling.study.step import StudyStep
from modeling.validation.predictions import RESEARCH_USE
from modeling.validation.sections import Section, sections_of, stated
from modeling.validation.validation import SCHEMA, Validation

__all__ = ["JSON_FILE", "REPORT_FILE", "claim_folder", "write_report"]

REPORT_FILE = "report.html"
"""The page, which needs no other file."""

JSON_FILE = "validation.json"
"""All results; a folder that has it is a validation's."""

NOTE_FILE = "README.txt"
"""Says what the folder's files are and what they are for."""

NOTE = f"""osteonode validate: {RESEARCH_USE}. Not for diagnosis or treatment.
report.html            everything to read
validation.json        all results for programs
NN-section/*.csv       tables
NN-section/*.svg, png  figures
"""


def claim_folder(out: Path) -> None:
    """Take a new, empty or former validation's folder before anything is computed.

    Raises
    ------
    StudyFolderForeign
        The folder holds something else.
    """
    if out.exists() and not out.is_dir():
        raise StudyFolderForeign(f"{out} is not a folder")
    if out.is_dir() and any(out.iterdir()):
        try:
            schema = json.loads((out / JSON_FILE).read_text(encoding="utf-8"))["schema"]
        except (OSError, ValueError, KeyError, TypeError):
            schema = None
        if schema != SCHEMA:
            raise StudyFolderForeign(f"{out} is not empty and not a validation's: give another")
    out.mkdir(parents=True, exist_ok=True)


def write_report(
    found: Validation, out: Path, on_section: Callable[[str], None] = lambda title: None
) -> Path:
    """Write all files; what a former validation left is replaced.

    Parameters
    ----------
    found
        The results.
    out
        The folder, as `claim_folder` took it.
    on_section
        Called with each section's title before its figures are drawn.

    Returns
    -------
    Path
        The page.
    """
    for former in out.glob("[0-9][0-9]-*"):
        shutil.rmtree(former)
    views = []
    for number, section in enumerate(sections_of(found), start=1):
        on_section(section.title)
        views.append(_written(section, f"{number:02d}-{section.name}", out))
    page = (
        page_templates("modeling.validation")
        .get_template("validation.html.j2")
        .render(
            results=found.results,
            headline=headline(found.results),
            sections=[section_of(view, out) for view in views],
            versions=versions(),
            research_use=RESEARCH_USE,
        )
    )
    write_whole(out / NOTE_FILE, NOTE.encode())
    write_whole(out / JSON_FILE, dump_json(found.results))
    write_whole(out / REPORT_FILE, page.encode())
    return out / REPORT_FILE


def headline(results: Mapping[str, Any]) -> list[dict[str, str]]:
    """Give the main figures in words, each beside the model's own and what would be ideal."""
    scores, calibration = results["model_scores"], results["calibration"]
    yes = results["osteoporosis"]
    asked = calibration["questions"]["C or D"]
    mean = {"value": results["mean_pair_auroc"], "ci": results["mean_pair_auroc_ci"]}
    complete = len(results["mean_pair_auroc_of"]) == len(results["pairs"])
    own_mean = {"value": scores["mean_pair_auroc"], "ci": scores["mean_pair_auroc_ci"]}
    own_coverage, own_brier = (
        stated({"value": scores[name], "ci": None}).removesuffix(" [no interval]")
        for name in ("coverage", "brier")
    )
    area = {"value": yes.get("auroc"), "ci": yes.get("ci")}
    pairs = "" if complete else f" of {', '.join(results['mean_pair_auroc_of']) or 'no pair'}"
    rows = [
        (f"Mean pair AUROC{pairs}", stated(mean), stated(own_mean) if complete else "", "1"),
        ("AUROC of C or D", stated(area), "", "1"),
        ("Calibration slope of C or D", stated(asked.get("slope")), "", "1"),
        ("Calibration intercept of C or D", stated(asked.get("intercept")), "", "0"),
        ("Brier score of the stage", stated(calibration["brier"]), own_brier, "0"),
        (
            "Coverage of the prediction sets",
            stated(results["coverage"]["all"]),
            own_coverage,
            f"{results['coverage']['intended']:g}",
        ),
    ]
    return [dict(zip(("measure", "here", "own", "ideal"), row, strict=True)) for row in rows]


def _written(section: Section, folder: str, out: Path) -> StepView:
    step = StudyStep(section.name, section.title, lambda given: section.result)
    write_step(out, folder, step, "", section.result, time.perf_counter())
    record = read_step(out / folder)
    return StepView(section.name, section.title, folder, StepStatus.DONE, None, None, record or {})
