"""Who may connect to the listener, and how much they may send."""

import gc
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pydicom
import pytest
import structlog
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage
from pynetdicom import AE, build_context
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification

from dicom_node.demo import free_port
from dicom_node.errors import DeliveryFailed, SettingsInvalid
from dicom_node.receiving.listener import start_listener
from dicom_node.records.counters import Counters
from dicom_node.sending.delivery import echo
from dicom_node.settings.edge import ClientTls, Listener, ServerTls
from dicom_node.settings.node import Destination
from dicom_node.spool.spool import Spool
from dicom_node.tls import server_context
from tests.certificates import Authority
from tests.dicom_builders import plain_series
from tests.test_node_peers import wait_for_port

Listen = Callable[..., SimpleNamespace]
"""Starts a listener with settings; its server, port, counters and spool."""

# pynetdicom, which these tests use as a sender, leaves the sockets of failed associations to the
# garbage collector
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <s:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def _collect() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(params=["direct", "pynetdicom"])
def listen(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Listen]:
    servers = []

    def start(**settings: Any) -> SimpleNamespace:
        counters = Counters()
        spool = Spool(tmp_path / "node")
        chosen = Listener(port=0, store_service=request.param, **settings)
        server = start_listener(chosen, spool, counters)
        servers.append(server)
        port = server.port
        return SimpleNamespace(server=server, port=port, counters=counters, spool=spool)

    yield start
    for server in servers:
        server.shutdown()


def associate(
    port: int, title: str = "OSTEONODE", calling: str = "TEST", **options: Any
) -> Association:
    ae = AE(ae_title=calling)
    contexts = [build_context(Verification), build_context(CTImageStorage)]
    return ae.associate("127.0.0.1", port, contexts=contexts, ae_title=title, **options)


def dcmtk_echo(port: int, *options: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["/usr/bin/echoscu", "-to", "5", "-ta", "5", "-td", "5", "-aec", "OSTEONODE"]
    return subprocess.run(
        [*command, *options, "127.0.0.1", str(port)], capture_output=True, text=True, timeout=60
    )


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def tls_of(authority: Authority, **options: Any) -> ServerTls:
    key, certificate = authority.issue("127.0.0.1")
    return ServerTls(certificate=certificate, key=key, ca=authority.path, **options)


# TLS towards the listener


@pytest.mark.peers
def test_dcmtk_with_a_certificate_of_the_authority_is_let_in(
    listen: Listen, authority: Authority
) -> None:
    node = listen(tls=tls_of(authority))
    key, certificate = authority.issue("ct1.hospital")
    result = dcmtk_echo(node.port, "+tls", key, certificate, "+cf", authority.path)
    assert result.returncode == 0, result.stderr
    assert node.counters.get("associations_accepted") == 1


@pytest.mark.peers
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("none", "tls_no_certificate"),
        ("foreign", "tls_certificate"),
        ("expired", "tls_certificate"),
        ("plain text", "tls_handshake"),
        ("name", "tls_name"),
    ],
)
def test_dcmtk_with_a_wrong_certificate_is_refused(
    listen: Listen, authority: Authority, stranger: Authority, wrong: str, reason: str
) -> None:
    node = listen(tls=tls_of(authority, allowed_names=("ct1.hospital", "ct2.hospital")))
    of = stranger if wrong == "foreign" else authority
    name = "ct7.hospital" if wrong == "name" else "ct1.hospital"
    key, certificate = of.issue(name, expired=wrong == "expired")
    options: dict[str, list[str | Path]] = {
        "none": ["+tla", "+cf", authority.path],
        "plain text": [],
    }
    usual: list[str | Path] = ["+tls", key, certificate, "+cf", authority.path]
    assert dcmtk_echo(node.port, *options.get(wrong, usual)).returncode != 0
    wait_for(lambda: node.counters.get("connections_refused", reason))
    assert node.counters.get("associations_accepted") == 0
    key, certificate = authority.issue("ct2.hospital")
    good = dcmtk_echo(node.port, "+tls", key, certificate, "+cf", authority.path)
    assert good.returncode == 0, good.stderr


@pytest.mark.peers
def test_dcmtk_refuses_a_node_whose_certificate_is_of_a_stranger(
    listen: Listen, authority: Authority, stranger: Authority
) -> None:
    node = listen(tls=tls_of(stranger))
    key, certificate = authority.issue("ct1.hospital")
    result = dcmtk_echo(node.port, "+tls", key, certificate, "+cf", authority.path)
    assert result.returncode != 0


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_only_current_versions_and_authenticated_ciphers_are_spoken(
    listen: Listen, authority: Authority, version: str
) -> None:
    import ssl

    node = listen(tls=tls_of(authority))
    context = ssl.create_default_context(cafile=str(authority.path))
    key, certificate = authority.issue("ct1.hospital")
    context.load_cert_chain(certificate, key)
    context.maximum_version = ssl.TLSVersion[version]
    with (
        socket.create_connection(("127.0.0.1", node.port), 10) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as connection,
    ):
        assert connection.version() == version.replace("_", ".")
        cipher = connection.cipher()
        assert cipher is not None
        assert "GCM" in cipher[0] or "CHACHA20" in cipher[0]
    context.set_ciphers("ECDHE-RSA-AES128-SHA256:@SECLEVEL=0")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", node.port), 10) as raw, pytest.raises(ssl.SSLError):
        context.wrap_socket(raw, server_hostname="127.0.0.1")


def test_silent_peer_in_the_handshake_holds_up_nobody(listen: Listen, authority: Authority) -> None:
    node = listen(tls=tls_of(authority), association_seconds=1.0)
    with socket.create_connection(("127.0.0.1", node.port)) as silent:
        from dicom_node.tls import client_context

        key, certificate = authority.issue("ct1.hospital")
        context = client_context(
            ClientTls(ca=authority.path, certificate=certificate, key=key), "node"
        )
        association = associate(node.port, tls_args=(context, "127.0.0.1"))
        assert association.send_c_echo().Status == 0x0000
        association.release()
        silent.settimeout(30)
        assert silent.recv(1) == b""
    wait_for(lambda: node.counters.get("connections_refused", "tls_too_slow"))


def test_certificate_that_cannot_be_used_is_said_so(tmp_path: Path, authority: Authority) -> None:
    key, certificate = authority.issue("127.0.0.1")
    with pytest.raises(SettingsInvalid, match=r"none\.pem"):
        server_context(ServerTls(certificate=tmp_path / "none.pem", key=key, ca=authority.path))
    with pytest.raises(SettingsInvalid, match="cannot be used"):
        server_context(ServerTls(certificate=key, key=certificate, ca=authority.path))


# TLS towards a destination


@pytest.fixture
def storescp(tmp_path: Path, authority: Authority) -> Iterator[Callable[..., int]]:
    """Start dcmtk's storescp; kill it in the end."""
    processes = []

    def start(*options: str | Path) -> int:
        port = free_port()
        folder = tmp_path / "stored"
        folder.mkdir(exist_ok=True)
        process = subprocess.Popen(
            ["/usr/bin/storescp", *map(str, options), "-od", str(folder), str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        processes.append(process)
        wait_for_port(port)
        return port

    yield start
    for process in processes:
        process.kill()
        process.wait()


def destination(
    port: int, authority: Authority, *, known: bool = True, host: str = "127.0.0.1"
) -> Destination:
    key, certificate = authority.issue("node.hospital")
    tls = ClientTls(
        ca=authority.path,
        certificate=certificate if known else None,
        key=key if known else None,
    )
    return Destination(
        name="pacs", ae_title="PACS", host=host, port=port, timeout_seconds=10, tls=tls
    )


@pytest.mark.peers
def test_destination_with_mutual_tls_answers(
    storescp: Callable[..., int], authority: Authority
) -> None:
    port = storescp("+tls", *authority.issue("127.0.0.1"), "+cf", authority.path, "-rc")
    echo(destination(port, authority), "OSTEONODE")


@pytest.mark.peers
@pytest.mark.parametrize(
    "wrong", ["foreign", "expired", "another host", "plain text", "our certificate missing"]
)
def test_destination_with_a_wrong_certificate_is_not_spoken_to(
    storescp: Callable[..., int], authority: Authority, stranger: Authority, wrong: str
) -> None:
    issued = {
        "foreign": stranger.issue("127.0.0.1"),
        "expired": authority.issue("127.0.0.1", expired=True),
        "another host": authority.issue("pacs.hospital"),
    }.get(wrong, authority.issue("127.0.0.1"))
    options = ("+tls", *issued, "+cf", authority.path, "-rc")
    port = storescp(*(() if wrong == "plain text" else options))
    known = wrong != "our certificate missing"
    with pytest.raises(DeliveryFailed, match=r"TLS failed|did not answer"):
        echo(destination(port, authority, known=known), "OSTEONODE")


# Names and addresses


@pytest.mark.peers
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("-aet", "NOBODY"), "calling_ae_title"),
        (("-aet", "CT1", "-aec", "OTHER"), "called_ae_title"),
    ],
)
def test_unknown_ae_is_refused(listen: Listen, options: tuple[str, ...], reason: str) -> None:
    node = listen(allowed_ae_titles=("CT1",))
    result = dcmtk_echo(node.port, *options)
    assert result.returncode != 0
    assert node.counters.get("associations_refused", reason) == 1
    assert dcmtk_echo(node.port, "-aet", "CT1").returncode == 0


@pytest.mark.peers
def test_unknown_address_is_refused_before_a_word(listen: Listen) -> None:
    node = listen(allowed_networks=("10.1.0.0/16", "127.0.0.2/32"))
    assert dcmtk_echo(node.port).returncode != 0
    assert node.counters.get("connections_refused", "address") == 1
    with socket.create_connection(("127.0.0.1", node.port), 10, ("127.0.0.2", 0)) as known:
        known.settimeout(0.5)
        with pytest.raises(TimeoutError):
            known.recv(1)


def test_listener_is_on_loopback_and_an_open_one_warns() -> None:
    assert Listener().warnings == ()
    assert len(Listener(host="0.0.0.0").warnings) == 3
    guarded = ServerTls(certificate=Path("c"), key=Path("k"), ca=Path("a"))
    closed = Listener(
        host="10.0.0.5",
        tls=guarded,
        allowed_ae_titles=("CT1",),
        allowed_networks=(ip_network("10.0.0.0/8"),),
    )
    assert closed.warnings == ()


def test_objects_that_are_not_taken_leave_a_line_in_the_log(listen: Listen) -> None:
    node = listen()
    ae = AE(ae_title="MR1")
    ae.add_requested_context(CTImageStorage)
    ae.add_requested_context(MRImageStorage)
    with structlog.testing.capture_logs() as lines:
        association = ae.associate("127.0.0.1", node.port, ae_title="OSTEONODE")
        association.release()
        wait_for(lambda: node.server.connections == 0)
    [line] = [line for line in lines if line["event"] == "class not accepted"]
    assert (line["sop_class"], line["calling_ae"]) == (MRImageStorage, "MR1")


def test_several_processes_share_one_port(tmp_path: Path) -> None:
    port = free_port()
    settings = Listener(port=port, processes=2)
    counters = [Counters(), Counters()]
    servers = [start_listener(settings, Spool(tmp_path), counter) for counter in counters]
    try:
        for _ in range(40):
            association = associate(port)
            assert association.send_c_echo().Status == 0x0000
            association.release()
    finally:
        for server in servers:
            server.shutdown()
    taken = [counter.get("associations_accepted") for counter in counters]
    assert sum(taken) == 40
    assert min(taken) > 0


# How much


def test_too_many_associations_are_rejected_and_too_many_connections_closed(listen: Listen) -> None:
    node = listen(max_associations=2, association_seconds=60)
    first, second = associate(node.port), associate(node.port)
    assert associate(node.port).is_rejected
    assert node.counters.get("associations_refused", "too_many_associations") == 1
    silent = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(5)]
    wait_for(lambda: node.counters.get("connections_refused", "too_many_connections"))
    assert node.server.connections <= 4
    for connection in silent:
        connection.close()
    first.release()
    second.release()
    wait_for(lambda: node.server.connections == 0)
    again = associate(node.port)
    assert again.is_established
    again.release()


def test_association_request_that_never_comes_ends_the_connection(listen: Listen) -> None:
    node = listen(association_seconds=0.5)
    with socket.create_connection(("127.0.0.1", node.port)) as silent:
        silent.settimeout(30)
        assert silent.recv(1) == b""
    wait_for(lambda: node.server.connections == 0)


def test_peers_that_come_and_go_do_not_keep_others_out(listen: Listen) -> None:
    node = listen(max_associations=2)
    threads = threading.active_count()
    for _ in range(50):
        socket.create_connection(("127.0.0.1", node.port)).close()
    wait_for(lambda: node.server.connections == 0)
    association = associate(node.port)
    assert association.is_established
    association.release()
    wait_for(lambda: threading.active_count() <= threads + 2)


def test_idle_association_is_ended(listen: Listen) -> None:
    node = listen(idle_seconds=0.5)
    association = associate(node.port)
    wait_for(lambda: not association.is_established)
    wait_for(lambda: node.server.connections == 0)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (struct.pack(">BBL", 1, 0, 0xFFFFFFFF), "pdu_too_long"),
        (struct.pack(">BBL", 4, 0, 0x100), "unexpected_pdu"),
        (struct.pack(">BBL", 0x47, 0, 4), "unexpected_pdu"),
        (struct.pack(">BBL", 1, 0, 200) + b"x" * 10, "pdu_too_slow"),
    ],
    ids=["long", "data", "unknown", "slow"],
)
def test_first_pdu_that_is_no_association_request_ends_the_connection(
    listen: Listen, sent: bytes, reason: str
) -> None:
    node = listen(association_seconds=1.0)
    with socket.create_connection(("127.0.0.1", node.port)) as peer:
        peer.settimeout(30)
        peer.sendall(sent)
        assert peer.recv(1) == b""
    assert node.counters.get("connections_refused", reason) == 1
    wait_for(lambda: node.server.connections == 0)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (struct.pack(">BBL", 4, 0, 0x01000000), "pdu_too_long"),
        (struct.pack(">BBL", 2, 0, 0xFFFFFFFF) + b"x" * 10, "unexpected_pdu"),
        (struct.pack(">BBL", 1, 0, 68) + b"x" * 68, "unexpected_pdu"),
        (struct.pack(">BBL", 4, 0, 200) + b"x" * 10, "pdu_too_slow"),
        (struct.pack(">BBLLB", 4, 0, 5, 0xFFFF, 1), "malformed_pdu"),
        (struct.pack(">BBLLBB", 4, 0, 20_006, 20_002, 1, 1) + bytes(20_000), "command_too_long"),
        (struct.pack(">BBLLBB", 4, 0, 6, 2, 1, 2) * 5 + struct.pack(">BBLLBB", 4, 0, 6, 2, 1, 1),
         "not_waiting_for_answers"),
    ],
    ids=["data", "accept", "again", "slow", "fragment", "command", "pipelined"],
)  # fmt: skip
def test_pdu_beyond_the_limits_ends_the_association(
    listen: Listen, sent: bytes, reason: str
) -> None:
    node = listen(idle_seconds=1.0)
    association = associate(node.port)
    connection = association.dul.socket
    assert connection is not None
    assert connection.socket is not None
    connection.socket.sendall(sent)
    wait_for(lambda: not association.is_established)
    assert node.counters.get("connections_refused", reason) == 1
    wait_for(lambda: node.server.connections == 0)
    assert node.server.bytes_in_flight == 0


def send(node: SimpleNamespace, *datasets: Dataset) -> list[int | None]:
    association = associate(node.port)
    statuses = [association.send_c_store(dataset).get("Status") for dataset in datasets]
    if association.is_established:
        association.release()
    return statuses


@pytest.fixture
def slices(tmp_path: Path) -> list[Dataset]:
    return [pydicom.dcmread(path) for path in plain_series(tmp_path / "series", 3)]


def test_object_that_is_too_large_ends_the_association_and_leaves_nothing(
    listen: Listen, slices: list[Dataset]
) -> None:
    node = listen(max_object_mb=1)
    slices[0].PixelData = b"\0" * 2**21
    assert send(node, slices[0]) == [None]
    assert node.counters.get("connections_refused", "object_too_large") == 1
    wait_for(lambda: node.server.bytes_in_flight == 0)
    assert not list(node.spool.incoming.iterdir())
    assert send(node, slices[1]) == [0x0000]


def test_memory_of_unfinished_objects_is_bounded_over_all_associations(
    listen: Listen, slices: list[Dataset]
) -> None:
    node = listen(max_in_flight_mb=2, max_object_mb=512)
    slices[0].PixelData = b"\0" * 2**22
    assert send(node, slices[0]) == [None]
    assert node.counters.get("connections_refused", "too_much_in_flight") == 1
    wait_for(lambda: node.server.bytes_in_flight == 0)
    assert send(node, slices[1]) == [0x0000]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"NumberOfFrames": 5000}, "instance.too_many_frames"),
        ({"Rows": 60000, "Columns": 60000}, "instance.too_many_pixels"),
    ],
)
def test_image_that_is_too_large_to_decode_is_refused_unseen(
    listen: Listen, slices: list[Dataset], change: dict[str, int], code: str
) -> None:
    node = listen()
    for keyword, value in change.items():
        setattr(slices[0], keyword, value)
    assert send(node, slices[0], slices[1]) == [0xA700, 0x0000]
    assert node.counters.get("instances_refused", code) == 1


def test_instances_above_the_limit_of_an_association_are_refused(
    listen: Listen, slices: list[Dataset]
) -> None:
    node = listen(max_instances_per_association=2)
    assert send(node, *slices) == [0x0000, 0x0000, 0xA700]


def test_disk_that_is_nearly_full_rejects_associations(
    listen: Listen, slices: list[Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = listen(min_free_mb=100)
    association = associate(node.port)
    monkeypatch.setattr(Spool, "free_bytes", lambda _self: 99 * 2**20)
    assert association.send_c_store(slices[0]).Status == 0xA700
    association.release()
    refused = associate(node.port)
    assert refused.is_rejected
    answer = refused.acceptor.primitive
    assert answer is not None
    assert answer.result == 0x02
    assert node.counters.get("associations_refused", "disk_nearly_full") == 1
    monkeypatch.undo()
    assert send(node, slices[0]) == [0x0000]


def test_free_space_is_that_of_the_spools_disk(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.prepare()
    free = shutil.disk_usage(tmp_path).free
    assert spool.free_bytes() == pytest.approx(free, rel=0.05)
