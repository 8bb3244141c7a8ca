"""Studies are screened from a real archive, while runs and the archive are killed at random points.

    python -m bench.archive_trial --shared ../shared [--studies 300] [--kills 30]

Debian's Orthanc by DICOMweb and by C-GET, and dcmtk's dcmqrscp by C-MOVE. Among the studies are MR,
other tube voltages, kernels for lung, a series with a lost file, doubled and unknown rows of the
list, and a real CT. Assessments give a report of known numbers: all else is tried as it is. Half
way the archive stays down for a while. Then a second screening of it runs by a simulated clock with
a window and a quota. What was fetched is counted in the archive's own log.

Exit code 1 if a table is not complete and right, anything was fetched again that had been assessed,
an outage cost an attempt, a series was fetched outside the window or above the quota, or anything
is left behind.
"""

import argparse
import csv
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pydicom
from sqlalchemy import select

from bench.archive_killing import Killing, TimedRuns
from bench.journal_reports import JournalReports
from dicom_node.archive.bookkeeping.screenings import Question
from dicom_node.archive.bookkeeping.tables import RUNNER, open_screenings
from dicom_node.archive.results.writing import write_results
from dicom_node.archive.sources import SeriesFilter
from dicom_node.demo import free_port
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from dicom_node.settings.node import NodeSettings
from tests.dicom_builders import edit, plain_volume
from tests.screening_builders import make_screening, settings_in, template_report
from tests.test_node_archive_peers import Dcmqrscp, OrthancArchive
from tests.test_node_peers import dcmtk_storescu

SLICES = 8
"""Few, so that hundreds of studies are soon written; the settings say that these are enough."""

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

QUOTA = 10
"""Series a day of the screening by a simulated clock."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--kind", choices=KINDS, action="append")
    chosen = parser.parse_args()
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "ct"
        expected = write_studies(images, chosen.shared, chosen.studies)
        for number, kind in enumerate(chosen.kind or KINDS):
            place = Path(folder) / f"trial{number}"
            place.mkdir()
            found = trial(kind, place, images, expected, chosen.kills)
            faults += [f"{kind}: {fault}" for fault in found]
    for fault in faults:
        print(f"FAULT {fault}")
    return 1 if faults else 0


def write_studies(images: Path, shared: Path, studies: int) -> dict[str, str]:
    """Write the studies, a folder each; returns what must come of each accession number."""
    expected = {"UNKNOWN": "unknown", "REAL": "reported"}
    for number in range(studies):
        changes, outcome = VARIANTS[number % len(VARIANTS)]
        header = InventedHeader(seed=f"trial {number}", patient_id=f"P{number}")
        for path in write_ct_series(plain_volume(SLICES), images / str(number), header):
            edit(path, AccessionNumber=f"T{number}", StudyDate="20240510", **changes)
        expected[f"T{number}"] = outcome
    (images / "real").mkdir()
    for path in (shared / "data/ct/pancreas_cb001").glob("*.dcm"):
        image = pydicom.dcmread(path)
        image.decompress(generate_instance_uid=False)
        image.AccessionNumber = "REAL"
        image.save_as(images / "real" / path.name)
    return {**expected, LOST: "incomplete"}


def trial(kind: str, folder: Path, images: Path, expected: dict[str, str], kills: int) -> list[str]:
    """Screen an archive of these studies twice; returns what was not as it must be."""
    program, _, way = kind.partition(" ")
    port = free_port()
    archive = (OrthancArchive if program == "Orthanc" else Dcmqrscp)(folder / "archive", port)
    with archive:
        called = "ORTHANC" if program == "Orthanc" else "ARCHIVE"
        for study in sorted(images.iterdir()):
            dcmtk_storescu(archive.dicom_port, called, study)
    archive.log = folder / "archive.log"
    template = template_report(folder)
    source = f"{'dicomweb' if way == 'WADO-RS' else 'dimse'}:pacs"
    names = [name for name in expected if name != LOST and expected[name] == "reported"]
    with archive:  # again: what it has just stored is lost when it is killed
        lose_a_file(archive, images / "0")
        settings = settings_in(folder / "node", archive_settings(archive, way, port))
        rows = [*expected, "T1", "T2"]  # two rows twice
        make_screening(settings, questions(rows, None), source=source)
        killing = Killing(settings, archive, JournalReports(template, folder / "journal"))
        killing.run(kills)
        print(f"{kind}: {killing.told()}", flush=True)
        faults = [*killing.faults, *faults_of(settings, folder, expected)]
        manners = f'window = "19:00-06:00"\nseries_per_day = {QUOTA}'
        timed = settings_in(folder / "timed", archive_settings(archive, way, port, manners))
        wanted = names[: 2 * QUOTA + 3]
        make_screening(timed, questions(wanted, "CT"), source=source)
        runs = TimedRuns(timed, archive, JournalReports(template, folder / "timed-journal"), QUOTA)
        print(f"{kind}: {runs.run(len(wanted))}", flush=True)
        faults += [*runs.faults, *faults_of(timed, folder, dict.fromkeys(wanted, "reported"))]
    return faults


def questions(accessions: list[str], modality: str | None) -> list[Question]:
    wanted = SeriesFilter(modality=modality)
    return [Question(replace(wanted, accession=name)) for name in accessions]


def archive_settings(
    archive: OrthancArchive | Dcmqrscp, way: str, port: int, manners: str = ""
) -> str:
    common = (
        f"[acquisition]\nmin_slices = {SLICES - 2}\n[limits]\nattempts = 3\n"
        f'[[archives]]\nname = "pacs"\nmax_pause_seconds = 2\n{manners}\n'
    )
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


def faults_of(settings: NodeSettings, folder: Path, expected: dict[str, str]) -> list[str]:
    """What is wrong with the table, and what is left behind."""
    database = open_screenings(settings.database)
    write_results(database, "trial", folder / "results.csv", None)
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {row["accession"]: row for row in rows}
    faults = [
        f"{name}: {found.get(name, {}).get('outcome')} "
        f"({found.get(name, {}).get('reason')}), not {outcome}"
        for name, outcome in expected.items()
        if found.get(name, {}).get("outcome") != outcome
    ]
    if len(rows) != len(expected):
        faults.append(f"{len(rows)} rows, not {len(expected)}")
    left = list((settings.data_dir / "screenings/trial/attempts").iterdir())
    if left:
        faults.append(f"{len(left)} temporary folders left")
    with database.begin() as connection:
        if connection.execute(select(RUNNER)).first() is not None:
            faults.append("a dead runner is left")
    outcomes = Counter(row["outcome"] for row in rows)
    print(f"  {len(rows)} rows: {dict(outcomes)}", flush=True)
    return faults


if __name__ == "__main__":
    sys.exit(main())
