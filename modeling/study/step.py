"""A step of a study: its input and its result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from roi_extraction.anatomy import Finding

__all__ = ["Figure", "StepResult", "StudyInput", "StudyStep", "Table"]


@dataclass(frozen=True)
class Table:
    """One table of a step, kept as CSV.

    Parameters
    ----------
    name
        The file's stem, in lower case with hyphens.
    caption
        What it shows, in a sentence.
    frame
        The rows; column names carry their unit. The index is not written.
    """

    name: str
    caption: str
    frame: pd.DataFrame


@dataclass(frozen=True)
class Figure:
    """One figure of a step, kept as SVG and PNG.

    Parameters
    ----------
    name
        The file's stem, in lower case with hyphens.
    caption
        What it shows, in a sentence.
    draw
        Draws it from results that are already computed; gives a matplotlib figure.
    """

    name: str
    caption: str
    draw: Callable[[], Any]


@dataclass(frozen=True)
class StudyInput:
    """The input of every step.

    Parameters
    ----------
    cohort
        As `modeling.read_cohort` gives it, rows that repeat an earlier one left out.
    seed
        Seed of everything drawn.
    jobs
        Processes or threads that a step may use.
    earlier
        The ``values`` of the steps that this one needs, by step name, as they read back from
        JSON.
    findings
        What the checks of the cohort found, rows that repeat an earlier one among it; data rows
        are those of the file.
    """

    cohort: pd.DataFrame
    seed: int
    jobs: int
    earlier: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class StepResult:
    """The result of a step.

    Parameters
    ----------
    method
        How it was done, with sources, in a paragraph of plain text.
    findings
        The main results, a sentence each.
    tables, figures
        In reading order.
    values
        JSON-ready results for later steps and for programs.
    files
        Further files by name, such as GraphML.
    """

    method: str
    findings: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyStep:
    """A named step.

    Parameters
    ----------
    name
        Its folder and its anchor in the report, in lower case with hyphens.
    title
        Its heading.
    run
        Computes the result; pure apart from threads and processes.
    needs
        Names of earlier steps whose values it reads.
    parameters
        Settings that its results depend on, JSON-ready; it is run again when they change.
    """

    name: str
    title: str
    run: Callable[[StudyInput], StepResult]
    needs: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
