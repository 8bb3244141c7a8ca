"""The ``osteonode`` command."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dicom_node.errors import NodeError, SettingsInvalid

__all__ = ["app", "main"]

EXIT_REPORTED, EXIT_REFUSED, EXIT_USAGE, EXIT_FAULT = 0, 1, 2, 3

app = typer.Typer(
    help="A DICOM node for opportunistic osteoporosis screening. Research use only, not a "
    "medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Config = Annotated[Path, typer.Option("--config", "-c", help="The node's settings (TOML).")]
Parent = Annotated[int | None, typer.Option(hidden=True)]


def main() -> None:
    """Run the command; an unforeseen fault exits 3 with one line on stderr."""
    try:
        app()
    except SettingsInvalid as error:
        _fail(str(error), EXIT_USAGE)
    except (NodeError, OSError) as error:
        _fail(str(error), EXIT_FAULT)
    except Exception as error:  # its text may hold patient data, so only its kind is said
        _fail(f"unforeseen fault: {type(error).__name__}", EXIT_FAULT)


def _fail(message: str, code: int) -> None:
    print(f"osteonode: {message}", file=sys.stderr)
    raise SystemExit(code)


@app.command()
def analyze(
    series_folder: Annotated[Path, typer.Argument(help="Folder with a CT series, or one file.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the report.")],
    segmentation: Annotated[
        Path | None,
        typer.Option(
            help="DICOM SEG of the series, or label map (NIfTI, TotalSegmentator 'total' v2)."
        ),
    ] = None,
    bodies: Annotated[
        Path | None,
        typer.Option(help="Label map of task 'vertebrae_body': 1 body, 2 disc."),
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="Model bundle; default the built-in.")] = None,
    allow_kvp: Annotated[
        list[float] | None,
        typer.Option(help="Also measure at this tube voltage (never staged)."),
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(help="Acquisition rule, as kernel_lung_bone=warn; modes strict, warn."),
    ] = None,
) -> None:
    """Assess one series: OUT/report.json, report.txt, report.sr.dcm, rois.png.

    Exit code 0 reported, 1 refused (reason on stderr and in report.json), 2 usage, 3 fault.
    """
    if not series_folder.exists():
        _fail(f"{series_folder} does not exist", EXIT_USAGE)
    if bodies is not None and segmentation is None:
        _fail("--bodies goes with --segmentation", EXIT_USAGE)
    for path in (segmentation, bodies):
        if path is not None and not path.is_file():
            _fail(f"{path} is not a file", EXIT_USAGE)
    if out.exists() and not out.is_dir():
        _fail(f"{out} is not a folder", EXIT_USAGE)
    from dicom_node.analysis import analyse
    from dicom_node.assessment_pool import load_models
    from dicom_node.segmenters import SegmenterPlan
    from dicom_node.settings import Acquisition, AcquisitionRules
    from modeling import ModelingError

    try:
        rules = AcquisitionRules.of(rule or ())
    except SettingsInvalid as error:
        _fail(str(error), EXIT_USAGE)
    try:
        stager, network = load_models(bundle)
    except ModelingError as error:
        _fail(str(error), EXIT_USAGE)
    files = (
        [path for path in series_folder.rglob("*") if path.is_file()]
        if series_folder.is_dir()
        else [series_folder]
    )
    outcome = analyse(
        files,
        out,
        Acquisition(kvp=(120.0, *(allow_kvp or ())), rules=rules),
        stager,
        network,
        SegmenterPlan(segmentation=segmentation, bodies=bodies),
    )
    print((out / "report.txt").read_text())
    if not outcome.reported:
        _fail(f"refused: {outcome.message} [{outcome.code}]", EXIT_REFUSED)


@app.command()
def serve(config: Config) -> None:
    """Run the whole node: listener and worker."""
    from dicom_node.logs import configure_logs
    from dicom_node.settings import load_settings
    from dicom_node.supervisor import stop_on_signal, supervise

    load_settings(config)
    configure_logs("supervisor")
    supervise(("listen", "work"), config, stop_on_signal())


@app.command()
def listen(config: Config, parent: Parent = None) -> None:
    """Run the listener alone: receive instances into the spool."""
    from dicom_node.listener import start_listener
    from dicom_node.logs import configure_logs
    from dicom_node.settings import load_settings
    from dicom_node.spool import Spool
    from dicom_node.supervisor import end_with_parent, stop_on_signal

    settings = load_settings(config)
    configure_logs("listener")
    stop = stop_on_signal()
    end_with_parent(parent, stop)
    spool = Spool(settings.data_dir, durable=settings.listener.durability == "fsync")
    server = start_listener(settings.listener, spool)
    stop.wait()
    server.shutdown()


@app.command()
def work(config: Config, parent: Parent = None) -> None:
    """Run the worker alone: assess complete series and deliver reports."""
    from dicom_node.assessment_pool import AssessmentPool
    from dicom_node.logs import configure_logs
    from dicom_node.settings import load_settings
    from dicom_node.supervisor import end_with_parent, stop_on_signal
    from dicom_node.worker import run_worker
    from modeling import load_bundle

    settings = load_settings(config)
    configure_logs("worker")
    stop = stop_on_signal()
    end_with_parent(parent, stop)
    run_worker(settings, load_bundle(settings.bundle).model_id, AssessmentPool, stop)


@app.command()
def check_config(config: Config) -> None:
    """Check a settings file and the bundle that it names, and print what will be used."""
    from dicom_node.settings import load_settings
    from modeling import ModelingError, load_bundle

    settings = load_settings(config)
    try:
        model_id = load_bundle(settings.bundle).model_id
    except ModelingError as error:
        _fail(f"{config}: {error}", EXIT_USAGE)
    print(settings.without_password().model_dump_json(indent=2))
    print(f"model {model_id}")
    if not settings.destinations:
        print("warning: no destinations: reports stay in the data folder", file=sys.stderr)


@app.command()
def echo(config: Config) -> None:
    """C-ECHO every destination of a settings file; exit 3 if one does not answer."""
    from dicom_node.delivery import echo as send_echo
    from dicom_node.errors import DeliveryFailed
    from dicom_node.settings import load_settings

    settings = load_settings(config)
    if not settings.destinations:
        _fail(f"{config} names no destinations", EXIT_USAGE)
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
def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for all files.")] = Path(
        "demo-output"
    ),
) -> None:
    """Send a phantom CT through a node to a stand-in PACS and print the report that returns."""
    from dicom_node.demo import run_demo

    run_demo(out)


@app.command()
def train(
    cohort: Annotated[Path, typer.Argument(help="The cohort table (TSV, published layout).")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the bundle.")],
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 42,
) -> None:
    """Train the models and the network of a cohort into a bundle."""
    import modeling
    import network as interactions

    try:
        network = interactions.build_network(modeling.read_cohort(cohort), seed=seed)
        bundle = modeling.train_bundle(cohort, out, seed=seed, network=network.to_json())
    except modeling.ModelingError as error:
        _fail(str(error), EXIT_USAGE)
    print(f"{out}: model {bundle.model_id}")


@app.command()
def network(
    cohort: Annotated[Path, typer.Argument(help="The cohort table (TSV, published layout).")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for tables and pictures.")],
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 42,
) -> None:
    """Build the bone-muscle interaction network of a cohort by the published procedure."""
    import modeling
    import network as interactions

    try:
        interactions.run(cohort, out, seed=seed)
    except modeling.ModelingError as error:
        _fail(str(error), EXIT_USAGE)
    print(f"{out}: nodes.csv, edges.csv, network.graphml, network.png")
