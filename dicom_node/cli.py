"""The ``osteonode`` command."""

from typing import Annotated

import typer

from dicom_node.commands import (
    assessing,
    cohort,
    install,
    node,
    research,
    screening,
    study,
    tables,
    users,
    watching,
)
from dicom_node.commands.ending import EXIT_FAULT, EXIT_USAGE, fail, fail_unforeseen
from dicom_node.errors import NodeError, SettingsInvalid

__all__ = ["app", "main"]

app = typer.Typer(
    help="A DICOM node for opportunistic osteoporosis screening. Research use only, not a "
    "medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for group in (
    assessing,
    node,
    install,
    watching,
    users,
    screening,
    cohort,
    study,
    tables,
    research,
):
    app.add_typer(group.app)


def _print_versions(asked: bool) -> None:
    if asked:
        from dicom_node.commands.versions import versions

        print("\n".join(f"{name} {version}" for name, version in versions().items()))
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the versions of osteonode, Python and the built-in model, and end.",
            callback=_print_versions,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command's name."""


def main() -> None:
    """Run the command; an unforeseen fault exits 3 with one line on stderr."""
    try:
        app()
    except SettingsInvalid as error:
        fail(str(error), EXIT_USAGE)
    except (NodeError, OSError) as error:
        fail(str(error), EXIT_FAULT)
    except Exception as error:
        from modeling import ModelingError

        if isinstance(error, ModelingError):
            fail(str(error), EXIT_USAGE)
        fail_unforeseen(error)
