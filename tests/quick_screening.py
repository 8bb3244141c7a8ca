"""A screening whose assessments take no time, in this process or as one of its own."""

import sys
import threading
from pathlib import Path

from dicom_node.archive.bookkeeping.screenings import Question, Screening, ScreeningPlan, Screenings
from dicom_node.archive.bookkeeping.tables import open_database
from dicom_node.archive.sources import SeriesFilter
from dicom_node.archive.work.running import run_screening
from dicom_node.logs import configure_logs
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from dicom_node.settings.node import NodeSettings, load_settings
from dicom_node.supervisor import stop_on_signal
from tests.dicom_builders import plain_volume
from tests.quick_worker import QuickPool

SLICES = 36
"""The quick assessment measures in the first 33."""


def quick_settings(folder: Path, text: str = "") -> NodeSettings:
    """Settings under which the series of `quick_series` can be assessed; also on the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "node.toml"
    config.write_text(
        f'data_dir = "{folder / "data"}"\n{text}\n[acquisition]\nmin_coverage_mm = 90\n'
    )
    (folder / "data").mkdir(exist_ok=True)
    return load_settings(config)


def quick_series(folder: Path, seed: str, **header: object) -> list[Path]:
    """A small series that the quick assessment takes."""
    return write_ct_series(plain_volume(SLICES), folder, InventedHeader(seed=seed, **header))  # type: ignore[arg-type]


def make_screening(
    settings: NodeSettings, tree: Path, name: str = "trial", send_to: str | None = None
) -> Screening:
    """A screening of a folder tree."""
    plan = ScreeningPlan(source=f"folder:{tree}", send_to=send_to)
    screenings = Screenings(open_database(settings.database))
    return screenings.create(name, plan, [Question(SeriesFilter())])


def run_quickly(settings: NodeSettings, name: str = "trial") -> None:
    """Run a screening in this process until nothing is left."""
    run_screening(settings, name, threading.Event(), QuickPool)


if __name__ == "__main__":
    configure_logs("screening")
    run_screening(load_settings(Path(sys.argv[1])), sys.argv[2], stop_on_signal(), QuickPool)
