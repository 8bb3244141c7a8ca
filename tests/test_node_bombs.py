"""Small messages that would grow, or cost much time: neither is let happen."""

import json
import os
import random
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)
from pynetdicom import AE, build_context, build_role
from pynetdicom.association import Association
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

from dicom_node.demo import free_port
from dicom_node.receiving import received_header
from dicom_node.receiving.limits import MAX_OTHER_BYTES
from dicom_node.receiving.listener import start_listener
from dicom_node.receiving.listener_server import GuardedServer
from dicom_node.receiving.received_header import read_received
from dicom_node.records.audit import AuditTrail
from dicom_node.records.counters import Counters
from dicom_node.series.instances import SEGMENTATION_STORAGE
from dicom_node.settings.edge import Listener
from dicom_node.spool.spool import Spool
from tests import fuzzing
from tests.dicom_builders import plain_series

PLAIN = {ImplicitVRLittleEndian, ExplicitVRLittleEndian}

INSTANCE = "1.2.840.10008.1.20.1.1"

# pynetdicom, which these tests use as a sender, leaves sockets to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(params=["direct", "pynetdicom"])
def node(
    tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[GuardedServer, Counters, Path]]:
    """A listener, its counters and the folder of its audit trail."""
    settings = Listener(port=0, min_free_mb=0, store_service=request.param)
    counters = Counters()
    audit = AuditTrail(tmp_path / "audit")
    server = start_listener(settings, Spool(tmp_path / "node"), counters, audit)
    yield server, counters, tmp_path / "audit"
    server.shutdown()


def associate(port: int, *contexts: tuple[str, str]) -> Association:
    return AE(ae_title="PACS").associate(
        "127.0.0.1",
        port,
        contexts=[build_context(uid, syntax) for uid, syntax in contexts],
        ae_title="OSTEONODE",
        ext_neg=[build_role(StorageCommitmentPushModel, scp_role=True)],
    )


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 120
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return found


def alerts(folder: Path) -> list[str]:
    return [
        json.loads(line)["EventIdentification"].get("EventOutcomeDescription", "")
        for path in folder.glob("*.jsonl")
        for line in path.read_text().splitlines()
    ]


@pytest.mark.parametrize(
    "sop_class",
    [Verification, StorageCommitmentPushModel, *SEGMENTATION_STORAGE, CTImageStorage],
)
def test_nothing_deflated_is_accepted_and_compressed_images_only_of_ct(
    node: tuple[GuardedServer, Counters, Path], sop_class: str
) -> None:
    syntaxes = [
        *PLAIN, DeflatedExplicitVRLittleEndian, RLELossless, JPEG2000Lossless,
        "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205",
    ]  # fmt: skip
    association = associate(node[0].port, *((sop_class, syntax) for syntax in syntaxes))
    taken = {context.transfer_syntax[0] for context in association.accepted_contexts}
    association.release()
    assert taken == PLAIN | (
        {RLELossless, JPEG2000Lossless} if sop_class == CTImageStorage else set()
    )


def test_event_report_on_a_context_for_images_is_refused_unread(
    node: tuple[GuardedServer, Counters, Path],
) -> None:
    server, _, audit = node
    association = associate(
        server.port,
        (CTImageStorage, ExplicitVRLittleEndian),
        (StorageCommitmentPushModel, ExplicitVRLittleEndian),
    )
    images = association._accepted_cx[1]
    images._as_scp = True
    answer = Dataset()
    answer.TransactionUID = "1.2.3"
    association._accepted_cx = {1: images}
    images.abstract_syntax = StorageCommitmentPushModel  # what the sender alone believes
    status, _ = association.send_n_event_report(answer, 1, StorageCommitmentPushModel, INSTANCE)
    association.abort()
    assert status.Status == 0x0117
    assert wait_for(lambda: alerts(audit)) == ["commitment_context"]


def test_message_that_is_no_instance_may_have_one_megabyte(
    node: tuple[GuardedServer, Counters, Path],
) -> None:
    server, counters, audit = node
    for length, kept in ((MAX_OTHER_BYTES - 200, True), (MAX_OTHER_BYTES + 2, False)):
        association = associate(server.port, (StorageCommitmentPushModel, ExplicitVRLittleEndian))
        answer = Dataset()
        answer.TransactionUID = "1.2.3"
        answer.add_new(0x00420011, "OB", bytes(length))
        status, _ = association.send_n_event_report(answer, 1, StorageCommitmentPushModel, INSTANCE)
        assert (status.get("Status") == 0x0117) is kept
        association.abort()
    assert counters.get("connections_refused", "object_too_large") == 1
    assert alerts(audit) == ["commitment_unknown", "object_too_large"]
    wait_for(lambda: server.bytes_in_flight == 0)


def explicit(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    if vr == b"SQ":
        return head + struct.pack("<HL", 0, 0xFFFFFFFF if length is None else length) + value
    return head + struct.pack("<H", len(value)) + value


def item(value: bytes) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(value)) + value


SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


@pytest.mark.parametrize("tag", [0x00081115, 0x00081140], ids=["references", "another sequence"])
@pytest.mark.parametrize("references", [True, False], ids=["segmentation", "image"])
def test_header_of_a_million_items_is_read_to_the_limits_and_no_further(
    tag: int, references: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[int] = []

    def parse(source: BytesIO, **settings: Any) -> Dataset:
        parsed.append(source.getbuffer().nbytes)
        return pydicom.dcmread(source, **settings)

    monkeypatch.setattr(received_header, "pydicom", SimpleNamespace(dcmread=parse))
    content = explicit(tag, b"SQ", item(b"") * 1_000_000 + SEQUENCE_END)
    with pytest.raises((ValueError, OSError), match=r"too many elements|No tag to read"):
        read_received(content, ExplicitVRLittleEndian, references=references)
    assert len(parsed) == (not references)
    assert all(size < received_header.MAX_TOLERANT_BYTES + 512 for size in parsed)


def test_segmentation_that_references_many_series_is_refused() -> None:
    def of(count: int) -> bytes:
        items = (item(explicit(0x0020000E, b"UI", b"1.2.%03d" % n)) for n in range(count))
        return explicit(0x00081115, b"SQ", b"".join(items) + SEQUENCE_END)

    few = read_received(of(16), ExplicitVRLittleEndian, references=True)
    assert len(few.of_series) == 16
    with pytest.raises(ValueError, match="too many series"):
        read_received(of(17), ExplicitVRLittleEndian, references=True)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("undefined", [True, False], ids=["undefined length", "length"])
def test_series_of_a_segmentation_are_those_that_pydicom_finds(
    tmp_path: Path, syntax: pydicom.uid.UID, undefined: bool
) -> None:
    dataset = pydicom.dcmread(plain_series(tmp_path, 1)[0])
    dataset.ReferencedSeriesSequence = [Dataset(), Dataset()]
    for number, reference in enumerate(dataset.ReferencedSeriesSequence):
        instance = Dataset()
        instance.ReferencedSOPInstanceUID = "1.9"
        instance.SeriesInstanceUID = "1.8"  # not one that the object itself references
        reference.ReferencedInstanceSequence = [instance]
        reference.SeriesInstanceUID = f"1.7.{number}"
        reference["ReferencedInstanceSequence"].is_undefined_length = undefined
        reference.is_undefined_length_sequence_item = undefined
    dataset["ReferencedSeriesSequence"].is_undefined_length = undefined
    dataset.file_meta.TransferSyntaxUID = syntax
    content = fuzzing.body(fuzzing.written(dataset, syntax))
    header = read_received(content, syntax, references=True)
    assert header.of_series == ("1.7.0", "1.7.1")
    assert header.series_uid == dataset.SeriesInstanceUID
    assert (header.rows, header.columns) == (dataset.Rows, dataset.Columns)


def test_listener_at_its_limit_of_memory_ends_the_association_and_lives(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "node.toml"
    config.write_text(
        f'data_dir = "{tmp_path / "data"}"\n[listener]\nport = {port}\nmin_free_mb = 0\n'
        "max_in_flight_mb = 88\nmemory_mb = 600\nidle_seconds = 5\nassociation_seconds = 5\n"
    )
    code = (
        "import resource, sys, threading\n"
        "from pathlib import Path\n"
        "from dicom_node.receiving import listener\n"
        "from dicom_node.settings.node import load_settings\n"
        "settings = load_settings(Path(sys.argv[1]))\n"
        "real = listener._limit_memory\n"
        "def less(megabytes):\n"
        "    assert megabytes == 600\n"
        "    real(int(sys.argv[2]))\n"  # what is free, as when much else is in memory
        "listener._limit_memory = less\n"
        "listener.run_listener(settings, threading.Event())\n"
    )
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(config), "250"], stderr=log, env=os.environ
        )
    try:
        small = pydicom.dcmread(plain_series(tmp_path / "ct", 1)[0])
        large = pydicom.dcmread(plain_series(tmp_path / "ct", 1)[0])
        large.PixelData = random.Random(1).randbytes(80 * 2**20)

        def send(dataset: Dataset) -> int | None:
            association = associate(port, (CTImageStorage, ExplicitVRLittleEndian))
            if not association.is_established:
                return None
            status = association.send_c_store(dataset).get("Status")
            association.abort()
            return None if status is None else int(status)

        assert wait_for(lambda: send(small) == 0x0000)
        refused = [send(large) for _ in range(4)]
        assert set(refused) <= {None, 0x0110}
        assert process.poll() is None
        assert wait_for(lambda: send(small) == 0x0000)
    finally:
        process.terminate()
        process.wait(60)
