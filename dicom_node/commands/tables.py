"""A table of patients: staged, held against the model, or watched for a scanner's drift."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicom_node.commands.ending import EXIT_REFUSED, EXIT_USAGE, fail

if TYPE_CHECKING:
    from rich.progress import Progress

    from modeling.drift.drift_files import Charts

__all__ = ["app"]

app = typer.Typer()

TableArgument = Annotated[
    Path,
    typer.Argument(help="The table (TSV, CSV or Parquet); docs/validation.md has its columns."),
]
BundleOption = Annotated[
    Path | None, typer.Option(help="Folder of a model bundle; default the built-in one.")
]
IdentifierOption = Annotated[
    str | None,
    typer.Option("--id", help="Column that tells patients apart; default 'patient' or 'id'."),
]
JobsOption = Annotated[int, typer.Option(min=1, help="Processes at the same time.")]


@app.command()
def stage(
    table: TableArgument,
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", help="A file (.csv, .tsv or .parquet), or a folder for stages.csv."
        ),
    ],
    bundle: BundleOption = None,
    identifier: IdentifierOption = None,
    jobs: JobsOption = 1,
) -> None:
    """Stage every row of a table of mean HU; research use only.

    Exit code 0 written, 2 the table or the bundle cannot be used, 3 fault.
    """
    _check_file(table)
    from modeling import ModelingError, Stager, load_bundle
    from modeling.cohort import read_patients
    from modeling.validation.predictions import RESEARCH_USE, stage_rows
    from modeling.validation.staged_table import staged_file, staged_table, write_staged_table

    target = staged_file(out)
    if target.exists() and target.samefile(table):
        fail(f"{target} is the table itself: give another file", EXIT_USAGE)
    try:
        patients = read_patients(table, identifier=identifier)
        stager = Stager(load_bundle(bundle))
    except ModelingError as error:
        fail(f"{table}: {error} [{error.code}]", EXIT_USAGE)
    with _progress() as progress:
        task = progress.add_task("staging", total=len(patients))
        found = stage_rows(
            stager,
            patients,
            range(len(patients)),
            jobs=jobs,
            progress=lambda more: progress.advance(task, more),
        )
    write_staged_table(staged_table(patients, found), target)
    abstained = sum(one.predicted is None for one in found)
    print(f"{target}: {len(found)} rows, {abstained} without a stage; {RESEARCH_USE}")


@app.command()
def validate(
    table: TableArgument,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the report.")],
    bundle: BundleOption = None,
    label: Annotated[
        str | None,
        typer.Option(help="Column with the reference's stage, A to D; default 'Disease'."),
    ] = None,
    identifier: IdentifierOption = None,
    subgroup: Annotated[
        list[str] | None, typer.Option(help="Also part the patients by this column; repeatable.")
    ] = None,
    offset: Annotated[
        bool, typer.Option(help="Recalibrate by an offset in HU too; stages ten times more.")
    ] = True,
    bootstraps: Annotated[
        int, typer.Option(min=100, help="How often patients are drawn for the intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 42,
    jobs: JobsOption = 1,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="File for a second copy of the results as JSON.")
    ] = None,
) -> None:
    """Hold a labelled table against the model as it is; research use only.

    OUT/report.html, tables as CSV, figures as SVG and PNG, OUT/validation.json. Exit code 0
    written, 2 the table, the bundle or the folder cannot be used, 3 fault.
    """
    _check_file(table)
    if json_out is not None and (json_out.is_dir() or not json_out.resolve().parent.is_dir()):
        fail(f"{json_out}: --json names a file in a folder that exists", EXIT_USAGE)
    from modeling import ModelingError, Stager, load_bundle
    from modeling.cohort import read_patients
    from modeling.validation.predictions import RESEARCH_USE
    from modeling.validation.report import JSON_FILE, claim_folder, write_report
    from modeling.validation.validation import Choices
    from modeling.validation.validation import validate as hold_against

    choices = Choices(seed, bootstraps, tuple(subgroup or ()), offset, jobs)
    try:
        patients = read_patients(table, label=label, identifier=identifier)
        loaded = load_bundle(bundle)
        claim_folder(out)
        with _progress() as progress:
            task = progress.add_task("staging", total=None)
            found = hold_against(
                patients,
                Stager(loaded),
                loaded.manifest,
                choices,
                lambda done, most: progress.update(task, completed=done, total=most),
            )
            progress.update(task, description="report", completed=0, total=None)
            page = write_report(found, out)
    except ModelingError as error:
        fail(f"{table}: {error} [{error.code}]", EXIT_USAGE)
    if json_out is not None:
        json_out.write_bytes((out / JSON_FILE).read_bytes())
    if found.results["apparent_because"]:
        what, why = found.results["figures_are"], found.results["apparent_because"]
        print(f"warning: the figures are {what}: {why}")
    print(f"{page}: {RESEARCH_USE}")


@app.command()
def drift(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for table and charts.")],
    table: Annotated[
        Path | None, typer.Argument(help="A table of results (TSV, CSV or Parquet).")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Settings of a node: follow its own studies."),
    ] = None,
) -> None:
    """Follow each scanner's HU by month, in a table of results or a node; research use only.

    OUT/drift.csv, OUT/drift.json and a chart a scanner. Exit code 0 written, 1 written and a step
    was seen, 2 the table or the node cannot be used, 3 fault.
    """
    if (table is None) == (config is None):
        fail("give either a table of results or --config", EXIT_USAGE)
    if out.exists() and not out.is_dir():
        fail(f"{out} is not a folder", EXIT_USAGE)
    from dicom_node.records.scanner_drift import steps_of
    from modeling.drift.drift_files import write_drift
    from modeling.drift.scanner_months import MEASURES

    charts = {}
    if table is not None:
        charts = _charts_of_table(table)
    elif config is not None:
        charts = _charts_of_node(config)
    if not charts:
        fail(f"{table or config}: no study with a date and a measure", EXIT_USAGE)
    write_drift(charts, out)
    steps = steps_of(charts)
    print(f"{out}: {len(charts)} scanners, {len(steps)} steps")
    for step in steps:
        moved = f"{MEASURES[step.measure]} {step.change_hu:+.1f} HU since {step.since}"
        print(f"{step.scanner}: {moved}")
    if steps:
        raise SystemExit(EXIT_REFUSED)


def _charts_of_table(table: Path) -> "Charts":
    _check_file(table)
    from modeling import ModelingError
    from modeling.cohort.table import read_table
    from modeling.drift.drift_files import charts_of
    from modeling.drift.scanner_months import measurements_of

    try:
        return charts_of(measurements_of(read_table(table)))
    except ModelingError as error:
        fail(f"{table}: {error} [{error.code}]", EXIT_USAGE)


def _charts_of_node(config: Path) -> "Charts":
    from dicom_node.records.database import has_tables, open_database
    from dicom_node.records.scanner_drift import followed_charts
    from dicom_node.settings.node import load_settings

    engine = open_database(load_settings(config).database)
    if not has_tables(engine):
        fail(f"{config}: no worker has run with these settings", EXIT_USAGE)
    return followed_charts(engine)


def _check_file(table: Path) -> None:
    if not table.is_file():
        fail(f"{table} is not a file", EXIT_USAGE)


def _progress() -> "Progress":
    from rich.console import Console
    from rich.progress import Progress

    return Progress(console=Console(stderr=True))
