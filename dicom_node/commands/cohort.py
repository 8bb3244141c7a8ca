"""Obtain and check the cohort's table."""

from pathlib import Path
from typing import Annotated

import typer

from dicom_node.commands.ending import EXIT_FAULT, EXIT_USAGE, fail

__all__ = ["app"]

app = typer.Typer()
cohort = typer.Typer(help="Obtain and check the cohort's table.", no_args_is_help=True)
app.add_typer(cohort, name="cohort")


@cohort.command()
def fetch(
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write.")] = Path(
        "cohort.tsv"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace another file.")] = False,
    archive: Annotated[
        Path | None,
        typer.Option(help="A copy of bminet-0.1.4.tar.gz; nothing is downloaded."),
    ] = None,
) -> None:
    """Obtain the published cohort from the package index by pip; no code of the package is run.

    Exit code 0 the file is there, 2 another file has its name, 3 it could not be obtained.
    """
    from modeling.cohort.fetch import fetch_cohort
    from modeling.errors import CohortExists, CohortFetchError

    if archive is not None and not archive.is_file():
        fail(f"{archive} is not a file", EXIT_USAGE)
    try:
        written = fetch_cohort(out, force=force, archive=archive)
    except CohortExists as error:
        fail(f"{error} [{error.code}]", EXIT_USAGE)
    except CohortFetchError as error:
        fail(f"{error} [{error.code}]", EXIT_FAULT)
    print(f"{out}: {'written' if written else 'already there'}, SHA-256 as published")


@cohort.command()
def check(
    path: Annotated[
        Path, typer.Argument(metavar="COHORT", help="The table (TSV, CSV or Parquet).")
    ],
) -> None:
    """Check a cohort's table: print its findings and the sizes of its groups.

    Exit code 0 usable, with or without findings; 2 not usable, with the reason on stderr.
    """
    if not path.is_file():
        fail(f"{path} is not a file", EXIT_USAGE)
    from modeling import CohortError, cohort_findings, cohort_sha256, read_cohort
    from modeling.cohort import without_duplicates
    from modeling.study.cohort_step import group_sizes

    try:
        table = read_cohort(path)
    except CohortError as error:
        fail(f"{path}: {error} [{error.code}]", EXIT_USAGE)
    print(f"{path}: {len(table)} rows, content SHA-256 {cohort_sha256(table)}")
    for finding in cohort_findings(table):
        print(f"finding: {finding.message} [{finding.code}]")
    print()
    print(group_sizes(without_duplicates(table)).to_string(index=False))
