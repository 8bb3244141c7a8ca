"""Hostile input is refused: nothing crashes, hangs or grows, and valid work beside it goes on."""

import multiprocessing
import os
import random
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import TimeoutError as FutureTimeout
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pebble import ProcessExpired, ProcessPool
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless
from pynetdicom import AE

from dicom_node.decoding import plane_reader
from dicom_node.decoding.plane_reader import read_plane
from dicom_node.demo import free_port, listens
from dicom_node.errors import SeriesRefused
from dicom_node.receiving.received_header import ReceivedHeader, file_header, read_received
from dicom_node.series.instances import read_instance, scan_folder
from dicom_node.work.child_process import enter_child
from tests import fuzzing
from tests.dicom_builders import plain_series

COUNT = fuzzing.count()

SECONDS_PER_CASE = 10.0
"""No header takes so long, even on a busy machine: what does is a hang."""

GROWTH_MB = 600
LISTENER_MB = 700
"""Resident memory: of the reading process more than before, and of the listener at all."""

CASES = settings(
    max_examples=COUNT,
    deadline=SECONDS_PER_CASE * 1000,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> dict[UID, bytes]:
    return fuzzing.instances(tmp_path_factory.mktemp("instances"))


def rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.filterwarnings("ignore")
def test_reader_of_received_headers_gives_a_header_or_an_error(instances: dict[UID, bytes]) -> None:
    syntaxes = list(instances)
    seen: Counter[str] = Counter()
    before = rss_mb()

    @CASES
    @given(seed=st.integers(0, 2**63), index=st.integers(0, len(syntaxes) - 1), references=...)
    def read(seed: int, index: int, references: bool) -> None:
        syntax = syntaxes[index]
        content = fuzzing.mutate(fuzzing.body(instances[syntax]), random.Random(seed))
        try:
            header = read_received(content, syntax, references=references)
        except MemoryError:
            raise
        except Exception:
            seen["refused"] += 1
        else:
            assert isinstance(header, ReceivedHeader)
            assert header.pixels >= 1
            seen["read"] += 1

    read()
    assert min(seen["refused"], seen["read"]) > COUNT / 50
    assert rss_mb() - before < GROWTH_MB


@pytest.mark.filterwarnings("ignore")
def test_reader_of_bytes_from_nowhere_gives_a_header_or_an_error() -> None:
    @CASES
    @given(content=st.binary(max_size=400), index=st.integers(0, 3), references=...)
    def read(content: bytes, index: int, references: bool) -> None:
        syntax = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99",
                  "1.2.840.10008.1.2.2")[index]  # fmt: skip
        try:
            read_received(content, syntax, references=references)
        except MemoryError:
            raise
        except Exception:
            return

    read()


@pytest.mark.filterwarnings("ignore")
def test_reader_of_files_reports_what_it_cannot_read(
    instances: dict[UID, bytes], tmp_path: Path
) -> None:
    contents = list(instances.values())
    path = tmp_path / "slice.dcm"
    seen: Counter[str] = Counter()
    before = rss_mb()

    @CASES
    @given(seed=st.integers(0, 2**63), index=st.integers(0, len(contents) - 1))
    def read(seed: int, index: int) -> None:
        path.write_bytes(fuzzing.mutate(contents[index], random.Random(seed)))
        found, unreadable = scan_folder([path])
        assert len(found) + len(unreadable) == 1
        seen["read" if found else "refused"] += 1

    read()
    assert min(seen["read"], seen["refused"]) > COUNT / 50
    assert rss_mb() - before < GROWTH_MB


def decode(path: Path) -> str:
    """In a child with limits: read one file and decode its pixels."""
    import warnings

    warnings.simplefilter("ignore")
    try:
        plane = read_plane(path, 0)
    except SeriesRefused as error:
        return error.code
    except Exception as error:
        return type(error).__name__
    return f"{plane.ndim}-dimensional"


def test_decoding_of_broken_pixels_ends_within_the_childs_limits(
    instances: dict[UID, bytes], tmp_path: Path
) -> None:
    chance = random.Random(20)
    contents = list(instances.values())
    seen: Counter[str] = Counter()
    with ProcessPool(
        max_workers=1,
        max_tasks=500,
        initializer=enter_child,
        initargs=(2048,),
        context=multiprocessing.get_context("spawn"),
    ) as pool:
        for number in range(COUNT // 2):
            content = contents[number % len(contents)]
            start = content.find(b"\xe0\x7f\x10\x00")
            part = content[start:]
            broken = content[:start] + fuzzing.mutate(part, chance, front=len(part))
            path = tmp_path / f"{number}.dcm"
            path.write_bytes(broken)
            try:
                seen[pool.schedule(decode, args=(path,), timeout=300).result()] += 1
            except ProcessExpired:
                seen["child died"] += 1
            except FutureTimeout:
                seen["child stopped"] += 1
    assert sum(seen.values()) == COUNT // 2
    assert seen["series.unreadable_pixels"] > 0
    assert seen["child stopped"] == 0, seen


class Listening:
    """``osteonode listen`` in a process of its own, whose memory can be looked at."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        config = folder / "node.toml"
        config.write_text(
            f'data_dir = "{folder / "data"}"\n[listener]\nport = {self.port}\n'
            "max_associations = 64\nidle_seconds = 3\nassociation_seconds = 3\n"
            'durability = "none"\nmax_object_mb = 64\nmax_in_flight_mb = 256\nmin_free_mb = 0\n'
        )
        self.log = (folder / "node.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dicom_node", "listen", "--config", str(config)],
            stderr=self.log,
        )

    def __enter__(self) -> "Listening":
        deadline = time.monotonic() + 120
        while not listens(self.port):
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return self

    def __exit__(self, *_details: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
            self.log.close()

    def status(self, name: str) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
        raise AssertionError(name)

    @property
    def files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def events(self, name: str) -> int:
        return (self.folder / "node.log").read_bytes().count(f'"event": "{name}"'.encode())


def speak(port: int, pieces: list[bytes]) -> None:
    """Say something to the listener, close our side, and wait until it closes its own."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.settimeout(30)
        try:
            for piece in pieces:
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        except ConnectionError:
            pass


def broken_pdus(said: list[bytes], chance: random.Random) -> list[bytes]:
    """A conversation in which something is wrong."""
    pieces = list(said)
    kind = chance.randrange(6)
    at = chance.randrange(len(pieces))
    if kind == 0:
        pieces[at] = fuzzing.mutate(pieces[at], chance, front=64)
    elif kind == 1:
        pieces = [fuzzing.mutate(piece, chance, front=200) for piece in pieces]
    elif kind == 2:
        chance.shuffle(pieces)
    elif kind == 3:
        pieces.insert(at, chance.choice(pieces) * chance.choice((1, 10)))
    elif kind == 4:
        del pieces[at:]
        length = chance.choice((0, 4, 68, 100_000, 2**31, 2**32 - 1))
        pieces.append(struct.pack(">BBL", chance.randrange(9), 0, length) + chance.randbytes(200))
    else:
        pieces = [chance.randbytes(chance.choice((1, 6, 74, 5000)))]
    return pieces


def test_broken_pdus_end_their_own_connection_only(tmp_path: Path) -> None:
    slices = [pydicom.dcmread(path) for path in plain_series(tmp_path / "ct", 20)]
    done = threading.Event()
    statuses: list[object] = []

    def send_valid(port: int) -> None:
        ae = AE(ae_title="GOOD")
        ae.add_requested_context(slices[0].SOPClassUID, ExplicitVRLittleEndian)
        while not done.is_set():
            association = ae.associate("127.0.0.1", port, ae_title="OSTEONODE")
            for dataset in slices:
                if not association.is_established:
                    statuses.append("no association")
                    break
                statuses.append(association.send_c_store(dataset).get("Status"))
                if done.wait(0.02):
                    break
            if association.is_established:
                association.release()

    with Listening(tmp_path) as listening:
        said = fuzzing.conversation(listening.port, tmp_path / "said")
        files = listening.files
        good = threading.Thread(target=send_valid, args=(listening.port,))
        good.start()
        numbers = iter(range(COUNT))
        lock = threading.Lock()
        failures: list[BaseException] = []

        def attack() -> None:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                try:
                    speak(listening.port, broken_pdus(said, random.Random(number)))
                except BaseException as error:
                    failures.append(error)
                    return

        threads = [threading.Thread(target=attack) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done.set()
        good.join()
        assert not failures
        assert listening.process.poll() is None
        assert set(statuses) == {0x0000}
        assert len(statuses) >= 10
        assert listening.status("VmHWM") / 1024 < LISTENER_MB
        deadline = time.monotonic() + 60
        while listening.files > files + 2:
            assert time.monotonic() < deadline, "connections are left open"
            time.sleep(0.1)
        while listening.status("Threads") > 8:
            assert time.monotonic() < deadline, "threads are left over"
            time.sleep(0.1)
        print(
            f"{COUNT} conversations, {len(statuses)} valid instances beside them, "
            f"{listening.status('VmHWM') // 1024} MB at most, "
            f"{listening.events('unforeseen fault')} contained faults"
        )
    stored = list((tmp_path / "data" / "spool" / "series").rglob("*.dcm"))
    assert len(stored) >= min(len(statuses), 20)
    for path in stored:
        assert read_instance(path).sop_instance_uid
    assert not list((tmp_path / "data" / "spool" / "incoming").iterdir())


# What fuzzing found, and what it would not find in its time, kept as tests


@pytest.mark.filterwarnings("ignore")
def test_decoder_that_panics_is_a_refusal_like_any_other(
    instances: dict[UID, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Panic(BaseException):
        """As a decoder written in Rust raises it: no Exception."""

    def panic(*_arguments: object, **_settings: object) -> None:
        raise Panic("DOE^JANE")

    path = tmp_path / "slice.dcm"
    path.write_bytes(instances[RLELossless])
    monkeypatch.setattr(plane_reader, "pixel_array", panic)
    with pytest.raises(SeriesRefused, match="Panic") as refused:
        read_plane(path, 0)
    assert "DOE" not in str(refused.value)


def test_deflated_bomb_is_not_inflated() -> None:
    before = rss_mb()
    content = fuzzing.bomb()
    assert len(content) < 2**20
    for references in (False, True):
        with pytest.raises(ValueError, match="inflated"):
            read_received(content, DeflatedExplicitVRLittleEndian, references=references)
    assert rss_mb() - before < 100


def test_sequences_nested_without_end_are_refused() -> None:
    nested = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + b"".join(
        struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
        + struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
        for _ in range(20_000)
    )
    with pytest.raises(Exception, match=r".*"):
        read_received(nested, ExplicitVRLittleEndian, references=False)


@pytest.mark.parametrize("references", [False, True])
def test_header_is_read_alike_by_the_quick_and_the_tolerant_reader(
    instances: dict[UID, bytes], references: bool
) -> None:
    for syntax, content in instances.items():
        if syntax == DeflatedExplicitVRLittleEndian:
            continue
        dataset = pydicom.dcmread(BytesIO(content))
        header = read_received(fuzzing.body(content), syntax, references=references)
        assert header.sop_instance_uid == dataset.SOPInstanceUID
        assert header.series_uid == dataset.SeriesInstanceUID
        assert header.study_uid == dataset.StudyInstanceUID
        assert (header.rows, header.columns) == (dataset.Rows, dataset.Columns)
        assert header.frames == 1


def test_written_file_header_is_what_a_reader_expects(instances: dict[UID, bytes]) -> None:
    for syntax, content in instances.items():
        whole = file_header("1.2.840.10008.5.1.4.1.1.2", "1.2.3", syntax, "CT1") + fuzzing.body(
            content
        )
        dataset = pydicom.dcmread(BytesIO(whole))
        meta = dataset.file_meta
        assert meta.TransferSyntaxUID == syntax
        assert meta.MediaStorageSOPInstanceUID == "1.2.3"
        assert meta.SourceApplicationEntityTitle == "CT1"
        assert dataset.Rows > 0
