"""The work on one series in hand: judged, fetched, assessed, its report sent."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dicom_node.archive.bookkeeping.screenings import ScreeningPlan
from dicom_node.archive.bookkeeping.series_rows import (
    MAX_CLAIMS,
    Due,
    Outcome,
    SeriesRow,
    SeriesRows,
    Stage,
    listed_text,
)
from dicom_node.archive.listed_header import judge
from dicom_node.archive.sources import SeriesIncomplete, SeriesSource, SourceUnavailable
from dicom_node.archive.work.manners import Manners
from dicom_node.archive.work.measured import (
    KeptReport,
    finished_report,
    kept_report,
    measured_series,
)
from dicom_node.errors import AssessmentFailed, DiskFault, ReportInvalid
from dicom_node.files import make_private_folder
from dicom_node.logs import log
from dicom_node.records.audit import AuditTrail
from dicom_node.reporting.objects.files import destination_files
from dicom_node.reporting.report_model import CaseReport, Refusal
from dicom_node.settings.node import Destination, NodeSettings
from dicom_node.uids import content_id
from dicom_node.work.assessment_pool import AssessmentPool
from dicom_node.work.delivery_steps import DeliverySteps

__all__ = ["SeriesWork", "WatchedSource"]

RETRY_SECONDS = 10.0
"""Pause before a series is tried again; each further attempt waits twice as long."""

LONGEST_PAUSE_SECONDS = 600.0
"""Longest pause before a series or a delivery is tried again."""

HISTORY = "series"
"""Folder of a series' reports in that of its own: series are not compared with one another, for
then a report would depend on the order of the work."""


class WatchedSource:
    """A source whose answers and failures are told to the manners.

    Parameters
    ----------
    source
        Many threads may use it.
    manners
        Learns whether the archive answers.
    """

    def __init__(self, source: SeriesSource, manners: Manners) -> None:
        self._source = source
        self._manners = manners

    @contextmanager
    def asked(self) -> Iterator[SeriesSource]:
        """Use the source.

        Raises
        ------
        SourceUnavailable
            It did not answer; the pause has begun.
        """
        try:
            yield self._source
        except SourceUnavailable as error:
            self._manners.failed(str(error), error.retry_after_seconds)
            raise
        self._manners.answered()

    def close(self) -> None:
        """End all connections."""
        self._source.close()


class SeriesWork:
    """The steps of one series; each may be done again after a crash.

    Parameters
    ----------
    settings
        Of the node.
    plan
        Of the screening.
    folder
        Folder of the screening, with ``reports`` in it.
    rows
        Where each step is recorded.
    source
        Where series come from.
    pool
        Where assessments run.
    audit
        Where what was assessed and sent is recorded.
    stop
        Set when the process is to end: what is interrupted then counts as no attempt.
    delivery, destination
        How and where reports are sent; None keeps them.
    """

    def __init__(
        self,
        settings: NodeSettings,
        plan: ScreeningPlan,
        folder: Path,
        rows: SeriesRows,
        source: WatchedSource,
        pool: AssessmentPool,
        audit: AuditTrail,
        stop: threading.Event,
        delivery: DeliverySteps | None = None,
        destination: Destination | None = None,
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._reports = folder / "reports"
        self._rows = rows
        self._source = source
        self._pool = pool
        self._audit = audit
        self._stop = stop
        self._delivery = delivery
        self._destination = destination

    def judge(self, rows: list[SeriesRow]) -> None:
        """Judge series by their headers; those that the source did not answer for are put back.

        Raises
        ------
        SourceUnavailable
            The source does not answer.
        """
        changes: list[tuple[SeriesRow, dict[str, Any]]] = []
        left = list(rows)
        try:
            with self._source.asked() as source:
                while left:
                    changes.append((left[0], self._judged(source, left[0])))
                    left.pop(0)
        finally:
            self._rows.record_all(changes)
            for row in left:
                self._rows.put_back(row)

    def _judged(self, source: SeriesSource, row: SeriesRow) -> dict[str, Any]:
        judged = judge(source, row.series, self._plan.wanted, self._settings.acquisition)
        known = listed_text(judged.series, judged.contrast)
        if judged.refusal is None:
            return {"stage": Stage.SCREENED, "due": Due.FETCH, "listed": known, "claims": 0}
        return {
            "due": None,
            "outcome": Outcome.EXCLUDED,
            "code": judged.refusal.code,
            "reason": str(judged.refusal),
            "listed": known,
        }

    def fetch_and_assess(self, row: SeriesRow, temporary: Path) -> None:
        """Fetch one series, assess it, and record the result.

        Parameters
        ----------
        row
            The series.
        temporary
            Folder of this attempt, which is removed at the end.

        Raises
        ------
        SourceUnavailable
            The source does not answer; the row is put back.
        DiskFault
            The disk is full; the row is put back.
        """
        if row.claims > MAX_CLAIMS:
            reason = f"taken up {MAX_CLAIMS} times without an end"
            self._rows.end(row, Outcome.FAILED, code="screening.interrupted", reason=reason)
            return
        study, folder = content_id(row.series.series_uid), "report"
        history = self._reports / study / HISTORY
        made = finished_report(history / folder)  # by an attempt that ended before its record
        try:
            if made is None and not self._assess(row, temporary, history / folder):
                return
        except (SourceUnavailable, DiskFault):
            self._rows.put_back(row)
            raise
        except SeriesIncomplete as error:
            self._try_again(row, Outcome.INCOMPLETE, error.code, str(error))
            return
        except AssessmentFailed as error:
            self._try_again(row, Outcome.FAILED, error.code, str(error))
            return
        except ReportInvalid as error:
            self._rows.end(row, Outcome.FAILED, code=error.code, reason=str(error))
            return
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        report = made or finished_report(history / folder)
        if report is None:
            self._try_again(row, Outcome.FAILED, DiskFault.code, "the report cannot be read")
            return
        self._conclude(row, report, f"{study}/{HISTORY}", folder)

    def _assess(self, row: SeriesRow, temporary: Path, out: Path) -> bool:
        """Fetch and assess; False if another runner has the series now."""
        make_private_folder(temporary)
        with self._source.asked() as source:
            instances = source.instances(row.series)
            if not instances:
                raise SeriesIncomplete("the source lists no instance of it any more")
            paths = source.fetch(row.series, instances, temporary)
        if not self._rows.record(row, stage=Stage.FETCHED):
            return False
        make_private_folder(out.parent)
        self._pool.assess(paths, out, out.parent)
        return True

    def _conclude(self, row: SeriesRow, report: CaseReport, study: str, folder: str) -> None:
        instances = row.series.instances or 0
        state = "refused" if isinstance(report, Refusal) else "reported"
        code = report.refused.code if report.refused is not None else None
        study_uid = report.study_uid or row.series.study_uid
        if isinstance(report, Refusal):
            reason = report.refused.message
            done = self._rows.end(
                row, Outcome.REFUSED, stage=Stage.ASSESSED, code=code, reason=reason
            )
        else:
            kept = kept_report(self._reports, study, folder, study_uid)
            values = {
                "measured": measured_series(report).model_dump_json(exclude_none=False),
                "report": kept.model_dump_json(),
                "code": None,
                "reason": None,
            }
            if self._destination is None:
                done = self._rows.end(row, Outcome.REPORTED, stage=Stage.REPORTED, **values)
            else:
                done = self._rows.advance(row, Stage.ASSESSED, Due.SEND, **values)
        if done:
            log().info("assessed" if code is None else "refused", assessment=study, code=code)
            self._audit.assessed(study_uid, study, state, code, instances)

    def send(self, row: SeriesRow) -> None:
        """Send the report of one series to the screening's destination."""
        assert self._delivery is not None
        assert self._destination is not None
        assert row.report is not None
        kept = KeptReport.model_validate_json(row.report)
        place = {"identity": kept.study, "study": kept.study, "study_uid": kept.study_uid}
        for name in destination_files(self._destination):
            if name not in kept.files:
                continue
            sent = {**place, "folder": kept.folder, "file": name, "sha256": kept.files[name]}
            result = self._delivery.send(sent, self._destination, row.attempts + 1)
            if result["state"] == "delivered":
                continue
            values = {"code": result["code"], "reason": result["reason"]}
            more = row.attempts + 1 < self._destination.max_attempts
            if result["state"] == "retrying" and more:
                first, factor = self._destination.retry_seconds, self._destination.retry_backoff
                pause = min(first * factor ** min(row.attempts, 50), LONGEST_PAUSE_SECONDS)
                self._rows.retry(row, pause, **values)
            else:
                self._rows.end(row, Outcome.UNDELIVERED, **values)
            return
        self._rows.end(row, Outcome.REPORTED, stage=Stage.REPORTED, code=None, reason=None)

    def _try_again(self, row: SeriesRow, outcome: Outcome, code: str, reason: str) -> None:
        """Give a series back for another attempt, or with its outcome after the last one."""
        if self._stop.is_set():
            self._rows.put_back(row)
            return
        log().warning("attempt failed", series=str(row.id), code=code, reason=reason)
        if row.attempts + 1 < self._settings.limits.attempts:
            pause = min(RETRY_SECONDS * 2**row.attempts, LONGEST_PAUSE_SECONDS)
            self._rows.retry(row, pause, code, reason)
        elif self._rows.end(row, outcome, code=code, reason=reason):
            self._audit.assessed(
                row.series.study_uid, content_id(row.series.series_uid), "failed", code, 0
            )
