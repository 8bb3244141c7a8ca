"""Instances and reports between machines: who may fetch, what is noticed, and what stays inside."""

import asyncio
import json
import shutil
import socket
import ssl
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http.client import HTTPSConnection
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from structlog.testing import capture_logs

from dicom_node.demo import free_port
from dicom_node.errors import SettingsInvalid
from dicom_node.exchange import archive_stream, client, server
from dicom_node.exchange.archive_stream import BrokenStream, pack, unpack
from dicom_node.exchange.client import HomeClient, HomeUnavailable
from dicom_node.exchange.home_folder import NotGiven, Wanted, digest_of, written_files
from dicom_node.settings.edge import Exchange
from dicom_node.settings.node import NodeSettings, load_settings
from dicom_node.spool.spool import Spool, series_key, spool_name
from dicom_node.tls import client_context, server_context
from tests.certificates import Authority

STUDY, SERIES = "1.2.3", "1.2.3.4"
ASSESSMENT = "a" * 40
MB = 1 << 20


@cache
def issued(authority: Authority, name: str) -> tuple[Path, Path]:
    """Key and certificate of a machine; a key takes a while."""
    return authority.issue(name)


class Home:
    """A machine with one study of three instances in its spool, which it serves."""

    def __init__(self, folder: Path, authority: Authority, **changes: Any) -> None:
        self.data = folder / "home"
        self.spool = Spool(self.data, durable=False)
        self.spool.prepare()
        self.contents = [bytes([number]) * 3000 for number in range(3)]
        for number, content in enumerate(self.contents):
            self.spool.store(content, SERIES, f"{SERIES}.{number}", study_uid=STUDY)
        self.study = spool_name(STUDY)
        self.spool.assessing(self.study, ASSESSMENT)
        self.authority = authority
        self.port = free_port()
        self.exchange = self.machine("127.0.0.1", port=self.port, **changes)
        self.url = f"https://127.0.0.1:{self.port}"
        self.settings = NodeSettings(
            data_dir=self.data,
            database_url="postgresql+psycopg://node@127.0.0.1/osteonode",
            exchange=self.exchange,
        )

    def machine(self, name: str, authority: Authority | None = None, **changes: Any) -> Exchange:
        """The settings of a machine with a certificate for this name."""
        key, certificate = issued(authority or self.authority, name)
        chosen = {"timeout_seconds": 5.0, **changes}
        return Exchange.model_validate(
            {"certificate": certificate, "key": key, "ca": self.authority.path, **chosen}
        )

    @property
    def wanted(self) -> Wanted:
        names = tuple(spool_name(f"{SERIES}.{number}") for number in range(3))
        return Wanted(
            assessment=ASSESSMENT,
            study=self.study,
            series={series_key(STUDY, SERIES): names},
            segmentations={},
        )

    @contextmanager
    def serving(self) -> Iterator["Home"]:
        found = server.make_server(self.settings, self.exchange)
        thread = threading.Thread(target=found.run)
        thread.start()
        deadline = time.monotonic() + 30
        while not found.started:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        try:
            yield self
        finally:
            found.should_exit = True
            thread.join(30)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def home(tmp_path: Path, authority: Authority) -> Iterator[Home]:
    with Home(tmp_path, authority).serving() as found:
        yield found


def files_under(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_instances_and_earlier_reports_come_as_they_are_and_nothing_else(
    home: Home, tmp_path: Path
) -> None:
    home.spool.store(b"other", "1.9", "1.9.1", study_uid="1.9")
    (home.data / "reports" / home.study / ASSESSMENT).mkdir(parents=True)
    (home.data / "reports" / home.study / ASSESSMENT / "report.json").write_text("{}")
    (home.data / "reports" / home.study / ("b" * 40)).mkdir()
    (home.data / "earlier" / home.study / "c").mkdir(parents=True)
    (home.data / "earlier" / home.study / "c" / "report.sr.dcm").write_text("from the PACS")
    there = tmp_path / "there"
    names = HomeClient(home.machine("worker"), home.url).fetch(home.wanted, there)
    assert names == files_under(there)
    assert names == home.wanted.instances | {
        f"reports/{home.study}/{ASSESSMENT}/report.json",
        f"earlier/{home.study}/c/report.sr.dcm",
    }
    for name in names:
        assert (there / name).read_bytes() == (home.data / name).read_bytes()
        assert (there / name).stat().st_mode & 0o077 == 0


def test_peer_without_a_certificate_of_the_authority_gets_nothing(
    home: Home, tmp_path: Path
) -> None:
    foreign = home.machine("worker", Authority(tmp_path / "foreign"))
    with pytest.raises(HomeUnavailable, match=r"exchange\.ca"):
        HomeClient(foreign, home.url).fetch(home.wanted, tmp_path / "there")
    key, certificate = home.authority.issue("late", expired=True)
    expired = home.exchange.model_copy(update={"certificate": certificate, "key": key})
    with pytest.raises(HomeUnavailable, match=r"exchange\.ca"):
        HomeClient(expired, home.url).fetch(home.wanted, tmp_path / "there")
    nameless = client_context(home.exchange.client_tls.model_copy(update={"certificate": None}), "")
    connection = HTTPSConnection("127.0.0.1", home.port, timeout=10, context=nameless)
    with suppress(ssl.SSLError, ConnectionError):
        connection.request("POST", "/fetch", home.wanted.model_dump_json())
        raise AssertionError(f"answered with {connection.getresponse().status}")
    connection.close()
    assert not (tmp_path / "there").exists()


def test_home_with_a_wrong_certificate_is_not_spoken_to(
    tmp_path: Path, authority: Authority
) -> None:
    home = Home(tmp_path, authority)
    key, certificate = authority.issue("another-host")
    home.exchange = home.exchange.model_copy(update={"key": key, "certificate": certificate})
    with home.serving(), pytest.raises(HomeUnavailable, match=r"exchange\.name"):
        HomeClient(home.machine("worker"), home.url).fetch(home.wanted, tmp_path / "there")


def test_only_names_of_the_allow_list_are_served_and_spoken_to(
    tmp_path: Path, authority: Authority
) -> None:
    with Home(tmp_path, authority, allowed_names=("worker",)).serving() as home:
        HomeClient(home.machine("worker"), home.url).fetch(home.wanted, tmp_path / "there")
        with capture_logs() as logs, pytest.raises(HomeUnavailable, match="allowed_names"):
            HomeClient(home.machine("stranger"), home.url).fetch(home.wanted, tmp_path / "no")
        assert [line["reason"] for line in logs] == ["tls_name"]
        wary = home.machine("worker", allowed_names=("elsewhere",))
        with pytest.raises(HomeUnavailable, match="its certificate has no name"):
            HomeClient(wary, home.url).fetch(home.wanted, tmp_path / "no")
    assert audited(home).count("tls_name") == 1


@pytest.mark.parametrize("fault", [ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError])
def test_connection_that_is_cut_is_told_alike_whichever_way_it_ends(fault: type[OSError]) -> None:
    with pytest.raises(HomeUnavailable, match="allowed_names"), client._told():
        raise fault


def audited(home: Home) -> str:
    return "".join(path.read_text() for path in (home.data / "audit").glob("*.jsonl"))


@pytest.mark.parametrize(
    "change",
    [
        {"study": "../../etc"},
        {"assessment": "a" * 39 + "/"},
        {"series": {"..": ["b" * 40]}},
        {"series": {"b" * 40: ["../../../etc/passwd"]}},
        {"series": {"b" * 40: ["b" * 40 + "\n"]}},
        {"segmentations": {"b" * 40: ["/etc/passwd"]}},
        {"more": 1},
    ],
    ids=["study", "assessment", "folder", "file", "line end", "absolute", "unknown key"],
)
def test_names_that_are_no_digests_are_refused(home: Home, change: dict[str, object]) -> None:
    body = {**home.wanted.model_dump(mode="json"), **change}
    assert asked(home, "POST", "/fetch", json.dumps(body).encode()) == 400


def test_report_that_would_be_put_elsewhere_is_refused(home: Home, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    before = files_under(home.data)
    for name in (
        "../x",
        "spool/series/x.dcm",
        f"reports/{home.study}/{'b' * 40}/report.json",
        f"reports/{home.study}/{ASSESSMENT}/.hidden",
        "reports/.index/x/y",
    ):
        body = b"".join(pack({name: tmp_path / "x"}))
        assert asked(home, "PUT", f"/reports/{home.study}/{ASSESSMENT}", body) == 400
    assert asked(home, "PUT", f"/reports/{home.study}/..%2f..%2fetc", b"") in (400, 404)
    assert asked(home, "GET", "/spool/home", b"") == 404
    assert files_under(home.data) == before


def asked(home: Home, method: str, path: str, body: bytes) -> int:
    """HTTP status of a request by a peer that is allowed."""
    context = client_context(home.machine("worker").client_tls, "")
    connection = HTTPSConnection("127.0.0.1", home.port, timeout=10, context=context)
    try:
        connection.request(method, path, body)
        return connection.getresponse().status
    finally:
        connection.close()


def test_instances_that_are_gone_or_outdated_are_not_given(home: Home, tmp_path: Path) -> None:
    client = HomeClient(home.machine("worker"), home.url)
    home.spool.assessing(home.study, "b" * 40)
    with pytest.raises(NotGiven) as outdated:
        client.fetch(home.wanted, tmp_path / "there")
    assert outdated.value.code == "node.outdated_work"
    with pytest.raises(NotGiven):
        client.hand_in(home.study, ASSESSMENT, {}, "")
    home.spool.assessing(home.study, ASSESSMENT)
    shutil.rmtree(home.spool.series / series_key(STUDY, SERIES))
    with pytest.raises(NotGiven) as gone:
        client.fetch(home.wanted, tmp_path / "there")
    assert gone.value.code == "node.instances_gone"


def test_report_that_comes_back_lies_where_it_would_have_been_made(
    home: Home, tmp_path: Path
) -> None:
    client = HomeClient(home.machine("worker"), home.url)
    there = tmp_path / "there"
    received = client.fetch(home.wanted, there)
    own = there / "reports" / home.study / ASSESSMENT
    own.mkdir(parents=True)
    (own / "report.json").write_text("{}")
    (own / "report.sr.dcm").write_text("document")
    (there / "reports" / ".index").mkdir()
    (there / "reports" / ".index" / "x").touch()
    at_home = home.data / "reports" / home.study / ASSESSMENT
    at_home.mkdir(parents=True)
    (at_home / "refusal.pdf").write_text("of an assessment before")
    files = written_files(there, home.study, ASSESSMENT, received)
    client.hand_in(home.study, ASSESSMENT, files, "")
    client.hand_in(home.study, ASSESSMENT, files, "")  # as after an answer that was lost
    assert {path.name for path in at_home.iterdir()} == {"report.json", "report.sr.dcm"}
    assert not list((home.data / server.KEPT).iterdir())
    (at_home / "report.sr.dcm").write_text("of a third machine")
    with pytest.raises(NotGiven) as refused:
        client.hand_in(home.study, ASSESSMENT, files, "")
    assert refused.value.code == "exchange.other_report"
    (own / "report.sr.dcm").write_text("made in view of that")
    client.hand_in(home.study, ASSESSMENT, files, digest_of(at_home / "report.sr.dcm"))
    assert (at_home / "report.sr.dcm").read_text() == "made in view of that"


def packed(tmp_path: Path) -> bytes:
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(name.encode() * 400)
    return b"".join(pack({"spool/one": tmp_path / "one", "spool/two": tmp_path / "two"}))


def taken(stream: bytes, folder: Path, most_bytes: int = MB) -> frozenset[str]:
    return unpack(BytesIO(stream).read, folder, lambda _name: True, most_bytes)


def test_stream_can_be_unpacked_by_any_tar_program(tmp_path: Path) -> None:
    stream = packed(tmp_path)
    subprocess.run(["tar", "-x"], input=stream, cwd=tmp_path, check=True)
    checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, capture_output=True)
    assert checked.returncode == 0
    assert taken(stream, tmp_path / "there") == {"spool/one", "spool/two"}


def test_stream_that_is_cut_off_anywhere_is_noticed(tmp_path: Path) -> None:
    stream = packed(tmp_path)
    end = stream.rindex(b"\n") + 1  # of the digests; only padding follows
    for number, length in enumerate([*range(0, end, 509), end - 1]):
        with pytest.raises(BrokenStream):
            taken(stream[:length], tmp_path / f"there{number}")


def test_every_changed_byte_of_a_file_is_noticed(tmp_path: Path) -> None:
    stream = packed(tmp_path)
    for number, place in enumerate((archive_stream.BLOCK, archive_stream.BLOCK + 1199)):
        changed = bytearray(stream)
        changed[place] ^= 1
        with pytest.raises(BrokenStream, match="digests"):
            taken(bytes(changed), tmp_path / f"there{number}")


def test_stream_of_links_folders_or_too_much_is_refused(tmp_path: Path) -> None:
    for number, kind in enumerate((tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.XHDTYPE)):
        entry = tarfile.TarInfo("spool/one")
        entry.type, entry.linkname = kind, "/etc/passwd"
        with pytest.raises(BrokenStream, match="no file"):
            taken(entry.tobuf(tarfile.USTAR_FORMAT), tmp_path / str(number))
    with pytest.raises(BrokenStream, match="more than 100 bytes"):
        taken(packed(tmp_path), tmp_path / "much", 100)
    with pytest.raises(BrokenStream, match="not asked for"):
        unpack(BytesIO(packed(tmp_path)).read, tmp_path / "n", lambda n: n == "spool/two", MB)


def test_home_that_leaves_an_instance_out_is_not_believed(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "pack", lambda files: pack(dict(list(files.items())[1:])))
    with pytest.raises(HomeUnavailable, match="1 instances are missing"):
        HomeClient(home.machine("worker"), home.url).fetch(home.wanted, tmp_path / "there")


def test_home_that_dies_in_the_middle_is_noticed(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(files: dict[str, Path]) -> Iterator[bytes]:
        yield next(pack(files))
        raise OSError("the disk fails")

    monkeypatch.setattr(server, "pack", broken)
    with pytest.raises(HomeUnavailable):
        HomeClient(home.machine("worker"), home.url).fetch(home.wanted, tmp_path / "there")


def test_peer_that_reads_nothing_is_cut_and_keeps_nobody_out(
    tmp_path: Path, authority: Authority
) -> None:
    found = Home(tmp_path, authority, max_transfers=1, timeout_seconds=1.0)
    found.spool.store(bytes(64 * MB), SERIES, f"{SERIES}.9", study_uid=STUDY)
    large = found.wanted.model_copy(
        update={"series": {series_key(STUDY, SERIES): (spool_name(f"{SERIES}.9"),)}}
    )
    with found.serving() as home, capture_logs() as logs:
        body = large.model_dump_json().encode()
        client = HomeClient(home.machine("worker"), home.url)
        context = client_context(home.machine("worker").client_tls, "")
        raw = socket.create_connection(("127.0.0.1", home.port), timeout=10)
        with context.wrap_socket(raw, server_hostname="127.0.0.1") as slow:
            head = f"POST /fetch HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            slow.sendall(head.encode() + body)
            slow.recv(1)
            with pytest.raises(HomeUnavailable, match=r"exchange\.busy"):
                client.fetch(home.wanted, tmp_path / "there")
            wait_for(lambda: any(line["event"] == "transfer cut" for line in logs))
        wait_for(lambda: fetched(client, home, tmp_path / "later"))


def fetched(client: HomeClient, home: Home, folder: Path) -> bool:
    try:
        return bool(client.fetch(home.wanted, folder))
    except HomeUnavailable:
        return False


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_home_that_sends_a_byte_now_and_then_is_left(home: Home, tmp_path: Path) -> None:
    async def trickle(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100):
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await asyncio.sleep(0.1)

    port = free_port()
    config = uvicorn.Config(trickle, port=port, log_config=None, lifespan="off")
    config.load()
    config.ssl = server_context(home.exchange.server_tls)
    slow = uvicorn.Server(config)
    thread = threading.Thread(target=slow.run)
    thread.start()
    try:
        wait_for(lambda: slow.started)
        patient = home.machine("worker", timeout_seconds=1.0)
        started = time.monotonic()
        with pytest.raises(HomeUnavailable, match="too slowly"):
            HomeClient(patient, f"https://127.0.0.1:{port}").fetch(home.wanted, tmp_path / "there")
        assert time.monotonic() - started < 5
    finally:
        slow.should_exit = True
        thread.join(30)


def test_request_that_comes_too_slowly_or_is_too_long_is_refused(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_REQUEST_BYTES", 100)
    with Home(tmp_path, authority, timeout_seconds=0.5).serving() as home:
        assert asked(home, "POST", "/fetch", b"x" * 200) == 413
        context = client_context(home.machine("worker").client_tls, "")
        connection = HTTPSConnection("127.0.0.1", home.port, timeout=10, context=context)
        connection.putrequest("POST", "/fetch")
        connection.putheader("Content-Length", "50")
        connection.endheaders(b"x")
        assert connection.getresponse().status == 408
        connection.close()


def test_nothing_of_an_instance_is_logged(home: Home, tmp_path: Path) -> None:
    with capture_logs() as logs:
        HomeClient(home.machine("worker"), home.url).fetch(home.wanted, tmp_path / "there")
    [line] = logs
    assert line["event"] == "handed out"
    assert set(line) == {"event", "log_level", "study", "instances", "peer"}
    assert (line["study"], line["instances"], line["peer"]) == (home.study, 3, "127.0.0.1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[exchange]\nport = 1", "set database_url to one on PostgreSQL"),
        ("[limits]\nprocesses = 0", "limits.processes = 0 leaves assessments to other machines"),
        ('[exchange]\nhost = "0.0.0.0"\nport = 1', "set name to the one in the certificate"),
    ],
    ids=["exchange on SQLite", "nobody assesses", "no name"],
)
def test_settings_of_one_machine_alone_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "node.toml"
    files = 'certificate = "c"\nkey = "k"\nca = "a"\n'
    path.write_text(f'data_dir = "x"\n{text}\n{files if "exchange" in text else ""}')
    with pytest.raises(SettingsInvalid, match=message):
        load_settings(path)
