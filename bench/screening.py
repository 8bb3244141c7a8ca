"""A screening of many series without an archive: memory, rates, and how long status takes.

    python -m bench.screening --series 100000 --out /tmp/screening

The headers are simulated: no pixel is fetched and nothing is measured. What is timed is the node's
own part: listing, judging by headers, the records of each step, `status`, and the results.
"""

import argparse
import json
import resource
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from pydicom.dataset import Dataset

from dicom_node.archive.bookkeeping.progress import read_progress
from dicom_node.archive.bookkeeping.runners import Runner
from dicom_node.archive.bookkeeping.screenings import Question, ScreeningPlan, Screenings
from dicom_node.archive.bookkeeping.series_rows import Due, Outcome, SeriesRow, SeriesRows, Stage
from dicom_node.archive.bookkeeping.tables import open_screenings
from dicom_node.archive.results.writing import write_results
from dicom_node.archive.sources import ListedSeries, SeriesFilter
from dicom_node.archive.work.asking import Asking
from dicom_node.archive.work.manners import Manners
from dicom_node.archive.work.measured import MeasuredSeries
from dicom_node.archive.work.running import JUDGED_AT_ONCE
from dicom_node.archive.work.series_work import SeriesWork, WatchedSource
from dicom_node.settings.node import NodeSettings
from modeling.cohort import Sex
from modeling.norms import vertebral_percentiles
from roi_extraction.sites import SITES

SCANNERS = (
    ("GE MEDICAL SYSTEMS", "Revolution CT", "STANDARD", 0.0),
    ("SIEMENS", "SOMATOM Force", "Br40d", 8.0),
    ("Philips", "Brilliance 64", "B", -6.0),
    ("TOSHIBA", "Aquilion ONE", "FC08", 14.0),
)
"""Manufacturer, model, kernel, and how much higher it reads, HU: invented."""

RECORDED_AT_ONCE = 1000
"""A node records each series on its own, between minutes of measuring: here they are recorded
together, to come to a full table soon."""


class SimulatedArchive:
    """An archive that exists only as a number of series; one in ten does not list its kernel."""

    def __init__(self, series: int) -> None:
        self._series = series

    def find(self, wanted: SeriesFilter) -> Iterator[ListedSeries]:
        for number in range(self._series):
            manufacturer, model, kernel, _ = SCANNERS[number % 7 % len(SCANNERS)]
            yield ListedSeries(
                study_uid=f"2.25.77{number:030d}", series_uid=f"2.25.78{number:030d}",
                accession=f"A{number:08d}", patient_id=f"P{number * 9 // 10:08d}",
                study_date=f"2024{1 + number % 12:02d}15", age_years=50.0 + number * 7 % 40,
                sex="FFM"[number % 3], modality="CT", manufacturer=manufacturer, model=model,
                kernel=None if number % 10 == 0 else kernel,
                kvp=100.0 if number % 9 == 0 else 120.0,
                slice_thickness_mm=7.5 if number % 23 == 0 else 3.0,
                image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
                instances=3 if number % 17 == 0 else 90,
            )  # fmt: skip

    def instances(self, series: ListedSeries) -> tuple[str, ...]:
        return tuple(f"{series.series_uid}.{k}" for k in range(series.instances or 0))

    def header(self, series: ListedSeries, instances: Sequence[str]) -> Dataset | None:
        header = Dataset()
        header.Modality, header.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        header.KVP, header.ConvolutionKernel = series.kvp, "BONE"
        return header

    def fetch(self, series: ListedSeries, instances: Sequence[str], folder: Path) -> list[Path]:
        raise AssertionError("nothing is fetched")

    def close(self) -> None:
        return


def measured(series: ListedSeries, random: np.random.Generator) -> MeasuredSeries:
    """Invented values round the cohort's of the same age and sex."""
    sex = Sex.FEMALE if series.sex == "F" else Sex.MALE
    norms = vertebral_percentiles(series.age_years, sex) or {}
    offset = next(s[3] for s in SCANNERS if s[1] == series.model) + random.normal(0, 35)
    means = [
        round(float(norms[site.name][1] + offset + random.normal(0, 8)), 1)
        if site.name in norms
        else round(float(random.normal(45, 12)), 1)
        for site in SITES
    ]
    stage = "ABCD"[int(np.searchsorted([-40, -15, 10], -offset))]
    return MeasuredSeries(
        route="sacrum", manufacturer=series.manufacturer or "", model=series.model or "",
        kernel=series.kernel or "", kvp=series.kvp, slice_thickness_mm=3.0, contrast=False,
        mean_hu=tuple(means), sd_hu=(25.0,) * len(SITES), missing=(None,) * len(SITES),
        stage=stage, probabilities=dict.fromkeys("ABCD", 0.25), prediction_set=stage,
        osteoporosis="yes" if stage in "CD" else "no",
        l1_category="low" if means[0] <= 110 else "middle" if means[0] <= 160 else "high",
        warnings=("acquisition.other_scanner",), software="bench", model_id="bench",
    )  # fmt: skip


def ended(row: SeriesRow, random: np.random.Generator) -> dict[str, Any]:
    text = measured(row.series, random).model_dump_json()
    return {"outcome": Outcome.REPORTED, "stage": Stage.REPORTED, "due": None, "measured": text}


@contextmanager
def timed(what: str, series: int, found: dict[str, float]) -> Iterator[None]:
    started, cpu = time.perf_counter(), time.process_time()
    yield
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found[f"{what}_s"] = round(seconds, 3)
    found[f"{what}_peak_mb"] = round(peak)
    print(
        f"{what:10} {seconds:8.2f} s ({time.process_time() - cpu:.2f} CPU s) "
        f"{series / seconds:9.0f} series/s, peak {peak:.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=100_000)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--database", help="URL; default SQLite in the folder")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    shutil.rmtree(given.out, ignore_errors=True)
    given.out.mkdir(parents=True)
    settings = NodeSettings(data_dir=given.out, database_url=given.database)
    database = open_screenings(settings.database)
    screenings = Screenings(database)
    screening = screenings.create("bench", ScreeningPlan(source="dicomweb:bench"), [])
    found: dict[str, float] = {"series": given.series}
    with Runner(database, screening, given.out / "attempts") as runner:
        rows = SeriesRows(database, screening, runner.id)
        source = WatchedSource(
            SimulatedArchive(given.series), Manners(database, "dicomweb:bench", None)
        )
        work = SeriesWork(
            settings, screening.plan, given.out, rows, source,
            cast("object", None), cast("object", None), cast("object", None),  # type: ignore[arg-type]
        )  # fmt: skip
        asking = Asking(screenings, screening, rows, source, runner.id)
        with timed("listing", given.series, found):
            asking.list_question(Question(SeriesFilter()))
        with timed("status", given.series, found):
            read_progress(database, "bench")
        with timed("judging", given.series, found):
            while batch := rows.claim(Due.SCREEN, JUDGED_AT_ONCE):
                runner.beat(None)
                work.judge(batch)
        random = np.random.default_rng(0)
        due = read_progress(database, "bench").due[Due.FETCH]
        with timed("recording", due, found):
            while batch := rows.claim(Due.FETCH, RECORDED_AT_ONCE):
                runner.beat(None)
                rows.record_all((row, ended(row, random)) for row in batch)
    for what in ("status", "status"):
        with timed(what, given.series, found):
            read_progress(database, "bench")
    for name in ("results.csv", "results.parquet"):
        with timed(name, given.series, found):
            write_results(database, "bench", given.out / "results" / name, None)
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
