"""The whole journey in one command: phantom, node, stand-in PACS, report."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import pydicom
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (
    ComprehensiveSRStorage,
    CTImageStorage,
    SecondaryCaptureImageStorage,
)
from pynetdicom.transport import ThreadedAssociationServer
from rich.console import Console

from dicom_node.errors import NodeError, OperationalError
from dicom_node.files import make_private_folder, write_atomically
from dicom_node.sending.statuses import SUCCESS
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from roi_extraction.phantom import PhantomParameters, make_phantom

__all__ = ["free_port", "listens", "run_demo", "start_storage"]

DEMO_SECONDS = 240.0
"""How long the report may take to come back before the demo gives up."""

PAGE_SECONDS = 60.0
"""How long the study's page may take to show it."""

PHANTOM_SEED = 7

REPORT_NAME, PICTURE_NAME = "structured_report.dcm", "secondary_capture.dcm"
"""What the stand-in PACS calls the objects that it received."""

DEMO_MARKER = ".osteonode-demo"
"""A demo empties an existing folder only if it holds this file."""


def run_demo(out: Path) -> None:
    """Send a phantom series to a node of its own and wait for the report.

    Raises
    ------
    NodeError
        The folder was not made by a demo or is a link, or no report came back in time.
    """
    console = Console()
    if out.is_symlink():
        raise NodeError(f"{out} is a symbolic link; give the folder itself with -o")
    out = out.resolve()
    if out.exists() and any(out.iterdir()) and not (out / DEMO_MARKER).is_file():
        raise NodeError(
            f"{out} is not empty and was not made by a demo; choose another folder with -o"
        )
    shutil.rmtree(out, ignore_errors=True)
    make_private_folder(out.parent)
    out.mkdir(mode=0o700)  # not made by another in the meantime
    (out / DEMO_MARKER).write_text("made by osteonode demo, which empties this folder\n")
    started = time.monotonic()

    console.print("[bold]1/4[/bold] making a phantom lumbar CT")
    phantom = make_phantom(PhantomParameters.random(PHANTOM_SEED), PHANTOM_SEED)
    slices = write_ct_series(phantom.volume, out / "phantom", InventedHeader(seed="demo"))

    received = threading.Event()
    pacs_port, node_port, web_port = free_port(), free_port(), free_port()
    pacs = start_storage("PACS", pacs_port, out / "pacs", received)
    config = out / "node.toml"
    config.write_text(_settings(out, node_port, pacs_port, web_port))
    console.print(f"[bold]2/4[/bold] starting the node (port {node_port}) and a stand-in PACS")
    with (out / "node.log").open("wb") as log_file:
        node = subprocess.Popen(
            [sys.executable, "-m", "dicom_node", "serve", "--config", str(config)],
            stderr=log_file,
        )
    try:
        _wait_for_port(node_port, node)
        console.print(f"[bold]3/4[/bold] sending {len(slices)} slices by C-STORE")
        _send(slices, node_port)
        with console.status("[bold]4/4[/bold] waiting for the report to come back"):
            report = _wait_for_report(out, received, node)
            study_page = _wait_for_page(report, web_port)
    finally:
        node.send_signal(signal.SIGTERM)
        try:
            node.wait(30)
        except subprocess.TimeoutExpired:
            node.kill()
        pacs.shutdown()
    console.print("[bold]4/4[/bold] the report is back in the PACS\n")
    print((report / "report.txt").read_text())
    here = Path.cwd()
    for label, path in (
        ("Structured Report", out / "pacs" / REPORT_NAME),
        ("Picture for any PACS", out / "pacs" / PICTURE_NAME),
        ("The same as PNG", report / "rois.png"),
        ("Report as JSON", report / "report.json"),
        ("Node's log", out / "node.log"),
    ):
        print(f"{label:20} {os.path.relpath(path, here)}")
    print(
        f"\nThe study's page: run osteonode web --config {os.path.relpath(config, here)}\n"
        f"and open {study_page}\n"
    )
    print(f"Done in {time.monotonic() - started:.0f} s.")


def start_storage(
    ae_title: str, port: int, folder: Path, received: threading.Event
) -> ThreadedAssociationServer:
    """A small storage SCP that writes each object to a file; ``received``: it has one of each."""
    folder.mkdir(parents=True, exist_ok=True)
    awaited = {ComprehensiveSRStorage: REPORT_NAME, SecondaryCaptureImageStorage: PICTURE_NAME}

    def store(event: Event) -> int:
        path = folder / awaited[event.request.AffectedSOPClassUID]
        write_atomically(path, event.encoded_dataset(), durable=False)
        if all((folder / name).exists() for name in awaited.values()):
            received.set()
        return SUCCESS

    ae = AE(ae_title=ae_title)
    for sop_class in awaited:
        ae.add_supported_context(sop_class)
    server = ae.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)]
    )
    assert server is not None  # None only if `block` is true
    return server


def free_port() -> int:
    """A TCP port on 127.0.0.1 that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether something on 127.0.0.1 takes connections at a TCP port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _settings(out: Path, node_port: int, pacs_port: int, web_port: int) -> str:
    return f"""data_dir = {json.dumps(str(out / "node"))}
quiet_seconds = 1.5
poll_seconds = 0.2

[listener]
port = {node_port}

[web]
port = {web_port}
login = "none"

[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = {pacs_port}
"""


def _wait_for_port(port: int, node: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and node.poll() is None:
        if listens(port):
            return
        time.sleep(0.1)
    raise OperationalError("the node did not start; see node.log in the demo's folder")


def _send(paths: list[Path], port: int) -> None:
    ae = AE(ae_title="SCANNER")
    ae.add_requested_context(CTImageStorage)
    association = ae.associate("127.0.0.1", port, ae_title="OSTEONODE")
    if not association.is_established:
        raise OperationalError("the node did not accept the association")
    try:
        for path in paths:
            status = association.send_c_store(pydicom.dcmread(path)).get("Status")
            if status != SUCCESS:
                raise OperationalError(f"the node answered {status!r} to a slice")
    finally:
        association.release()


def _wait_for_page(report: Path, port: int) -> str:
    """The address of the study's page, once it shows the report."""
    study_uid = json.loads((report / "report.json").read_text())["study_uid"]
    address = f"http://127.0.0.1:{port}/studies/{study_uid}"
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    deadline = time.monotonic() + PAGE_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), browser.open(address, timeout=10) as answer:
            if answer.status == HTTPStatus.OK:
                return address
        time.sleep(0.2)
    raise OperationalError(f"{address} does not show the study; see node.log in the demo's folder")


def _wait_for_report(out: Path, received: threading.Event, node: "subprocess.Popen[bytes]") -> Path:
    deadline = time.monotonic() + DEMO_SECONDS
    while not received.wait(0.2):
        for path in (out / "node" / "reports").glob("*/*/report.json"):
            refused = json.loads(path.read_text())["refused"]
            if refused:
                raise OperationalError(f"the node refused the phantom: {refused['message']}")
        if node.poll() is not None or time.monotonic() > deadline:
            raise OperationalError("no report came back; see node.log in the demo's folder")
    return next((out / "node" / "reports").glob("*/*/report.json")).parent
