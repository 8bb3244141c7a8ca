"""Screen an archive or a folder: one table with a row for every series."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicom_node.commands.ending import EXIT_USAGE, fail
from dicom_node.commands.node import Config
from dicom_node.errors import ScreeningInvalid

if TYPE_CHECKING:
    from dicom_node.archive.bookkeeping.screenings import Question, Screenings
    from dicom_node.archive.sources import SeriesFilter
    from dicom_node.settings.node import NodeSettings

__all__ = ["app"]

app = typer.Typer()
screen = typer.Typer(help="Screen an archive or a folder; research use only.", no_args_is_help=True)
app.add_typer(screen, name="screen")

NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")

Name = Annotated[str, typer.Argument(help="Name of the screening.")]


@screen.command()
def create(
    name: Name,
    config: Config,
    source: Annotated[
        str, typer.Option(help="folder:PATH, dimse:NAME or dicomweb:NAME (archives in settings).")
    ],
    list_file: Annotated[
        Path | None,
        typer.Option(
            "--list", help="CSV with columns accession, study_uid, series_uid or patient."
        ),
    ] = None,
    dates: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="FROM TO", help="First and last study date, as 2024-01-31."),
    ] = None,
    modality: Annotated[str, typer.Option(help="Of the series.")] = "CT",
    body_part: Annotated[str | None, typer.Option(help="Body Part Examined.")] = None,
    ages: Annotated[
        tuple[float, float] | None, typer.Option(metavar="LEAST MOST", help="Years at the study.")
    ] = None,
    send_to: Annotated[
        str | None,
        typer.Option(help="Where reports go: a destination, or dicomweb:NAME of the settings."),
    ] = None,
    no_send: Annotated[
        bool, typer.Option("--no-send", help="Keep the reports here; so without --send-to.")
    ] = False,
) -> None:
    """Make a screening; `run` then works on it. Exit code 0 made, 2 usage, 3 fault."""
    with _usage():
        if not NAME.fullmatch(name):
            raise ScreeningInvalid(
                f"{name!r} is no name: up to 32 letters, digits, hyphens or underscores"
            )
        if send_to is not None and no_send:
            raise ScreeningInvalid("give --send-to or --no-send, not both")
        if list_file is not None and dates is not None:
            raise ScreeningInvalid("give --list or --dates, not both")
        from dicom_node.archive.bookkeeping.screenings import ScreeningPlan
        from dicom_node.archive.sources import SeriesFilter
        from dicom_node.archive.work.source_names import SourceName, archive_of, destination_of

        settings, screenings = _opened(config)
        found = SourceName.of(source)
        archive = archive_of(found, settings)
        destination_of(send_to, settings)
        if archive is None and not Path(found.rest).is_dir():
            raise ScreeningInvalid(f"{found.rest} is not a folder")
        if archive is not None and list_file is None and dates is None:
            raise ScreeningInvalid("an archive is not listed whole: give --list or --dates")
        wanted = SeriesFilter(modality=modality, body_part=body_part, ages_years=ages)
        questions, own_columns = _questions(wanted, list_file, dates)
        plan = ScreeningPlan(
            source=str(found), wanted=wanted, own_columns=own_columns, send_to=send_to
        )
        screenings.create(name, plan, questions)
    plural = "" if len(questions) == 1 else "s"
    print(
        f"{name}: {len(questions)} question{plural} for {found}; now: osteonode screen run {name}"
    )


def _questions(
    wanted: "SeriesFilter", list_file: Path | None, dates: tuple[str, str] | None
) -> "tuple[list[Question], tuple[str, ...]]":
    """What the source is asked, and the list's own columns."""
    from dataclasses import replace

    from dicom_node.archive.bookkeeping.screenings import Question, months

    if list_file is not None:
        from dicom_node.archive.bookkeeping.lists import read_list

        listed = read_list(list_file, wanted)
        for message in listed.messages:
            print(f"{list_file.name}: {message}")
        return list(listed.questions), listed.own_columns
    if dates is None:
        return [Question(wanted)], ()
    try:
        first, last = map(date.fromisoformat, dates)
    except ValueError as error:
        raise ScreeningInvalid(f"{' '.join(dates)}: give two dates as 2024-01-31") from error
    if last < first:
        raise ScreeningInvalid(f"{first} is after {last}: give the earlier date first")
    return [Question(replace(wanted, dates=part)) for part in months(first, last)], ()


@screen.command()
def run(name: Name, config: Config) -> None:
    """Work on a screening until every series has its outcome; several may run at once.

    SIGTERM ends it cleanly, and any later run goes on. Exit code 0 done or stopped, 2 usage or
    settings, 3 fault.
    """
    from dicom_node.archive.work.running import run_screening
    from dicom_node.logs import configure_logs
    from dicom_node.settings.node import load_settings
    from dicom_node.supervisor import stop_on_signal

    settings = load_settings(config)
    configure_logs("screening")
    with _usage():
        run_screening(settings, name, stop_on_signal())


@screen.command()
def status(
    name: Name,
    config: Config,
    as_json: Annotated[bool, typer.Option("--json", help="All of it as JSON.")] = False,
) -> None:
    """Say how far a screening is and what it waits for."""
    import json
    from dataclasses import asdict

    from dicom_node.archive.bookkeeping.progress import progress_text, read_progress
    from dicom_node.archive.bookkeeping.tables import open_screenings
    from dicom_node.settings.node import load_settings

    with _usage():
        found = read_progress(open_screenings(load_settings(config).database), name)
    print(json.dumps(asdict(found), indent=2) if as_json else progress_text(found))


@screen.command()
def pause(name: Name, config: Config) -> None:
    """Begin no further series; what is in hand is finished."""
    with _usage():
        _opened(config)[1].set_paused(name, True)
    print(f"{name}: paused; osteonode screen resume {name} goes on")


@screen.command()
def resume(name: Name, config: Config) -> None:
    """Go on after a pause."""
    with _usage():
        _opened(config)[1].set_paused(name, False)
    print(f"{name}: goes on where a run works on it")


@screen.command()
def results(
    name: Name,
    config: Config,
    out: Annotated[Path, typer.Option("-o", "--out", help="The table: .csv, .tsv or .parquet.")],
    pseudonyms: Annotated[
        Path | None,
        typer.Option(help="Key file of 32 bytes or more: identifiers become keyed pseudonyms."),
    ] = None,
) -> None:
    """Write a row a series, data_dictionary.csv and summary.html beside it.

    May be written at any time. Exit code 0 written, 2 usage, 3 fault.
    """
    from dicom_node.archive.bookkeeping.tables import open_screenings
    from dicom_node.archive.results.writing import write_results
    from dicom_node.settings.node import load_settings

    with _usage():
        database = open_screenings(load_settings(config).database)
        written = write_results(database, name, out, pseudonyms)
    print(f"{out}: {written} rows; {out.with_name('summary.html')}")


@screen.command()
def remove(
    name: Name,
    config: Config,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a screening, its results and, on this machine, its reports."""
    from dicom_node.archive.work.running import remove_folder

    with _usage():
        settings, screenings = _opened(config)
        screenings.get(name)
        if not yes and not typer.confirm(f"Remove {name} with its results and reports?"):
            raise ScreeningInvalid("nothing was removed; --yes answers the question")
        screenings.remove(name)
        remove_folder(settings, name)
    print(f"{name}: removed")


@contextmanager
def _usage() -> Iterator[None]:
    """End with the exit code of wrong use where a screening cannot be made or used as asked."""
    try:
        yield
    except ScreeningInvalid as error:
        fail(str(error), EXIT_USAGE)


def _opened(config: Path) -> "tuple[NodeSettings, Screenings]":
    from dicom_node.archive.bookkeeping.screenings import Screenings
    from dicom_node.archive.bookkeeping.tables import open_screenings
    from dicom_node.files import make_private_folder
    from dicom_node.settings.node import load_settings

    settings = load_settings(config)
    make_private_folder(settings.data_dir)
    return settings, Screenings(open_screenings(settings.database))
