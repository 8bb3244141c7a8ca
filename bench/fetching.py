"""Rate at which a CT series comes from an archive, beside the raw stream and dcmtk.

Run as ``unshare --net --map-root-user python -m bench.fetching [ROUNDS]``: Orthanc, which knows no
login here, is in a network namespace of its own. All ways take turns in each round; ratios are of
medians, since rates depend on the machine. Nobody syncs files to the disk.
"""

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import pydicom

from bench.receiving import NODELAY, SLICES, running, write_series
from dicom_node.archive.opening import open_archive
from dicom_node.archive.sources import SeriesFilter
from dicom_node.demo import free_port
from dicom_node.settings.archives import Archive
from tests.kernel_memory import kernel_memory_mb

WADO, GET, MOVE = "osteonode WADO-RS", "osteonode C-GET", "osteonode C-MOVE"
RAW, KEPT = "curl, raw stream", "curl, to a file"
GETSCU, MOVESCU = "dcmtk getscu", "dcmtk movescu"

TARGETS = {(WADO, RAW): 0.6, (GET, GETSCU): 1.0, (MOVE, MOVESCU): 1.0}

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"

AE_TITLE = "OSTEONODE"


def archives(http_port: int, dicom_port: int, move_port: int) -> dict[str, Archive]:
    """The settings of our three ways to the same archive."""
    peer = {"ae_title": "ORTHANC", "host": "127.0.0.1", "port": dicom_port}
    move = {"retrieve": "move", "move_ae_title": AE_TITLE, "move_port": move_port}
    url = f"http://127.0.0.1:{http_port}/dicom-web"
    return {
        WADO: Archive.model_validate({"name": "web", "dicomweb": {"url": url}}),
        GET: Archive.model_validate({"name": "get", "dimse": peer}),
        MOVE: Archive.model_validate({"name": "move", "dimse": {**peer, **move}}),
    }


def fetch(archive: Archive, folder: Path) -> None:
    """Fetch the only series, in a process of its own; prints s, CPU s and MB (RSS)."""
    source = open_archive(archive, AE_TITLE)
    [series] = source.find(SeriesFilter())
    instances = source.instances(series)
    folder.mkdir()
    started, before = time.perf_counter(), time.process_time()
    paths = source.fetch(series, instances, folder)
    seconds, cpu = time.perf_counter() - started, time.process_time() - before
    source.close()
    if len(paths) != SLICES:
        raise RuntimeError(f"{len(paths)} slices came")
    print(seconds, cpu, kernel_memory_mb("self", "status", "VmHWM"))


def ours(archive: Archive, work: Path) -> tuple[float, float, float]:
    """Run `fetch`; s, CPU s and MB."""
    folder = work / "came"
    command = [
        sys.executable,
        "-m",
        "bench.fetching",
        "--fetch",
        archive.model_dump_json(),
        str(folder),
    ]
    result = subprocess.run(command, check=True, capture_output=True, text=True, env=NODELAY)
    shutil.rmtree(folder)
    seconds, cpu, megabytes = map(float, result.stdout.split())
    return seconds, cpu, megabytes


def theirs(command: Sequence[str], work: Path) -> tuple[float, float, float]:
    """Run another program in an empty folder; s, CPU s, and no memory (Linux gives ours)."""
    folder = work / "came"
    folder.mkdir()
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=NODELAY, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    seconds = time.perf_counter() - started
    if status or (command[0] != "curl" and len(list(folder.iterdir())) != SLICES):
        raise RuntimeError(f"{command[0]}: {errors.decode()}")
    shutil.rmtree(folder)
    return seconds, usage.ru_utime + usage.ru_stime, math.nan


def orthanc_command(folder: Path, http_port: int, dicom_port: int, move_port: int) -> list[str]:
    """How Orthanc is started."""
    folder.mkdir()
    config = folder / "orthanc.json"
    config.write_text(
        json.dumps(
            {
                "StorageDirectory": str(folder), "IndexDirectory": str(folder),
                "DicomAet": "ORTHANC", "DicomPort": dicom_port, "HttpPort": http_port,
                "AuthenticationEnabled": False, "DicomAlwaysAllowGet": True,
                "DicomAlwaysAllowMove": True, "DicomAlwaysAllowFind": True,
                "SyncStorageArea": False, "Plugins": [PLUGIN],
                "DicomModalities": {"node": [AE_TITLE, "127.0.0.1", move_port]},
            }
        )
    )  # fmt: skip
    return ["Orthanc", str(config)]


def series_url(http_port: int, folder: Path) -> tuple[str, str, str]:
    """UIDs of the series in a folder, and its address in WADO-RS."""
    header = pydicom.dcmread(next(folder.iterdir()), stop_before_pixels=True)
    study, series = str(header.StudyInstanceUID), str(header.SeriesInstanceUID)
    url = f"http://127.0.0.1:{http_port}/dicom-web/studies/{study}/series/{series}"
    return study, series, url


def commands(http_port: int, dicom_port: int, move_port: int, folder: Path) -> dict[str, list[str]]:
    """How other programs fetch the series that lies in a folder too."""
    study, series, url = series_url(http_port, folder)
    keys = [
        "-S", "-aec", "ORTHANC", "-aet", AE_TITLE, "-pdu", "131072", "+B",
        "-k", "QueryRetrieveLevel=SERIES",
        "-k", f"StudyInstanceUID={study}", "-k", f"SeriesInstanceUID={series}",
        "127.0.0.1", str(dicom_port),
    ]  # fmt: skip
    accept = 'Accept: multipart/related; type="application/dicom"; transfer-syntax=*'
    return {
        RAW: ["curl", "-s", "-f", "-o", "/dev/null", "-H", accept, url],
        KEPT: ["curl", "-s", "-f", "-o", "series", "-H", accept, url],
        GETSCU: ["/usr/bin/getscu", *keys],
        MOVESCU: ["/usr/bin/movescu", "+P", str(move_port), "+xa", "-aem", AE_TITLE, *keys],
    }


def measure(rounds: int, work: Path) -> tuple[int, dict[str, list[tuple[float, float, float]]]]:
    """Bytes of the series, and s, CPU s and MB of each way in each round."""
    size = write_series(work / "sent", SLICES, "fetching")
    http_port, dicom_port, move_port = free_port(), free_port(), free_port()
    found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    orthanc = orthanc_command(work / "orthanc", http_port, dicom_port, move_port)
    with running(orthanc, dicom_port):
        subprocess.run(
            ["/usr/bin/storescu", "-R", "-aec", "ORTHANC", "-aet", AE_TITLE, "+sd",
             "127.0.0.1", str(dicom_port), str(work / "sent")], check=True, env=NODELAY,
        )  # fmt: skip
        others = commands(http_port, dicom_port, move_port, work / "sent")
        own = archives(http_port, dicom_port, move_port)
        for _ in range(rounds):
            for name, command in others.items():
                found[name].append(theirs(command, work))
            for name, archive in own.items():
                found[name].append(ours(archive, work))
    return size, found


def main(rounds: int) -> None:
    """Measure, and print medians and the ratios beside their targets."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory() as name:
        size, found = measure(rounds, Path(name))
    medians = {
        name: [median(column) for column in zip(*runs, strict=True)] for name, runs in found.items()
    }
    rates = {name: size / 1e6 / seconds for name, (seconds, _, _) in medians.items()}
    print(f"{'median':22} {'MB/s':>6} {'CPU s':>6} {'RSS MB':>7}")
    for way, (_, cpu, megabytes) in medians.items():
        print(f"{way:22} {rates[way]:6.0f} {cpu:6.2f} {megabytes:7.0f}")
    for (way, other), target in TARGETS.items():
        ratio = rates[way] / rates[other]
        verdict = "reached" if ratio >= target else "NOT REACHED"
        print(f"{way} of {other}: {ratio:.2f} (target {target:.1f}) {verdict}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--fetch"]:
        fetch(Archive.model_validate_json(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
