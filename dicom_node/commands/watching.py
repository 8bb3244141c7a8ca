"""Show what the node is doing."""

import json
import sys
from typing import Annotated

import typer

from dicom_node.commands.ending import EXIT_FAULT, EXIT_USAGE, fail
from dicom_node.commands.node import Config, Parent

__all__ = ["app"]

app = typer.Typer()


@app.command()
def status(
    config: Config,
    as_json: Annotated[bool, typer.Option("--json", help="All of it as JSON.")] = False,
) -> None:
    """Say whether the node can work, what waits and what was done; exit 3 if it cannot work."""
    from dicom_node.monitoring.status import StatusReader
    from dicom_node.monitoring.status_text import status_text
    from dicom_node.settings.node import load_settings

    reader = StatusReader(load_settings(config))
    try:
        found = reader.read()
    finally:
        reader.close()
    if as_json:
        print(json.dumps(found.to_json(), indent=2))
    else:
        print(status_text(found))
    if not found.ready:
        raise SystemExit(EXIT_FAULT)


@app.command()
def notify(
    config: Config,
    parent: Parent = None,
    test: Annotated[
        bool, typer.Option("--test", help="Send a test notice to each target, and end.")
    ] = False,
) -> None:
    """Run the notices alone: tell an administrator what needs somebody.

    With --test each webhook and the mail server get one test notice, and their answers are printed;
    exit 3 if one does not take it.
    """
    from dicom_node.logs import configure_logs
    from dicom_node.settings.node import load_settings
    from dicom_node.supervisor import end_with_parent, stop_on_signal

    settings = load_settings(config)
    if settings.notices is None:
        fail(f"{config} has no section [notices]", EXIT_USAGE)
    if test:
        from dicom_node.notices.targets import try_targets

        failed = False
        for answer in try_targets(settings):
            failed = failed or not answer.taken
            words = "took it" if answer.taken else "DID NOT TAKE IT"
            print(f"{answer.target}: {words}: {answer.answer}", flush=True)
        if failed:
            raise SystemExit(EXIT_FAULT)
        return
    from dicom_node.notices.noticing import run_noticing

    configure_logs("notify")
    stop = stop_on_signal()
    end_with_parent(parent, stop)
    run_noticing(settings, stop)


@app.command()
def web(config: Config, parent: Parent = None) -> None:
    """Run the pages alone, and beside them /healthz, /readyz and /metrics."""
    from dicom_node.logs import configure_logs
    from dicom_node.monitoring.web import run_web
    from dicom_node.pages.app import close_pages, make_pages
    from dicom_node.settings.node import load_settings
    from dicom_node.supervisor import end_with_parent, stop_on_signal

    settings = load_settings(config)
    if settings.web is None:
        fail(f"{config} has no section [web]", EXIT_USAGE)
    configure_logs("web")
    stop = stop_on_signal()
    end_with_parent(parent, stop)
    pages = make_pages(settings)
    try:
        run_web(pages, settings, stop)
    except OSError as error:
        print(f"osteonode: {error}", file=sys.stderr)
        raise SystemExit(EXIT_FAULT) from error
    finally:
        close_pages(pages)
