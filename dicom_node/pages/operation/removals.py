"""What retention removes next, and what of a study may be removed by hand."""

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from dicom_node.pages.operation.rules_pool import rules_pool
from dicom_node.reporting.report_index import INDEX
from dicom_node.settings.node import NodeSettings
from dicom_node.spool.spool import Spool
from dicom_node.work.discarding import Item, removable_items
from dicom_node.work.retention import DAY_SECONDS, SPOOL_LOOK_SECONDS

__all__ = ["NextRemovals", "Removal", "items_of"]


@dataclass(frozen=True)
class Removal:
    """A rule of retention and when it removes something next.

    Parameters
    ----------
    what
        ``instances``, ``reports`` or ``work``.
    days
        After so many; None keeps it for ever.
    next_ms
        When the oldest is due, UTC, ms since the epoch; None where nothing is held, or where
        this is not looked for.
    """

    what: str
    days: float | None
    next_ms: int | None = None

    @property
    def overdue(self) -> bool:
        """Whether the oldest should be gone: its work is open, or failed and may be retried."""
        late = SPOOL_LOOK_SECONDS * 1000
        return self.next_ms is not None and self.next_ms + late < time.time() * 1000


class NextRemovals:
    """Looks through the folders at most as often as retention does.

    Parameters
    ----------
    settings
        Of the node.
    """

    def __init__(self, settings: NodeSettings) -> None:
        self._rules = settings.retention
        self._series = Spool(settings.data_dir).series
        self._reports = settings.reports_dir
        self._lock = threading.Lock()
        self._found: tuple[Removal, ...] = ()
        self._until = 0.0

    def now(self) -> tuple[Removal, ...]:
        """The rules as they stand, with what they remove next."""
        with self._lock:
            if not self._found or time.monotonic() >= self._until:
                rules = self._rules
                self._found = (
                    _removal("instances", rules.instance_days, self._series),
                    _removal("reports", rules.report_days, self._reports),
                    Removal("work", rules.work_days),
                )
                self._until = time.monotonic() + SPOOL_LOOK_SECONDS
            return self._found


def items_of(settings: NodeSettings, study_key: str) -> list[Item]:
    """What of a study was set aside or stands in conflict.

    Raises
    ------
    ChildrenBusy
        Others look just now.
    AssessmentFailed
        The child that looks through the files failed.
    """
    with rules_pool(settings) as pool:
        spool = Spool(settings.data_dir)
        return removable_items(spool, study_key, lambda paths: pool.survey(paths).result())


def _removal(what: str, days: float | None, folder: Path) -> Removal:
    if days is None or not folder.is_dir():
        return Removal(what, days)
    with os.scandir(folder) as entries:
        times = [e.stat().st_mtime for e in entries if e.is_dir() and e.name != INDEX]
    if not times:
        return Removal(what, days)
    return Removal(what, days, round((min(times) + days * DAY_SECONDS) * 1000))
