"""Runs a study's steps in order, writes each one whole, and goes on where a run was broken off."""

import json
import shutil
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import pandas as pd

from modeling.cohort import cohort_findings, cohort_sha256, without_duplicates
from modeling.errors import (
    InvalidFeatures,
    StepNotPossible,
    StudyFolderForeign,
    StudyStepUnknown,
    TooFewPatients,
)
from modeling.files import write_whole
from modeling.study.folder import (
    clear_unfinished,
    dump_json,
    read_step,
    read_values,
    sha256_of,
    write_step,
)
from modeling.study.keys import step_keys, versions
from modeling.study.outcome import StepOutcome, StepStatus, StudyOutcome
from modeling.study.report import StepView, StudyView, render
from modeling.study.step import StudyInput, StudyStep
from roi_extraction.anatomy import Finding

__all__ = ["run_study"]

STUDY_FILE = "study.json"
"""The study's manifest; a folder that has it is a study's."""

SCHEMA = "osteonode.study/1"
"""Format of the manifest."""

REPORT_FILE = "report.html"
"""The report, which needs no other file."""

MAX_REASON = 200
"""Characters of the reason why a step is skipped; a list of sites may be longer."""

NOT_POSSIBLE = (StepNotPossible, InvalidFeatures, TooFewPatients)
"""A cohort that has too little for a step, such as a stage without patients or a site that nobody
has: the step is skipped, and nothing has failed."""


def run_study(
    cohort: pd.DataFrame,
    out: Path,
    steps: Sequence[StudyStep],
    *,
    seed: int,
    jobs: int = 1,
    only: Sequence[str] = (),
    source: str = "",
    left_out: tuple[Finding, ...] = (),
    on_start: Callable[[StudyStep], None] = lambda step: None,
    on_end: Callable[[StepOutcome], None] = lambda outcome: None,
) -> StudyOutcome:
    """Run the steps that have no results yet and write the manifest and the report.

    Parameters
    ----------
    cohort
        As `modeling.read_cohort` gives it, with the rows that repeat an earlier one.
    out
        The study's folder: new, empty, or a former study's.
    steps
        In order, each after those that it needs.
    seed
        Seed of everything drawn.
    jobs
        Processes or threads that a step may use.
    only
        Names of the steps to run, with those that they need; empty for all. The results of
        others are kept and shown if they still hold.
    source
        The cohort file's name, for the report.
    left_out
        Rows of the file that are no part of the cohort, for the report.
    on_start, on_end
        Called before and after each step.

    Raises
    ------
    StudyFolderForeign
        ``out`` holds something other than a study.
    StudyStepUnknown
        ``only`` names no step.
    ValueError
        Two steps of one name, or one before another that it needs.
    """
    _check_order(steps)
    wanted = _wanted(steps, only)
    _claim(out)
    findings = (*left_out, *cohort_findings(cohort))
    patients = without_duplicates(cohort)
    digest = cohort_sha256(cohort)
    keys = step_keys(steps, digest, seed)
    outcomes: dict[str, StepOutcome] = {}
    for number, step in enumerate(steps, start=1):
        folder = f"{number:02d}-{step.name}"
        _bring_to_its_place(out, folder, step.name)
        seconds = _kept_seconds(out / folder, keys[step.name])
        if seconds is not None:
            outcome = StepOutcome(step.name, step.title, folder, StepStatus.KEPT, seconds)
        elif step.name not in wanted:
            reason = "not asked for"
            if (out / folder).exists():
                reason = "its results are of another cohort, seed or version; not asked for again"
            outcome = StepOutcome(step.name, step.title, folder, StepStatus.NOT_RUN, reason=reason)
        else:
            on_start(step)
            outcome = _run_one(
                out, folder, step, keys[step.name], patients, findings, seed, jobs, outcomes
            )
        outcomes[step.name] = outcome
        on_end(outcome)
    done = tuple(outcomes.values())
    _summarise(out, cohort, patients, findings, digest, source, seed, done)
    return StudyOutcome(done, out / REPORT_FILE)


def _check_order(steps: Sequence[StudyStep]) -> None:
    seen: set[str] = set()
    for step in steps:
        if step.name in seen:
            raise ValueError(f"two steps are named {step.name!r}")
        late = [name for name in step.needs if name not in seen]
        if late:
            raise ValueError(f"step {step.name!r} comes before {', '.join(late)}, which it needs")
        seen.add(step.name)


def _wanted(steps: Sequence[StudyStep], only: Sequence[str]) -> set[str]:
    known = {step.name: step for step in steps}
    unknown = [name for name in only if name not in known]
    if unknown:
        raise StudyStepUnknown(unknown, list(known))
    wanted: set[str] = set()
    left = list(only or known)
    while left:
        name = left.pop()
        wanted.add(name)
        left += [need for need in known[name].needs if need not in wanted]
    return wanted


def _claim(out: Path) -> None:
    """Take a new, empty or former study's folder, and mark it before anything else is there."""
    if out.exists() and not out.is_dir():
        raise StudyFolderForeign(f"{out} is not a folder")
    if out.is_dir() and any(out.iterdir()):
        try:
            schema = json.loads((out / STUDY_FILE).read_text(encoding="utf-8"))["schema"]
        except (OSError, ValueError, KeyError, TypeError):
            schema = None
        if not str(schema).startswith("osteonode.study/"):
            raise StudyFolderForeign(f"{out} is not empty and not a study's folder: give another")
    out.mkdir(parents=True, exist_ok=True)
    clear_unfinished(out)
    write_whole(out / STUDY_FILE, dump_json({"schema": SCHEMA, "complete": False}))


def _bring_to_its_place(out: Path, folder: str, name: str) -> None:
    """Rename the step's folder if its number has changed; drop all but one."""
    for path in sorted(out.glob(f"[0-9][0-9]-{name}")):
        if path.name != folder and not (out / folder).exists():
            path.rename(out / folder)
        elif path.name != folder:
            shutil.rmtree(path)


def _kept_seconds(folder: Path, key: str) -> float | None:
    record = read_step(folder)
    return float(record["seconds"]) if record is not None and record.get("key") == key else None


def _run_one(
    out: Path,
    folder: str,
    step: StudyStep,
    key: str,
    patients: pd.DataFrame,
    findings: tuple[Finding, ...],
    seed: int,
    jobs: int,
    outcomes: dict[str, StepOutcome],
) -> StepOutcome:
    absent = [name for name in step.needs if not outcomes[name].status.has_results]
    if absent:
        reason = f"it needs {', '.join(absent)}, without results"
        skipped = all(outcomes[name].status is StepStatus.SKIPPED for name in absent)
        status = StepStatus.SKIPPED if skipped else StepStatus.BLOCKED
        return StepOutcome(step.name, step.title, folder, status, reason=reason)
    started = time.perf_counter()
    try:
        earlier = {name: read_values(out / outcomes[name].folder) for name in step.needs}
        given = StudyInput(patients.copy(), seed, jobs, earlier, findings)
        result = step.run(given)
        write_step(out, folder, step, key, result, started)
    except NOT_POSSIBLE as error:
        shutil.rmtree(out / folder, ignore_errors=True)
        reason = shorten(str(error), MAX_REASON, placeholder=" ...")
        return StepOutcome(step.name, step.title, folder, StepStatus.SKIPPED, reason=reason)
    except Exception as error:
        shutil.rmtree(out / folder, ignore_errors=True)
        return StepOutcome(
            step.name, step.title, folder, StepStatus.FAILED, reason=_what_went_wrong(error)
        )
    seconds = round(time.perf_counter() - started, 2)
    return StepOutcome(step.name, step.title, folder, StepStatus.DONE, seconds)


def _what_went_wrong(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split()) or "no message"
    return f"{type(error).__name__}: {text} ({Path(last.filename).name}, line {last.lineno})"


def _summarise(
    out: Path,
    cohort: pd.DataFrame,
    patients: pd.DataFrame,
    findings: tuple[Finding, ...],
    digest: str,
    source: str,
    seed: int,
    outcomes: tuple[StepOutcome, ...],
) -> None:
    views = []
    for outcome in outcomes:
        record = read_step(out / outcome.folder) if outcome.status.has_results else None
        views.append(
            StepView(
                outcome.name,
                outcome.title,
                outcome.folder,
                outcome.status,
                outcome.seconds,
                outcome.reason,
                record or {},
            )
        )
    study = StudyView(
        source=source,
        rows=len(cohort),
        patients=patients,
        findings=findings,
        cohort_sha256=digest,
        seed=seed,
        versions=versions(),
        steps=tuple(views),
    )
    write_whole(out / REPORT_FILE, render(study, out).encode())
    files = sorted(
        path
        for path in (
            out / REPORT_FILE,
            *(p for v in views if v.record for p in (out / v.folder).iterdir()),
        )
    )
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "complete": all(o.status.has_results or o.status is StepStatus.SKIPPED for o in outcomes),
        "seed": seed,
        "versions": versions(),
        "cohort": {
            "source": source,
            "content_sha256": digest,
            "rows": len(cohort),
            "patients": len(patients),
            "findings": [{"code": f.code, "message": f.message} for f in findings],
        },
        "steps": [
            {
                "name": o.name,
                "title": o.title,
                "folder": o.folder if o.status.has_results else None,
                "status": o.status.value,
                "seconds": o.seconds,
                "reason": o.reason,
            }
            for o in outcomes
        ],
        "files": {path.relative_to(out).as_posix(): sha256_of(path) for path in files},
    }
    write_whole(out / STUDY_FILE, dump_json(manifest))
