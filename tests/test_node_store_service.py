"""C-STORE messages on the wire: both store services read and answer them alike."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pydicom
import pytest
import structlog
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, build_context
from pynetdicom.acse import ACSE
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_ECHO_RQ, C_STORE_RQ, C_STORE_RSP, DIMSEMessage
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.pdu import A_ASSOCIATE_RQ, P_DATA_TF
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    P_DATA,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.sop_class import Verification

from dicom_node.receiving import pynetdicom_inside
from dicom_node.receiving.listener import start_listener
from dicom_node.receiving.store_messages import StoreCommand, answer_pdus, read_command
from dicom_node.settings.node import Listener
from dicom_node.spool.spool import Spool
from dicom_node.spool.versions import Receipt
from tests.dicom_builders import plain_series

CONTEXT, ECHO_CONTEXT = 1, 3
UIDS = ("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4.56")
"""The second one has an odd length."""


@contextmanager
def listening(
    folder: Path, service: Literal["direct", "pynetdicom"]
) -> Iterator[tuple[Spool, int]]:
    spool = Spool(folder)
    server = start_listener(Listener(port=0, store_service=service), spool)
    yield spool, server.port
    server.shutdown()


@pytest.fixture(params=["direct", "pynetdicom"])
def node(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Spool, int]]:
    with listening(tmp_path / "node", request.param) as started:
        yield started


def store_primitive(sop_class: str, sop_instance: str, *, status: int | None = None) -> C_STORE:
    primitive = C_STORE()
    primitive.AffectedSOPClassUID = sop_class
    primitive.AffectedSOPInstanceUID = sop_instance
    if status is None:
        primitive.MessageID = 7
    else:
        primitive.MessageIDBeingRespondedTo = 7
        primitive.Status = status
    return primitive


def command_of(message: DIMSEMessage, primitive: C_STORE | C_ECHO) -> bytes:
    message.primitive_to_message(primitive)
    [data] = message.encode_msg(CONTEXT, 0)
    return data.presentation_data_value_list[0][1][1:]


@pytest.mark.parametrize("status", [0x0000, 0xA700, 0x0122])
def test_an_answer_has_the_bytes_that_pynetdicom_gives_it(status: int) -> None:
    request = StoreCommand(CONTEXT, read_command(command_of(C_STORE_RQ(), store_primitive(*UIDS))))
    expected = command_of(C_STORE_RSP(), store_primitive(*UIDS, status=status))
    [pdu] = answer_pdus(request, status, 16_384)
    decoded = P_DATA_TF()
    decoded.decode(pdu)
    [[context_id, value]] = decoded.to_primitive().presentation_data_value_list
    assert (context_id, value[:1]) == (CONTEXT, b"\x03")
    assert value[1:] == expected


def test_an_answer_is_cut_to_what_the_peer_takes() -> None:
    request = StoreCommand(CONTEXT, read_command(command_of(C_STORE_RQ(), store_primitive(*UIDS))))
    [whole] = answer_pdus(request, 0, 0)
    pieces = answer_pdus(request, 0, 64)
    assert len(pieces) > 1
    assert all(len(piece) <= 6 + 64 for piece in pieces)
    assert [piece[11] for piece in pieces] == [1] * (len(pieces) - 1) + [3]
    assert b"".join(piece[12:] for piece in pieces) == whole[12:]


@pytest.mark.parametrize(
    "command",
    [b"\0" * 7, struct.pack("<HHL", 0, 0x0100, 10) + b"ab", struct.pack("<HHLH", 8, 0x16, 2, 1)],
)
def test_what_is_no_command_set_is_refused(command: bytes) -> None:
    with pytest.raises((ValueError, struct.error)):
        read_command(command)


def request_pdu() -> bytes:
    request = A_ASSOCIATE()
    request.application_context_name = "1.2.840.10008.3.1.1.1"
    request.calling_ae_title, request.called_ae_title = "TEST", "OSTEONODE"
    contexts = [
        build_context(CTImageStorage, ExplicitVRLittleEndian),
        build_context(Verification, ExplicitVRLittleEndian),
    ]
    contexts[0].context_id, contexts[1].context_id = CONTEXT, ECHO_CONTEXT
    request.presentation_context_definition_list = contexts
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 16_384
    implementation.implementation_class_uid = "1.2.3"
    request.user_information = [length, implementation]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(request)
    return pdu.encode()


class Peer:
    """An association whose PDUs are made by hand."""

    def __init__(self, port: int) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.connection.settimeout(20)
        self.connection.sendall(request_pdu())
        assert self.receive()[0] == 0x02
        self.said: list[bytes | str] = []

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_details: object) -> None:
        self.connection.close()

    def receive(self) -> tuple[int, bytes]:
        head = self.connection.recv(6, socket.MSG_WAITALL)
        if len(head) < 6:
            return 0, b""
        kind, _, length = struct.unpack(">BBL", head)
        return kind, self.connection.recv(length, socket.MSG_WAITALL)

    def send(self, *values: bytes, context: int = CONTEXT) -> None:
        body = b"".join(struct.pack(">LB", len(v) + 1, context) + v for v in values)
        self.connection.sendall(struct.pack(">BBL", 4, 0, len(body)) + body)

    def hear(self) -> None:
        """Note the next response, or how the association ended."""
        kind, body = self.receive()
        ends: dict[int, bytes | str] = {0x04: body, 0x07: ABORTED, 0x00: CLOSED}
        self.said.append(ends[kind])

    def status(self) -> int:
        kind, body = self.receive()
        assert kind == 0x04
        return struct.unpack("<H", read_command(body[6:])[0x0900])[0]

    def send_store(self, command: bytes, content: bytes, piece: int) -> None:
        """Send the command in two fragments of one PDU, and pieces of the data in one PDU each."""
        self.send(b"\x01" + command[:20], b"\x03" + command[20:])
        for start in range(0, len(content), piece):
            last = start + piece >= len(content)
            self.send(bytes([2 * last]) + content[start : start + piece])


def encoded(path: Path) -> tuple[bytes, str]:
    dataset = pydicom.dcmread(path)
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    pydicom.filewriter.write_dataset(buffer, dataset)
    return buffer.getvalue(), str(dataset.SOPInstanceUID)


def store_command(sop_class: str, sop_instance: str) -> bytes:
    """A C-STORE request that announces data, which a primitive without them does not."""
    command = command_of(C_STORE_RQ(), store_primitive(sop_class, sop_instance))
    kind = struct.pack("<HHL", 0, 0x0800, 2)
    return command.replace(kind + b"\x01\x01", kind + b"\x01\x00")


def test_a_request_in_fragments_is_kept_byte_for_byte_and_answered(
    node: tuple[Spool, int], tmp_path: Path
) -> None:
    spool, port = node
    content, uid = encoded(plain_series(tmp_path / "series", 1)[0])
    with Peer(port) as peer:
        for _ in range(2):
            peer.send_store(store_command(CTImageStorage, uid), content, 1001)
            assert peer.status() == 0x0000
    [study] = spool.arrivals()
    [series] = spool.load(study).series
    [path] = spool.paths(series.key, series.names)
    assert path.read_bytes().endswith(content)


def test_a_class_that_is_none_of_storage_is_refused_and_the_association_goes_on(
    node: tuple[Spool, int], tmp_path: Path
) -> None:
    spool, port = node
    content, uid = encoded(plain_series(tmp_path / "series", 1)[0])
    with Peer(port) as peer:
        for sop_class, expected in ((Verification, 0x0122), (CTImageStorage, 0x0000)):
            peer.send_store(store_command(sop_class, uid), content, 16_000)
            assert peer.status() == expected
    assert len(list(spool.arrivals())) == 1


def test_a_request_without_data_ends_the_association(node: tuple[Spool, int]) -> None:
    with Peer(node[1]) as peer:
        peer.send(b"\x03" + command_of(C_STORE_RQ(), store_primitive(*UIDS)))
        assert peer.receive()[0] == 0x07


def test_a_command_in_the_middle_of_a_data_set_ends_the_association(
    node: tuple[Spool, int],
) -> None:
    spool, port = node
    command = store_command(CTImageStorage, "1.2.3")
    with Peer(port) as peer:
        peer.send(b"\x03" + command, b"\x00" + bytes(100), b"\x03" + command)
        assert peer.receive()[0] == 0x07
    assert list(spool.arrivals()) == []


def test_echo_and_store_share_an_association(node: tuple[Spool, int], tmp_path: Path) -> None:
    ae = AE(ae_title="TEST")
    association = ae.associate(
        "127.0.0.1", node[1], [build_context(Verification), build_context(CTImageStorage)],
        ae_title="OSTEONODE",
    )  # fmt: skip
    for path in plain_series(tmp_path / "series", 3):
        assert association.send_c_echo().Status == 0x0000
        assert association.send_c_store(pydicom.dcmread(path)).Status == 0x0000
    association.release()
    assert association.is_released


def test_a_fault_while_keeping_is_answered_and_the_association_goes_on(
    node: tuple[Spool, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, port = node
    store = Spool.store
    calls = []

    def broken(self: Spool, *arguments: Any) -> Receipt:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("a fault of ours")
        return store(self, *arguments)

    monkeypatch.setattr(Spool, "store", broken)
    first, second = (pydicom.dcmread(p) for p in plain_series(tmp_path / "series", 2))
    ae = AE(ae_title="TEST")
    association = ae.associate(
        "127.0.0.1", port, [build_context(CTImageStorage)], ae_title="OSTEONODE"
    )
    assert association.send_c_store(first).Status == 0x0110
    assert association.send_c_store(second).Status == 0x0000
    association.release()


# Both services are told the same and must answer the same

Talk = Callable[["Peer", bytes, bytes], None]
"""Says something to a listener, given a C-STORE command and a data set."""


def echo_command() -> bytes:
    primitive = C_ECHO()
    primitive.MessageID = 8
    primitive.AffectedSOPClassUID = Verification
    return command_of(C_ECHO_RQ(), primitive)


def good(peer: "Peer", command: bytes, content: bytes) -> None:
    peer.send_store(command, content, 16_000)


def fragmented(peer: "Peer", command: bytes, content: bytes) -> None:
    for start in range(0, len(command), 30):
        last = start + 30 >= len(command)
        peer.send(bytes([1 + 2 * last]) + command[start : start + 30])
    for start in range(0, len(content), 9_999):
        last = start + 9_999 >= len(content)
        piece = content[start : start + 9_999]
        peer.send(b"\x00" + piece[:1], bytes([2 * last]) + piece[1:])


def doubled(peer: "Peer", command: bytes, content: bytes) -> None:
    good(peer, command, content)
    good(peer, command, content)


def echo_between(peer: "Peer", command: bytes, content: bytes) -> None:
    good(peer, command, content)
    peer.hear()
    peer.send(b"\x03" + echo_command(), context=ECHO_CONTEXT)
    peer.hear()
    good(peer, command, content)


def of_another_uid(peer: "Peer", command: bytes, content: bytes) -> None:
    good(peer, store_command(CTImageStorage, "1.2.3"), content)
    good(peer, command, content)


def without_series(peer: "Peer", command: bytes, content: bytes) -> None:
    good(peer, command, content[:100])
    good(peer, command, content)


def aborted_in_the_middle(peer: "Peer", command: bytes, content: bytes) -> None:
    peer.send(b"\x03" + command, b"\x00" + content[:5000])
    peer.connection.sendall(struct.pack(">BBLL", 7, 0, 4, 0))


def closed_in_the_middle(peer: "Peer", command: bytes, content: bytes) -> None:
    peer.send(b"\x03" + command, b"\x00" + content[:5000])
    peer.connection.shutdown(socket.SHUT_WR)


def bad_command_set(peer: "Peer", _command: bytes, _content: bytes) -> None:
    peer.send(b"\x03" + bytes(7))


def unknown_command(peer: "Peer", command: bytes, content: bytes) -> None:
    field = struct.pack("<HHL", 0, 0x0100, 2)
    good(peer, command.replace(field + b"\x01\x00", field + b"\x99\x09"), content)


def unknown_context(peer: "Peer", command: bytes, content: bytes) -> None:
    peer.send(b"\x03" + command, b"\x02" + content, context=99)


def no_data_set(peer: "Peer", _command: bytes, _content: bytes) -> None:
    peer.send(b"\x03" + command_of(C_STORE_RQ(), store_primitive(*UIDS)))


def begun_anew_in_the_middle(peer: "Peer", command: bytes, content: bytes) -> None:
    peer.send(b"\x03" + command, b"\x00" + content[:5000])
    good(peer, command, content)


def data_of_another_context(peer: "Peer", command: bytes, content: bytes) -> None:
    peer.send(b"\x03" + command, b"\x00" + content[:5000])
    peer.send(b"\x02" + content[5000:], context=ECHO_CONTEXT)


ABORTED, CLOSED = "aborted", "closed"


def exchange(port: int, talk: Talk, content: bytes, uid: str, count: int) -> list[bytes | str]:
    """What the listener says in a conversation: whole responses, or how it ends the association."""
    with Peer(port) as peer:
        talk(peer, store_command(CTImageStorage, uid), content)
        while len(peer.said) < count:
            peer.hear()
    return peer.said


@pytest.mark.parametrize(
    ("talk", "expected"),
    [
        (good, [0x0000]),
        (fragmented, [0x0000]),
        (doubled, [0x0000, 0x0000]),
        (echo_between, [0x0000, 0x0000, 0x0000]),
        (of_another_uid, [0xA900, 0x0000]),
        (without_series, [0xC000, 0x0000]),
        (aborted_in_the_middle, [CLOSED]),
        (closed_in_the_middle, [CLOSED]),
        (bad_command_set, [ABORTED]),
        (unknown_command, [ABORTED]),
        (unknown_context, [ABORTED]),
        (no_data_set, [ABORTED]),
        (begun_anew_in_the_middle, [ABORTED]),
        (data_of_another_context, [ABORTED]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_both_services_give_the_same_bytes_and_keep_the_same_files(
    tmp_path: Path, talk: Talk, expected: list[int | str]
) -> None:
    content, uid = encoded(plain_series(tmp_path / "series", 1)[0])
    said: dict[str, list[bytes | str]] = {}
    kept: dict[str, dict[Path, bytes]] = {}
    services: tuple[Literal["direct"], Literal["pynetdicom"]] = ("direct", "pynetdicom")
    for service in services:
        with listening(tmp_path / service, service) as (spool, port):
            said[service] = exchange(port, talk, content, uid, len(expected))
            kept[service] = {
                path.relative_to(spool.root): path.read_bytes()
                for path in spool.root.rglob("*.dcm")
            }
    assert said["pynetdicom"] == said["direct"]
    statuses = [
        answer
        if isinstance(answer, str)
        else struct.unpack("<H", read_command(answer[6:])[0x0900])[0]
        for answer in said["direct"]
    ]
    assert statuses == expected
    assert kept["pynetdicom"] == kept["direct"]
    assert [file.endswith(content) for file in kept["direct"].values()] == [True] * (
        0x0000 in expected
    )


# What a later release of pynetdicom may lack


def renamed(provider: DIMSEServiceProvider, pdata: P_DATA) -> None:
    """Take a P-DATA primitive under another parameter's name."""
    RECEIVE(provider, pdata)


RECEIVE = DIMSEServiceProvider.receive_primitive


@pytest.mark.parametrize(
    ("lack", "name"),
    [
        (lambda patch: patch.setattr(DIMSEServiceProvider, "receive_primitive", renamed),
         "DIMSEServiceProvider.receive_primitive"),
        (lambda patch: patch.setattr(pynetdicom_inside, "NOT_IMPORTED", "pynetdicom.dimse"),
         "pynetdicom.dimse"),
        (lambda patch: patch.setattr(pynetdicom_inside, "Association", None), "Association"),
    ],
    ids=["parameter", "module", "association"],
)  # fmt: skip
def test_without_an_internal_the_listener_warns_and_uses_pynetdicoms_service(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lack: Callable[[pytest.MonkeyPatch], None],
    name: str,
) -> None:
    assert pynetdicom_inside.missing_internals() == ()
    lack(monkeypatch)
    replaced: list[int] = []
    monkeypatch.setattr(pynetdicom_inside, "serve_directly", lambda *_: replaced.append(1))
    content, uid = encoded(plain_series(tmp_path / "series", 1)[0])
    with (
        structlog.testing.capture_logs() as lines,
        listening(tmp_path / "node", "direct") as (spool, port),
    ):
        [answer] = exchange(port, good, content, uid, 1)
    assert isinstance(answer, bytes)
    assert read_command(answer[6:])[0x0900] == b"\0\0"
    assert replaced == []
    assert len(list(spool.arrivals())) == 1
    [line] = [line for line in lines if line.get("code") == "listener.pynetdicom_changed"]
    assert (line["log_level"], line["reason"]) == ("warning", name)


def test_a_node_that_cannot_reject_with_a_reason_aborts(
    node: tuple[Spool, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(ACSE, "send_reject")
    monkeypatch.setattr(Spool, "free_bytes", lambda _self: 0)
    association = AE(ae_title="TEST").associate(
        "127.0.0.1", node[1], [build_context(Verification)], ae_title="OSTEONODE"
    )
    assert association.is_aborted
