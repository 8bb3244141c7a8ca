"""Run the node, check its settings, and see to failed work."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dicom_node.commands.ending import EXIT_FAULT, EXIT_REFUSED, EXIT_USAGE, fail

__all__ = ["app"]

app = typer.Typer()

Config = Annotated[Path, typer.Option("--config", "-c", help="The node's settings (TOML).")]
Parent = Annotated[int | None, typer.Option(hidden=True)]


@app.command()
def serve(config: Config) -> None:
    """Run the whole node: listeners, worker and, if configured, pages, exchange and notices."""
    from dicom_node.logs import configure_logs
    from dicom_node.settings.node import load_settings
    from dicom_node.supervisor import Command, stop_on_signal, supervise

    settings = load_settings(config)
    configure_logs("supervisor")
    commands = [
        Command(f"listen-{index}", ("listen", "--index", str(index)))
        for index in range(settings.listener.processes)
    ]
    commands.append(Command("work", ("work",)))
    if settings.web is not None:
        commands.append(Command("web", ("web",)))
    if settings.exchange is not None and settings.exchange.port is not None:
        commands.append(Command("exchange", ("exchange",)))
    if settings.notices is not None:
        commands.append(Command("notify", ("notify",)))
    supervise(commands, config, stop_on_signal())


@app.command()
def listen(
    config: Config,
    parent: Parent = None,
    index: Annotated[
        int, typer.Option(help="Number of this listener, from 0, if several share the port.")
    ] = 0,
) -> None:
    """Run the listener alone: receive instances into the spool."""
    from dicom_node.logs import configure_logs
    from dicom_node.receiving.listener import run_listener
    from dicom_node.settings.node import load_settings
    from dicom_node.supervisor import end_with_parent, stop_on_signal

    settings = load_settings(config)
    configure_logs("listener")
    stop = stop_on_signal()
    end_with_parent(parent, stop)
    run_listener(settings, stop, index)


@app.command()
def work(config: Config, parent: Parent = None) -> None:
    """Run the worker alone: assess complete studies and deliver reports."""
    from dicom_node.logs import configure_logs
    from dicom_node.records.heartbeat import keep_beating
    from dicom_node.settings.node import load_settings
    from dicom_node.supervisor import end_with_parent, stop_on_signal
    from dicom_node.work.assessment_pool import AssessmentPool
    from dicom_node.work.worker import run_worker

    settings = load_settings(config)
    configure_logs("worker")
    stop = stop_on_signal()
    end_with_parent(parent, stop)
    keep_beating(settings.counters_dir, "worker", stop)
    run_worker(settings, AssessmentPool, stop)


@app.command()
def exchange(config: Config, parent: Parent = None) -> None:
    """Run the exchange alone: serve this machine's instances to the workers of others."""
    from dicom_node.exchange.server import run_exchange
    from dicom_node.logs import configure_logs
    from dicom_node.settings.node import load_settings
    from dicom_node.supervisor import end_with_parent, stop_on_signal

    settings = load_settings(config)
    if settings.exchange is None or settings.exchange.port is None:
        fail(f"{config} sets no exchange.port to serve at", EXIT_USAGE)
    configure_logs("exchange")
    stop = stop_on_signal()
    end_with_parent(parent, stop)
    run_exchange(settings, stop)


@app.command()
def check_config(
    config: Config,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 on any warning.")] = False,
) -> None:
    """Check a settings file and the bundle that it names, and print what will be used.

    Secrets are masked. Warnings, on stderr, say what leaves the node more open than it should be.
    """
    import json

    from dicom_node.notices.targets import check_notice_files
    from dicom_node.settings.node import load_settings
    from dicom_node.settings.weak_points import weak_points
    from dicom_node.tls import client_context, server_context, web_context
    from modeling import ModelingError, load_bundle

    settings = load_settings(config)
    try:
        model_id = load_bundle(settings.bundle).model_id
    except ModelingError as error:
        fail(f"{config}: {error}", EXIT_USAGE)
    if settings.listener.tls is not None:
        server_context(settings.listener.tls)
    if settings.web is not None and settings.web.tls is not None:
        web_context(settings.web.tls)
    if settings.exchange is not None:
        server_context(settings.exchange.server_tls, "exchange")
    query = () if settings.query is None else (settings.query.peer,)
    for peer in (*settings.destinations, *query):
        if peer.tls is not None:
            client_context(peer.tls, peer.name)
    if settings.notices is not None:
        check_notice_files(settings.notices)
    print(json.dumps(settings.shown(), indent=2))
    print(f"model {model_id}")
    warnings = weak_points(settings, config)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if strict and warnings:
        fail(f"{config}: {len(warnings)} warnings", EXIT_REFUSED)


@app.command()
def echo(config: Config) -> None:
    """C-ECHO every destination of a settings file; exit 3 if one does not answer."""
    from dicom_node.errors import DeliveryFailed
    from dicom_node.sending.delivery import echo as send_echo
    from dicom_node.settings.node import load_settings

    settings = load_settings(config)
    if not settings.destinations:
        fail(f"{config} names no destinations", EXIT_USAGE)
    failed = False
    for destination in settings.destinations:
        try:
            send_echo(destination, settings.listener.ae_title)
            print(f"{destination.name}: answers")
        except DeliveryFailed as error:
            failed = True
            print(f"{error}", file=sys.stderr)
    if failed:
        raise SystemExit(EXIT_FAULT)


@app.command()
def failed(config: Config) -> None:
    """List the work that failed for good, with its reason; exit 1 if there is any."""
    from dicom_node.settings.node import load_settings
    from dicom_node.work.failed_work import failed_work

    work = failed_work(load_settings(config))
    for item in work:
        to = f" to {item.destination}" if item.destination else ""
        print(f"{item.id}\t{item.when:%Y-%m-%d %H:%M:%S}Z\t{item.kind}{to}\tstudy {item.study}")
        print(f"\t{item.reason} [{item.code}]")
    if not work:
        print("no failed work")
    raise SystemExit(EXIT_REFUSED if work else 0)


@app.command()
def retry(
    config: Config,
    identity: Annotated[
        str | None, typer.Argument(metavar="ID", help="The work's ID, as 'failed' lists it.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All failed work.")] = False,
) -> None:
    """Take up failed work again, or assess a study once more, such as with a new model."""
    from dicom_node.errors import WorkFailed
    from dicom_node.settings.node import load_settings
    from dicom_node.work.failed_work import failed_work
    from dicom_node.work.failed_work import retry as take_up

    settings = load_settings(config)
    if (identity is None) != everything:
        fail("give either an ID or --all", EXIT_USAGE)
    if not everything:
        take_up(settings, str(identity))
        print(f"{identity}: taken up again")
        return
    left = False
    for item in failed_work(settings):
        try:
            take_up(settings, item.id)
            print(f"{item.id}: taken up again")
        except WorkFailed as error:
            left = True
            print(f"{item.id}: {error} [{error.code}]", file=sys.stderr)
    if left:
        raise SystemExit(EXIT_FAULT)


@app.command()
def discard(
    config: Config,
    study: Annotated[str, typer.Argument(help="The study's key, as 'failed' and the log name it.")],
    items: Annotated[
        list[str] | None, typer.Argument(metavar="[ITEM]...", help="What is removed for good.")
    ] = None,
) -> None:
    """List what of a study was set aside or stands in conflict, or remove some of it."""
    from dicom_node.records.audit import AuditTrail
    from dicom_node.records.database import open_database
    from dicom_node.settings.node import load_settings
    from dicom_node.spool.spool import Spool
    from dicom_node.work.assessment_pool import SurveyPool
    from dicom_node.work.discarding import discard_items, removable_items

    settings = load_settings(config)
    spool = Spool(settings.data_dir)
    with SurveyPool(settings) as pool:
        found = {
            item.id: item
            for item in removable_items(spool, study, lambda paths: pool.survey(paths).result())
        }
    if unknown := sorted(set(items or ()) - found.keys()):
        fail(f"study {study} has no item {', '.join(unknown)}", EXIT_USAGE)
    if items:
        chosen = [found[name] for name in dict.fromkeys(items)]
        overwrite = settings.retention.overwrite
        database = open_database(settings.database, make=True)
        audit = AuditTrail.of(settings)
        discard_items(spool, audit, database, study, chosen, overwrite=overwrite)
        print(f"{sum(len(item.paths) for item in chosen)} instances removed")
        return
    for item in found.values():
        print(f"{item.id}\t{item.kind}\t{len(item.paths)} instances\tfrom {item.sender}")
        print(f"\treceived {item.first:%Y-%m-%d %H:%M:%S}Z to {item.last:%Y-%m-%d %H:%M:%S}Z")
    if not found:
        print("nothing was set aside or stands in conflict")
