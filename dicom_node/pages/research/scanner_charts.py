"""The control charts of the node's scanners, drawn up now and then."""

import hashlib
import threading
import time
from dataclasses import astuple, dataclass

import sqlalchemy as sa
from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.logs import log
from dicom_node.records.scanner_drift import followed_charts
from modeling.drift.control_chart import ControlChart
from modeling.drift.drift_files import Charts
from modeling.drift.scanner_months import Scanner

__all__ = ["FollowedScanner", "ScannerCharts", "followed_scanners", "scanner_charts"]

CHARTS_SECONDS = 600.0
"""What is followed are medians of months: they change slowly."""


@dataclass(frozen=True)
class FollowedScanner:
    """A scanner with its charts by measure; ``id`` stands for it in addresses."""

    id: str
    scanner: Scanner
    charts: dict[str, ControlChart]

    @property
    def steps(self) -> dict[str, ControlChart]:
        """The measures that are not where they were."""
        return {name: chart for name, chart in self.charts.items() if chart.step is not None}

    @property
    def months(self) -> list[str]:
        """All months with values, YYYY-MM."""
        return sorted({month.month for chart in self.charts.values() for month in chart.months})

    @property
    def number(self) -> int:
        """Values of the measure that has most."""
        sums = (sum(month.number for month in chart.months) for chart in self.charts.values())
        return max(sums, default=0)


class ScannerCharts:
    """Draws them up once for all visitors, who wait for the first ones of a process alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._charts: Charts | None = None
        self._until = 0.0
        self._renewal: threading.Thread | None = None

    def of(self, engine: sa.Engine) -> Charts:
        """The charts of what the node measured; those older than `CHARTS_SECONDS` are renewed."""
        with self._lock:
            if self._charts is None:
                self._charts = followed_charts(engine)
                self._until = time.monotonic() + CHARTS_SECONDS
            elif time.monotonic() >= self._until:
                self._until = time.monotonic() + CHARTS_SECONDS
                self._renewal = threading.Thread(target=self._renew, args=(engine,), daemon=True)
                self._renewal.start()
            return self._charts

    def wait(self) -> None:
        """Return when no charts are being renewed."""
        if self._renewal is not None:
            self._renewal.join()

    def _renew(self, engine: sa.Engine) -> None:
        try:
            charts = followed_charts(engine)
        except SQLAlchemyError as error:  # the former ones are shown until the next renewal
            log().warning("database does not answer", error=type(error).__name__)
            return
        with self._lock:
            self._charts = charts


def scanner_charts(request: Request) -> ScannerCharts:
    """Give a page the charts: ``Annotated[ScannerCharts, Depends(scanner_charts)]``."""
    found: ScannerCharts = request.app.state.scanner_charts
    return found


def followed_scanners(charts: Charts) -> list[FollowedScanner]:
    """The scanners: those that moved first, then by name."""
    found = [FollowedScanner(_id(scanner), scanner, own) for scanner, own in charts.items()]
    return sorted(found, key=lambda one: (not one.steps, one.scanner.words))


def _id(scanner: Scanner) -> str:
    return hashlib.sha256("\n".join(astuple(scanner)).encode()).hexdigest()[:12]
