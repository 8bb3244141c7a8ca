"""Orthanc with DICOMweb, and dcmtk's dcmqrscp, as the archive of a screening."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pydicom
import pytest

from dicom_node.archive.opening import open_archive
from dicom_node.archive.sources import (
    ListedSeries,
    SeriesFilter,
    SeriesIncomplete,
    SeriesSource,
    SourceUnavailable,
)
from dicom_node.archive.stow import stow
from dicom_node.demo import free_port
from dicom_node.errors import DeliveryFailed
from dicom_node.settings.archives import Archive
from tests.conftest import DICOMWEB_PLUGIN
from tests.dicom_builders import edit, plain_series
from tests.test_node_peers import Orthanc, dcmtk_storescu, wait_for_port

pytestmark = pytest.mark.peers

SLICES = 8


class Dcmqrscp:
    """dcmtk's image archive with an empty store; what it says goes to ``log``, if there is one."""

    log: Path | None = None

    def __init__(self, folder: Path, node_port: int) -> None:
        self.store = folder / "store"
        self.store.mkdir(parents=True)
        self.dicom_port = free_port()
        self.config = folder / "dcmqrscp.cfg"
        self.config.write_text(
            f"NetworkTCPPort = {self.dicom_port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
            f"HostTable BEGIN\nnode = (OSTEONODE, 127.0.0.1, {node_port})\nHostTable END\n"
            "VendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\nARCHIVE {self.store} RW (1000, 1024mb) ANY\nAETable END\n"
        )

    def __enter__(self) -> "Dcmqrscp":
        verbose = [] if self.log is None else ["--verbose"]
        with open(self.log or os.devnull, "ab") as said:
            self.process = subprocess.Popen(
                ["/usr/bin/dcmqrscp", *verbose, "-c", str(self.config)],
                env={**os.environ, "TCP_NODELAY": "1"},
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        wait_for_port(self.dicom_port)
        return self

    def __exit__(self, *_details: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End it with the children that serve associations."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def files(self) -> list[Path]:
        return [path for path in self.store.iterdir() if path.name != "index.dat"]


class OrthancArchive(Orthanc):
    """Orthanc with DICOMweb."""

    def __init__(self, folder: Path, node_port: int) -> None:
        super().__init__(folder, node_port, [DICOMWEB_PLUGIN])
        settings = json.loads(self.config.read_text())
        # a file that is lost must not come from memory
        self.config.write_text(json.dumps({**settings, "MaximumStorageCacheSize": 0}))
        self.folder = folder / "store"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def files(self) -> list[Path]:
        return [path for path in self.folder.glob("*/*/*") if path.stat().st_size > 2048]


class Peer:
    """An archive and one way to it."""

    def __init__(self, archive: OrthancArchive | Dcmqrscp, settings: Archive) -> None:
        self.archive = archive
        self.settings = settings
        self.source: SeriesSource = open_archive(settings, "OSTEONODE")

    def first(self) -> tuple[ListedSeries, tuple[str, ...]]:
        [series] = self.source.find(SeriesFilter(accession="A1"))
        return series, self.source.instances(series)


@contextmanager
def peer(kind: str, folder: Path) -> Iterator[Peer]:
    program, _, way = kind.partition(" ")
    port = free_port()
    made = OrthancArchive if program == "Orthanc" else Dcmqrscp
    archive = made(folder / "archive", port)
    called = "ORTHANC" if program == "Orthanc" else "ARCHIVE"
    settings: dict[str, object] = {"name": "pacs", "timeout_seconds": 10.0}
    if isinstance(archive, OrthancArchive) and way == "WADO-RS":
        settings["dicomweb"] = {"url": f"http://127.0.0.1:{archive.http_port}/dicom-web"}
    else:
        settings["dimse"] = {
            "ae_title": called, "host": "127.0.0.1", "port": archive.dicom_port,
            "retrieve": "move" if way == "C-MOVE" else "get",
            "move_ae_title": "OSTEONODE", "move_port": port,
        }  # fmt: skip
    with archive:
        series = folder / "series"
        for path in plain_series(series, SLICES):
            edit(path, AccessionNumber="A1", StudyDate="20240103")
        dcmtk_storescu(archive.dicom_port, called, series)
        found = Peer(archive, Archive.model_validate(settings))
        yield found
        found.source.close()


KINDS = ["Orthanc WADO-RS", "Orthanc C-GET", "Orthanc C-MOVE", "dcmqrscp C-GET", "dcmqrscp C-MOVE"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_series_comes_whole_from_a_real_archive(kind: str, tmp_path: Path) -> None:
    with peer(kind, tmp_path) as found:
        series, instances = found.first()
        assert (series.study_date, series.modality) == ("20240103", "CT")
        # dcmqrscp knows no tube voltage
        assert series.kvp == (120.0 if kind.startswith("Orthanc") else None)
        assert series.instances in (SLICES, None)
        header = found.source.header(series, instances)
        assert header is not None
        assert (header.SOPInstanceUID, float(header.KVP)) == (instances[SLICES // 2], 120.0)
        into = tmp_path / "into"
        into.mkdir()
        paths = found.source.fetch(series, instances, into)
        sent = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, (tmp_path / "series").iterdir())}
        assert len(paths) == len(sent) == SLICES
        for uid, path in zip(instances, paths, strict=True):
            assert pydicom.dcmread(path).pixel_array.tobytes() == sent[uid].pixel_array.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_real_archive_is_asked_for_what_it_does_not_know(kind: str, tmp_path: Path) -> None:
    with peer(kind, tmp_path) as found:
        find = found.source.find
        assert not list(find(SeriesFilter(accession="UNKNOWN")))
        assert not list(find(SeriesFilter(dates=(date(2023, 1, 1), date(2023, 12, 31)))))
        assert len(list(find(SeriesFilter(dates=(date(2024, 1, 1), date(2024, 12, 31)))))) == 1
        nothing = ListedSeries("1.2.3", "1.2.3.4")
        assert found.source.instances(nothing) == ()
        assert found.source.header(nothing, ()) is None
        with pytest.raises((SeriesIncomplete, SourceUnavailable)):
            found.source.fetch(nothing, ("1.2.3.4.5",), tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_a_real_archive_has_lost_is_missed(kind: str, tmp_path: Path) -> None:
    with peer(kind, tmp_path) as found:
        series, instances = found.first()
        max(found.archive.files()).unlink()
        into = tmp_path / "into"
        into.mkdir()
        with pytest.raises(SeriesIncomplete, match=f"of {SLICES} instances came") as caught:
            found.source.fetch(series, instances, into)
        assert len(list(into.iterdir())) == int(str(caught.value).split()[0]) < SLICES


@pytest.mark.parametrize("kind", KINDS)
def test_a_real_archive_that_dies_is_told(kind: str, tmp_path: Path) -> None:
    with peer(kind, tmp_path) as found:
        series, instances = found.first()
        threading.Timer(0.02, found.archive.kill).start()
        with pytest.raises((SeriesIncomplete, SourceUnavailable)):
            fetch_again_and_again(found.source, series, instances, tmp_path)
        with pytest.raises(SourceUnavailable):
            list(found.source.find(SeriesFilter()))


def fetch_again_and_again(
    source: SeriesSource, series: ListedSeries, instances: tuple[str, ...], folder: Path
) -> None:
    for attempt in range(500):
        into = folder / f"into{attempt}"
        into.mkdir()
        assert len(source.fetch(series, instances, into)) == SLICES


def test_a_report_is_stowed_twice_and_refused_in_another_study(tmp_path: Path) -> None:
    with peer("Orthanc WADO-RS", tmp_path) as found:
        [path, *_] = sorted((tmp_path / "series").iterdir())
        stow(path.read_bytes(), found.settings)
        stow(path.read_bytes(), found.settings)
        broken = tmp_path / "broken.dcm"
        broken.write_bytes(path.read_bytes()[:400])
        with pytest.raises(DeliveryFailed, match="refused with HTTP"):
            stow(broken.read_bytes(), found.settings)
