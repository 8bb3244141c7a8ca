"""Whether a scanner's HU moved: looked at once an hour by a worker, read by the status."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dicom_node.files import write_atomically
from dicom_node.records.followed_studies import followed_values

if TYPE_CHECKING:
    from modeling.drift.drift_files import Charts

__all__ = ["DriftWatch", "ScannerStep", "followed_charts", "read_steps", "steps_of"]

DRIFT_FILE = "drift.json"

DRIFT_SECONDS = 3600.0
"""Between two looks; what is followed are medians of months."""


@dataclass(frozen=True)
class ScannerStep:
    """A measure of a scanner that is not where it was.

    Parameters
    ----------
    scanner
        In words: manufacturer, model, kernel, contrast.
    measure
        ``l1``, ``aorta``, ``muscle`` or ``noise``.
    since
        First month of the step, YYYY-MM.
    change_hu
        HU.
    """

    scanner: str
    measure: str
    since: str
    change_hu: float


class DriftWatch:
    """Looks at the studies of the node, and writes what moved.

    Parameters
    ----------
    engine
        As `open_database` gives it.
    data_dir
        The node's data folder.
    """

    def __init__(self, engine: sa.Engine, data_dir: Path) -> None:
        self._engine = engine
        self._path = data_dir / DRIFT_FILE
        self._next = 0.0

    def look(self) -> None:
        """Look if an hour has passed since the last time."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + DRIFT_SECONDS
        steps = steps_of(followed_charts(self._engine))
        content = json.dumps([asdict(step) for step in steps]).encode()
        write_atomically(self._path, content, durable=False)


def followed_charts(engine: sa.Engine) -> "Charts":
    """The control charts of what was measured on the node's own studies."""
    from modeling.drift.drift_files import charts_of
    from modeling.drift.scanner_months import measurement_of

    found = (measurement_of(stated, hu) for stated, hu in followed_values(engine))
    return charts_of(one for one in found if one is not None)


def steps_of(charts: "Charts") -> list[ScannerStep]:
    """The measures that are not where they were, in the order of the charts."""
    return [
        ScannerStep(scanner.words, name, chart.step.since, round(chart.step.change, 1))
        for scanner, measures in charts.items()
        for name, chart in measures.items()
        if chart.step is not None
    ]


def read_steps(data_dir: Path) -> tuple[ScannerStep, ...]:
    """What the last look found; nothing where there was none yet."""
    path = data_dir / DRIFT_FILE
    if not path.is_file():
        return ()
    return tuple(ScannerStep(**entry) for entry in json.loads(path.read_bytes()))
