"""Screenings of Debian's Orthanc, which is killed in the middle and started again."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pydicom
import pytest

from dicom_node.analysis.outcome import Outcome
from dicom_node.archive.bookkeeping.progress import read_progress
from dicom_node.archive.bookkeeping.screenings import Question
from dicom_node.archive.bookkeeping.tables import open_screenings
from dicom_node.archive.results.rows import result_batches
from dicom_node.archive.sources import SeriesFilter
from dicom_node.archive.work.running import run_screening
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from tests.conftest import DICOMWEB_PLUGIN
from tests.dicom_builders import edit, plain_volume
from tests.screening_builders import (
    PATIENCE_SECONDS,
    TemplateReports,
    make_screening,
    settings_in,
    template_report,
)
from tests.test_node_peers import Orthanc

pytestmark = pytest.mark.peers

SLICES = 24

CHANGES: list[dict[str, str]] = [{}, {}, {"KVP": "140"}, {"ConvolutionKernel": "BONE"},
                                 {"Modality": "MR"}, {}, {}]  # fmt: skip
"""What the header of each stored series says otherwise."""

EXPECTED = {
    "A0": ("reported", None),
    "A1": ("reported", None),
    "A2": ("excluded", "series.kvp"),
    "A3": ("excluded", "acquisition.kernel_lung_bone"),
    "A4": ("excluded", "series.not_ct"),
    "A5": ("reported", None),
    "A6": ("reported", None),
    "A99": ("unknown", "list.unknown"),
}


class FetchedReports(TemplateReports):
    """Reports from a template for files that are those of a whole series with its pixels."""

    def assess(self, paths: list[Path], out: Path, history: Path) -> Outcome:
        slices = [pydicom.dcmread(path) for path in paths]
        assert len({item.SOPInstanceUID for item in slices}) == SLICES
        assert all(item.PixelData for item in slices)
        named = paths[0].with_name("uids.json")
        named.write_text(json.dumps([slices[0].StudyInstanceUID, slices[0].SeriesInstanceUID]))
        return super().assess([named], out, history)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.mark.parametrize("spoken", ["dicomweb", "dimse"])
def test_an_archive_is_screened_though_it_is_killed_in_the_middle(
    tmp_path: Path, spoken: str
) -> None:
    orthanc = Orthanc(tmp_path / "orthanc", plugins=[DICOMWEB_PLUGIN])
    spoken_to = {
        "dicomweb": f'[archives.dicomweb]\nurl = "http://127.0.0.1:{orthanc.http_port}/dicom-web"',
        "dimse": f'[archives.dimse]\nae_title = "ORTHANC"\nhost = "127.0.0.1"\n'
        f"port = {orthanc.dicom_port}",
    }
    archive = f'[[archives]]\nname = "pacs"\nmax_pause_seconds = 2\n{spoken_to[spoken]}'
    settings = settings_in(tmp_path / "node", archive)
    sends = spoken == "dicomweb"
    with orthanc:
        for number, changes in enumerate(CHANGES):
            header = InventedHeader(seed=f"peer {number}", patient_id=f"P{number}")
            for path in write_ct_series(plain_volume(SLICES), tmp_path / "ct", header):
                edit(path, AccessionNumber=f"A{number}", StudyDate="20240510", **changes)
                orthanc.store(path)
    with orthanc:  # again: what it has just stored is lost when it is killed
        accessions = [*(f"A{number}" for number in range(5)), "A99"]
        questions = [Question(replace(SeriesFilter(), accession=name)) for name in accessions]
        dates = (date(2024, 5, 1), date(2024, 5, 31))
        questions.append(Question(SeriesFilter(dates=dates)))
        screening = make_screening(
            settings,
            questions,
            source=f"{spoken}:pacs",
            send_to="dicomweb:pacs" if sends else None,
        )
        database = open_screenings(settings.database)
        reports = FetchedReports(template_report(tmp_path), seconds=0.3)
        arguments = (settings, "trial", threading.Event(), reports)
        run = threading.Thread(target=run_screening, args=arguments)
        run.start()
        wait_until(lambda: read_progress(database, "trial").series >= 2)
        orthanc.process.kill()
        orthanc.process.wait()
        wait_until(lambda: any("down" in r for r in read_progress(database, "trial").waits_for))
        with orthanc:
            run.join(PATIENCE_SECONDS)
            assert not run.is_alive()
            held = orthanc.get("/statistics")["CountInstances"]
    rows = [row.cells for batch in result_batches(database, screening, None) for row in batch]
    assert {str(row["accession"]): (row["outcome"], row["code"]) for row in rows} == EXPECTED, [
        row["reason"] for row in rows
    ]
    assert held == len(CHANGES) * SLICES + (4 if sends else 0)
