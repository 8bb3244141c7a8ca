"""Which studies are complete: nothing more arrives, no slice is missing, the patient is one."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from dbos import error as dbos_error

from dicom_node.errors import OperationalError, QueryFailed
from dicom_node.logs import log
from dicom_node.sending.pacs_query import PacsQuery
from dicom_node.series.instances import sender_of
from dicom_node.series.survey import SeriesSurvey, StudySurvey
from dicom_node.settings.node import NodeSettings
from dicom_node.spool.spool import ArrivedStudy, Spool, SpooledStudy
from dicom_node.study_facts import StudyHeader
from dicom_node.work.assessment_pool import SURVEY_PROCESSES, AssessmentPool
from dicom_node.work.complete_study import CompleteStudy, complete_study, doubts
from dicom_node.work.turns import in_turns
from roi_extraction.anatomy import Finding

__all__ = ["Arrivals", "missing"]

LOOK_AGAIN_SECONDS = 5.0
"""Pause between two looks at a study that waits for instances."""


@dataclass
class _Waiting:
    """A study that was looked at: what was missing, and when it is looked at again.

    ``sender`` is the AE title that its newest instance came from; ``reading`` is a survey
    under way, with the content that it is of.
    """

    changed: float
    sender: str = ""
    survey: StudySurvey | None = None
    findings: tuple[Finding, ...] = ()
    ready: bool = False
    again: float = 0.0
    reading: "tuple[SpooledStudy, Future[StudySurvey]] | None" = None


class Arrivals:
    """Hands over each study once it is complete, or once it has waited long enough.

    Headers are read by children while this goes on, `SURVEY_PROCESSES` studies at a time; senders
    take turns.

    The spool remembers which studies are not settled. If the process dies after it handed a study
    over and before it settled it, the study is handed over again and recognised by its identity.

    Parameters
    ----------
    settings
        Of the node.
    spool
        Where the received instances lie.
    pool
        Where headers are read.
    query
        The PACS that is asked how many instances a series has, or None.
    hand_over
        Takes a study, what its report must warn of, when its last instance arrived, in seconds
        since the epoch, and the AE title that it came from.
    waits
        Takes the key of a study that waits, whose it is, when its last instance arrived, and what
        is missing; each time that this changes.
    """

    def __init__(
        self,
        settings: NodeSettings,
        spool: Spool,
        pool: AssessmentPool,
        query: PacsQuery | None,
        hand_over: Callable[[CompleteStudy, Sequence[Finding], float, str], None],
        waits: Callable[[str, StudyHeader, float, Sequence[Finding]], None],
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._pool = pool
        self._query = query
        self._hand_over = hand_over
        self._tell_waiting = waits
        self._waiting: dict[str, _Waiting] = {}
        self._surveys: list[Future[StudySurvey]] = []

    def look(self) -> None:
        """Look once at all studies that are not settled, those that were quiet longest first."""
        unsettled = sorted(self._spool.unsettled(), key=lambda study: study.changed)
        quiet = [
            study
            for study in unsettled
            if time.time() - study.changed >= self._settings.quiet_seconds
        ]
        for study in in_turns(quiet, lambda study: self._waits(study).sender):
            self._consider(study)
        for gone in self._waiting.keys() - {study.key for study in unsettled}:
            del self._waiting[gone]

    def _waits(self, study: ArrivedStudy) -> _Waiting:
        """What is known of a study as it is now."""
        waiting = self._waiting.get(study.key)
        if waiting is None or waiting.changed != study.changed:
            waiting = self._waiting[study.key] = _Waiting(study.changed, self._sender(study))
        return waiting

    def _sender(self, study: ArrivedStudy) -> str:
        newest = max(
            (path for path in self._paths(self._spool.load(study))),
            key=lambda path: path.stat().st_mtime_ns,
            default=None,
        )
        return "" if newest is None else sender_of(newest)

    def _paths(self, study: SpooledStudy) -> list[Path]:
        paths = [
            path for series in study.series for path in self._spool.paths(series.key, series.names)
        ]
        for folder in study.segmentations:
            paths += self._spool.segmentation_paths(folder.key, folder.names)
        return paths

    def _consider(self, study: ArrivedStudy) -> None:
        waiting = self._waits(study)
        if time.monotonic() < waiting.again:
            return
        content = self._spool.load(study)
        if not waiting.ready and content.series:
            lacks = self._lacks(content, waiting)
            if lacks is None:  # not known yet
                return
            waited = time.time() - study.changed
            held = waiting.survey is not None and bool(waiting.survey.membership.conflicting)
            if lacks and not held and waited < self._settings.max_wait_seconds:
                if lacks != waiting.findings:
                    log().info("waiting", study=study.key, reason=_words(lacks))
                    header = StudyHeader() if waiting.survey is None else waiting.survey.header
                    self._tell_waiting(study.key, header, study.changed, lacks)
                waiting.findings = lacks
                waiting.again = time.monotonic() + LOOK_AGAIN_SECONDS
                return
            if lacks:
                log().warning("assessed as it is", study=study.key, reason=_words(lacks))
            waiting.findings, waiting.ready = lacks, True
        if content.series:
            try:
                complete = complete_study(content, waiting.survey)
                self._hand_over(complete, waiting.findings, study.changed, waiting.sender)
            except dbos_error.DBOSQueueDeduplicatedError:  # still busy with what it was before
                waiting.again = time.monotonic() + self._settings.poll_seconds
                return
        del self._waiting[study.key]
        self._spool.settle(study)

    def _lacks(self, study: SpooledStudy, waiting: _Waiting) -> tuple[Finding, ...] | None:
        """What is missing from a study; None while its files are being read.

        They are read once, for a change makes the study wait anew.
        """
        if waiting.survey is None:
            if waiting.reading is None or waiting.reading[0] != study:
                self._surveys = [future for future in self._surveys if not future.done()]
                if len(self._surveys) >= SURVEY_PROCESSES:
                    return None
                waiting.reading = study, self._pool.survey(self._paths(study))
                self._surveys.append(waiting.reading[1])
            future = waiting.reading[1]
            if not future.done():
                return None
            waiting.reading = None
            try:
                waiting.survey = future.result()
            except OperationalError as error:
                log().warning("survey failed", study=study.key, reason=str(error))
                text = "the files could not be looked through for missing slices and other patients"
                return (Finding("input.not_surveyed", text),)
        surveyed = waiting.survey.series
        counts: dict[str, int] = {}
        unchecked: list[Finding] = []
        if self._query is not None:
            for study_uid in sorted({series.study_uid for series in surveyed}):
                try:
                    counts |= self._query.instance_counts(study_uid)
                except QueryFailed as error:
                    log().warning("count not checked", study=study.key, reason=str(error))
                    text = "the PACS did not answer how many instances the series have"
                    unchecked = [Finding("input.count_unchecked", text)]
        return (*doubts(waiting.survey.membership), *missing(surveyed, counts), *unchecked)


def missing(surveyed: Sequence[SeriesSurvey], counts: dict[str, int]) -> list[Finding]:
    """What is missing from the series of a study, by their slices and by the PACS's counts.

    Parameters
    ----------
    surveyed
        The series, by the headers of their files in the spool.
    counts
        Number of instances by series UID, as the PACS says; a series that it does not name is
        not compared.

    Returns
    -------
    list of Finding
        At most one a series: ``input.incomplete`` or ``input.gap``.
    """
    found = []
    for series in surveyed:
        expected = counts.get(series.series_uid)
        if expected is not None and series.instances < expected:
            found.append(
                Finding(
                    "input.incomplete",
                    f"{series.instances} of {expected} instances of the series were received",
                )
            )
        elif series.gap:
            found.append(Finding("input.gap", series.gap))
    return found


def _words(findings: Sequence[Finding]) -> str:
    return "; ".join(f"{finding.message} [{finding.code}]" for finding in findings)
