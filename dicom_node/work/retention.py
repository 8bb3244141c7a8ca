"""Remove received instances and reports after the time that the settings give them."""

import time
from pathlib import Path

from dbos import DBOS

from dicom_node.logs import log
from dicom_node.records.withdrawals import Withdrawals
from dicom_node.reporting.report_index import INDEX, ReportIndex
from dicom_node.settings.node import NodeSettings
from dicom_node.spool.spool import ArrivedStudy, Spool, remove_tree

__all__ = ["Retainer", "open_studies"]

DAY_SECONDS = 86400.0

SPOOL_LOOK_SECONDS = 600.0
"""How often the spool is looked through."""

HOLDING_STATES = ("ENQUEUED", "PENDING", "DELAYED", "ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
"""States of a DBOS workflow whose study is kept: it goes on, or failed and may be retried."""


class Retainer:
    """Applies the settings ``[retention]`` to studies of which all work is done.

    Failed work keeps a study, for it may be retried.

    Parameters
    ----------
    settings
        Of the node.
    spool
        Where the received instances lie.
    reports
        Folder of the reports, with a folder a study in it.
    """

    def __init__(self, settings: NodeSettings, spool: Spool, reports: Path) -> None:
        self._settings = settings.retention
        self._earlier = settings.earlier_dir
        self._spool = spool
        self._reports = reports
        self._looked: float | None = None

    def look(self) -> None:
        """Remove what is due, at most every `SPOOL_LOOK_SECONDS`."""
        rules = self._settings
        if self._looked is None:
            self._spool.finish_removals(overwrite=rules.overwrite)
        if self._looked is not None and time.monotonic() - self._looked < SPOOL_LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        if rules.instance_days is None and rules.report_days is None:
            return
        unfinished = open_studies()
        if rules.instance_days is not None:
            for study in list(self._spool.arrivals()):
                due = study.changed + rules.instance_days * DAY_SECONDS
                if study.key in unfinished or not self._done(study):
                    continue
                if time.time() >= due:
                    self._spool.remove(study, overwrite=rules.overwrite)
                    log().info("instances removed", study=study.key)
        if rules.report_days is not None:
            held = {study.key for study in self._spool.arrivals()}
            for folder in list(self._reports.iterdir()):
                if folder.name == INDEX or not folder.is_dir():
                    continue
                if folder.name in unfinished | held:
                    continue
                newest = max((path.stat().st_mtime for path in folder.rglob("*")), default=0.0)
                if time.time() >= newest + rules.report_days * DAY_SECONDS:
                    ReportIndex(self._reports).forget(folder)
                    Withdrawals(self._spool.root.parent).forget(folder.name)
                    for name in (folder.name, f".{folder.name}"):
                        if (self._earlier / name).is_dir():
                            remove_tree(self._earlier / name, overwrite=rules.overwrite)
                    remove_tree(folder, overwrite=rules.overwrite)
                    log().info("reports removed", study=folder.name)

    def _done(self, study: ArrivedStudy) -> bool:
        """Whether a study was assessed after its last instance arrived, if it has any images."""
        if not study.series_keys:
            return True
        written = [
            path.stat().st_mtime for path in (self._reports / study.key).glob("*/report.json")
        ]
        return bool(written) and max(written) >= study.changed


def open_studies() -> set[str]:
    """Keys of the studies of which work is queued, runs, or failed and may be retried."""
    found = set()
    for status in DBOS.list_workflows(status=list(HOLDING_STATES), load_output=False):
        arguments = status.input["args"] if status.input else ()
        for argument in arguments:
            if isinstance(argument, dict) and "study" in argument:
                found.add(str(argument["study"]))
        if status.name.endswith(("assess_series", "reject")) and len(arguments) > 1:
            found.update(str(argument) for argument in arguments[:3] if isinstance(argument, str))
    return found
