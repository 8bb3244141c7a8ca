"""Run the whole published analysis of a cohort in one command."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicom_node.commands.ending import EXIT_FAULT, EXIT_USAGE, fail

if TYPE_CHECKING:
    from rich.progress import Progress

    from modeling.study import StepOutcome, StudyStep

__all__ = ["all_steps", "app"]

app = typer.Typer()


class Core(StrEnum):
    """Library of the pair models; imported from modeling it would slow every command down."""

    LIGHTGBM = "LightGBM"
    XGBOOST = "XGBoost"
    CATBOOST = "CatBoost"


def all_steps(core: str = Core.LIGHTGBM) -> "tuple[StudyStep, ...]":
    """The steps of all packages in their order, SHAP and network with a core."""
    from modeling.pair_trees import PairCore
    from modeling.study_steps import modeling_steps
    from network.study import network_steps

    return (*modeling_steps(PairCore(core)), *network_steps(PairCore(core)))


@app.command()
def study(
    cohort: Annotated[
        Path | None, typer.Argument(help="The cohort's table (TSV, CSV or Parquet).")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for the results.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 42,
    jobs: Annotated[int, typer.Option(min=1, help="Processes or threads that a step may use.")] = 2,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Run only this step and those that it needs; several are separated by commas."
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Column with the stage, A to D; default 'Disease'.")
    ] = None,
    identifier: Annotated[
        str | None,
        typer.Option("--id", help="Column that tells patients apart; default 'patient' or 'id'."),
    ] = None,
    core: Annotated[
        Core,
        typer.Option(
            case_sensitive=False, help="Library of the pair models of the steps shap and network."
        ),
    ] = Core.LIGHTGBM,
    list_steps: Annotated[bool, typer.Option("--list", help="Print the steps and end.")] = False,
) -> None:
    """Run the whole analysis of a cohort: OUT/report.html, tables as CSV, figures as SVG and PNG.

    A study that was interrupted goes on with the next step. A step for which the cohort has too
    little is skipped with the reason. Exit code 0 nothing failed, 2 usage, 3 a step failed (the
    others are done).
    """
    if list_steps:
        for step in all_steps():
            needs = f" (needs {', '.join(step.needs)})" if step.needs else ""
            print(f"{step.name:16} {step.title}{needs}")
        return
    if cohort is None or out is None:
        fail("give a COHORT and a folder by -o; --list prints the steps", EXIT_USAGE)
    if not cohort.is_file():
        fail(f"{cohort} is not a file", EXIT_USAGE)
    from modeling import ModelingError
    from modeling.cohort import STAGE_COLUMN, read_patients
    from modeling.study import run_study

    steps = all_steps(core)
    progress = _progress()
    task = progress.add_task("reading the cohort", total=len(steps))

    def tell(outcome: "StepOutcome") -> None:
        progress.console.print(_line(outcome), markup=False, highlight=False, soft_wrap=True)
        progress.advance(task)

    try:
        with progress:
            table = read_patients(cohort, label=label or STAGE_COLUMN, identifier=identifier)
            rows, left_out = table.labelled()
            outcome = run_study(
                table.cohort(rows),
                out,
                steps,
                seed=seed,
                jobs=jobs,
                only=[name.strip() for names in only or () for name in names.split(",")],
                source=cohort.name,
                left_out=left_out,
                on_start=lambda step: progress.update(task, description=step.title),
                on_end=tell,
            )
    except ModelingError as error:
        fail(f"{error} [{error.code}]", EXIT_USAGE)
    print(outcome.report)
    if outcome.skipped:
        print(f"skipped: {', '.join(step.title for step in outcome.skipped)}; see the report")
    if outcome.failed:
        names = ", ".join(step.name for step in outcome.failed)
        fail(f"without results: {names}; see {outcome.report}", EXIT_FAULT)


def _progress() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )


def _line(outcome: "StepOutcome") -> str:
    seconds = "" if outcome.seconds is None else f", {outcome.seconds:.1f} s"
    reason = "" if outcome.reason is None else f": {outcome.reason}"
    return f"{outcome.folder}: {outcome.status.value}{seconds}{reason}"
