"""300 studies are screened from a real archive, while runs and the archive are killed.

    python -m bench.archive_trial --shared ../shared [--studies 300] [--kills 30]

Debian's Orthanc by DICOMweb and by C-GET, and dcmtk's dcmqrscp by C-MOVE. Among the studies are MR,
other tube voltages, kernels for lung, a series with a lost file, doubled and unknown rows of the
list, and a real CT. Assessments give a report of known numbers: all else is tried as it is.
Exit code 1 if the table is not complete and right, or anything was assessed twice or left behind.
"""

import argparse
import csv
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pydicom
from sqlalchemy import select

from dicom_node.analysis.outcome import Outcome
from dicom_node.archive.bookkeeping.progress import read_progress
from dicom_node.archive.bookkeeping.screenings import Question
from dicom_node.archive.bookkeeping.tables import RUNNER, open_screenings
from dicom_node.archive.results.writing import write_results
from dicom_node.archive.sources import SeriesFilter
from dicom_node.archive.work.running import run_screening
from dicom_node.demo import free_port
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from dicom_node.settings.node import NodeSettings
from tests.dicom_builders import edit, plain_volume
from tests.screening_builders import TemplateReports, make_screening, settings_in, template_report
from tests.test_node_archive_peers import Dcmqrscp, OrthancArchive
from tests.test_node_peers import dcmtk_storescu

SLICES = 24
KINDS = ("Orthanc WADO-RS", "Orthanc C-GET", "dcmqrscp C-MOVE")
VARIANTS: tuple[tuple[dict[str, str], str], ...] = (
    *(({}, "reported"),) * 6,
    ({"KVP": "140"}, "excluded"),
    ({"ConvolutionKernel": "BONE"}, "excluded"),
    ({"Modality": "MR"}, "excluded"),
    ({"SliceThickness": "7.5"}, "excluded"),
)
"""What the headers of every tenth study say otherwise, and what must come of it."""

LOST = "T0"
"""Accession number of the study of which the archive has lost a file."""


class JournalReports(TemplateReports):
    """Reports of known numbers; every assessment is a line in a journal."""

    def __init__(self, template: Path, journal: Path) -> None:
        super().__init__(template, seconds=0.05)
        self._journal = journal

    def assess(self, paths: list[Path], out: Path, history: Path) -> Outcome:
        slices = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
        study, series = slices[0].StudyInstanceUID, slices[0].SeriesInstanceUID
        named = paths[0].with_name("uids.json")
        named.write_text(json.dumps([study, series]))
        with self._journal.open("a") as file:
            file.write(f"{series} {len({item.SOPInstanceUID for item in slices})}\n")
        return super().assess([named], out, history)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--kind", choices=KINDS, action="append")
    chosen = parser.parse_args()
    faults = []
    for kind in chosen.kind or KINDS:
        with tempfile.TemporaryDirectory() as folder:
            found = trial(kind, Path(folder), chosen.shared, chosen.studies, chosen.kills)
        faults += [f"{kind}: {fault}" for fault in found]
    for fault in faults:
        print(f"FAULT {fault}")
    return 1 if faults else 0


def trial(kind: str, folder: Path, shared: Path, studies: int, kills: int) -> list[str]:
    program, _, way = kind.partition(" ")
    port = free_port()
    archive = (OrthancArchive if program == "Orthanc" else Dcmqrscp)(folder / "archive", port)
    expected = {"UNKNOWN": "unknown", "REAL": "reported"}
    settings = settings_in(folder / "node", archive_settings(archive, way, port))
    with archive:
        for number in range(studies):
            changes, outcome = VARIANTS[number % len(VARIANTS)]
            header = InventedHeader(seed=f"trial {number}", patient_id=f"P{number}")
            for path in write_ct_series(plain_volume(SLICES), folder / f"ct/{number}", header):
                edit(path, AccessionNumber=f"T{number}", StudyDate="20240510", **changes)
            expected[f"T{number}"] = outcome
        (folder / "ct/real").mkdir()
        for path in (shared / "data/ct/pancreas_cb001").glob("*.dcm"):
            image = pydicom.dcmread(path)
            image.decompress(generate_instance_uid=False)
            image.AccessionNumber = "REAL"
            image.save_as(folder / "ct/real" / path.name)
        called = "ORTHANC" if program == "Orthanc" else "ARCHIVE"
        for study in sorted((folder / "ct").iterdir()):
            dcmtk_storescu(archive.dicom_port, called, study)
    with archive:  # again: what it has just stored is lost when it is killed
        lose_a_file(archive, folder / "ct/0")
        expected[LOST] = "incomplete"
        wanted = [*expected, "T1", "T2"]  # two rows twice
        rows = [Question(replace(SeriesFilter(modality=None), accession=name)) for name in wanted]
        make_screening(settings, rows, source=f"{'dicomweb' if way == 'WADO-RS' else 'dimse'}:pacs")
        started = time.monotonic()
        killed = run_and_kill(settings, archive, folder, kills)
        seconds = time.monotonic() - started
    return faults_of(kind, settings, folder, expected, killed, seconds)


def archive_settings(archive: OrthancArchive | Dcmqrscp, way: str, port: int) -> str:
    common = '[limits]\nattempts = 3\n[[archives]]\nname = "pacs"\nmax_pause_seconds = 2\n'
    if isinstance(archive, OrthancArchive) and way == "WADO-RS":
        url = f"http://127.0.0.1:{archive.http_port}/dicom-web"
        return f'{common}[archives.dicomweb]\nurl = "{url}"'
    called = "ORTHANC" if isinstance(archive, OrthancArchive) else "ARCHIVE"
    return (
        f'{common}[archives.dimse]\nae_title = "{called}"\nhost = "127.0.0.1"\n'
        f'port = {archive.dicom_port}\nretrieve = "{"move" if way == "C-MOVE" else "get"}"\n'
        f'move_ae_title = "OSTEONODE"\nmove_port = {port}'
    )


def lose_a_file(archive: OrthancArchive | Dcmqrscp, study: Path) -> None:
    """Remove the archive's own file of one instance of a study."""
    uids = {pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID for p in study.glob("*")}
    for path in archive.files():
        try:
            held = pydicom.dcmread(path, specific_tags=["SOPInstanceUID"])
        except pydicom.errors.InvalidDicomError:
            continue
        if held.get("SOPInstanceUID") in uids:
            path.unlink()
            return
    raise AssertionError("the archive has no file of the study")


def run_and_kill(
    settings: NodeSettings, archive: OrthancArchive | Dcmqrscp, folder: Path, kills: int
) -> Counter[str]:
    """Run until nothing is left; kill runs at random moments, and every fifth time the archive."""
    dice = random.Random(16)
    reports = JournalReports(template_report(folder), folder / "journal")
    database = open_screenings(settings.database)
    fork = multiprocessing.get_context("fork")
    done: Counter[str] = Counter()
    while True:
        run = fork.Process(
            target=run_screening, args=(settings, "trial", threading.Event(), reports)
        )
        run.start()
        run.join(dice.uniform(0.5, 4.0) if done["runs"] < kills else None)
        if not run.is_alive():
            progress = read_progress(database, "trial")
            if run.exitcode == 0 and not (progress.questions_open or any(progress.due.values())):
                return done
            continue
        assert run.pid is not None
        os.kill(run.pid, signal.SIGKILL)
        run.join()
        done["runs"] += 1
        if done["runs"] % 5 == 0:
            archive.kill()
            archive.__enter__()
            done["archive"] += 1


def faults_of(
    kind: str,
    settings: NodeSettings,
    folder: Path,
    expected: dict[str, str],
    killed: Counter[str],
    seconds: float,
) -> list[str]:
    database = open_screenings(settings.database)
    write_results(database, "trial", folder / "results.csv", None)
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {row["accession"]: row["outcome"] for row in rows}
    faults = [f"{a}: {found.get(a)}, not {o}" for a, o in expected.items() if found.get(a) != o]
    if len(rows) != len(expected):
        faults.append(f"{len(rows)} rows, not {len(expected)}")
    assessed = Counter(line.split()[0] for line in (folder / "journal").read_text().splitlines())
    again = sum(number - 1 for number in assessed.values())
    if again > killed["runs"] * 4:
        faults.append(f"{again} assessments done again")
    left = list((settings.data_dir / "screenings/trial/attempts").iterdir())
    if left:
        faults.append(f"{len(left)} temporary folders left")
    with database.begin() as connection:
        if connection.execute(select(RUNNER)).first() is not None:
            faults.append("a dead runner is left")
    print(
        f"{kind}: {len(rows)} rows {dict(Counter(found.values()))}, {killed['runs']} runs and "
        f"{killed['archive']} times the archive killed, {again} assessments done again, "
        f"{seconds:.0f} s",
        flush=True,
    )
    return faults


if __name__ == "__main__":
    sys.exit(main())
