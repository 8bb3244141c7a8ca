"""The questions of a screening are asked, and what is found gets its rows."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from dicom_node.archive.bookkeeping.screenings import Question, Screening, Screenings
from dicom_node.archive.bookkeeping.series_rows import Outcome, SeriesRows
from dicom_node.archive.folder_source import FolderSource
from dicom_node.archive.sources import (
    ListedSeries,
    ListingIncomplete,
    SeriesFilter,
    SeriesSource,
    SourceUnavailable,
)
from dicom_node.archive.work.series_work import WatchedSource
from dicom_node.logs import log

__all__ = ["Asking"]

LISTED_AT_ONCE = 500
"""Series that are recorded together."""

REPEATS = 3
"""So often a question is asked again of which the answer may have been cut short for once."""

REPEAT_SECONDS = 10.0
"""Pause before that, in which an archive that died may have begun to start."""

PATIENTS_KEPT = 2
"""So many patients of one accession are enough to call it ambiguous."""


class Asking:
    """Asks one question after the other.

    Parameters
    ----------
    screenings, screening
        Whose questions.
    rows
        Where the series are listed.
    source
        What is asked.
    runner
        Id of the runner.
    """

    def __init__(
        self,
        screenings: Screenings,
        screening: Screening,
        rows: SeriesRows,
        source: WatchedSource,
        runner: str,
    ) -> None:
        self._screenings = screenings
        self._screening = screening
        self._rows = rows
        self._source = source
        self._runner = runner
        self._repeated: Counter[int] = Counter()

    def ask_next(self) -> bool:
        """Ask the next question; False if none is open for this runner.

        Raises
        ------
        SourceUnavailable
            The source did not answer; the question stays open.
        """
        question = self._screenings.claim_question(self._screening, self._runner)
        if question is None:
            return False
        try:
            self.list_question(question)
        except SourceUnavailable:
            self._screenings.ask_later(question, 0.0)
            raise
        except ListingIncomplete as error:
            if error.may_pass and self._repeated[question.id] < REPEATS:
                self._repeated[question.id] += 1
                self._screenings.ask_later(question, REPEAT_SECONDS)
                return True
            self._rows.add_unfound(question, Outcome.INCOMPLETE, error.code, str(error))
        self._screenings.answered(question)
        return True

    def list_question(self, question: Question) -> None:
        """Ask one question and list what is found.

        Raises
        ------
        SourceUnavailable
            The source did not answer; what it listed before is kept.
        ListingIncomplete
            The source lists no more, though it may have more.
        """
        with self._source.asked() as source:
            self._list(source, question)
            if isinstance(source, FolderSource):
                self._screenings.note_unreadable(self._screening, source.unreadable)

    def _list(self, source: SeriesSource, question: Question) -> None:
        wanted = question.wanted
        if not _is_named(wanted):
            for batch in _in_batches(source.find(wanted)):
                self._rows.add(question, batch)
            return
        found = list(source.find(wanted))
        if not found and wanted.modality is not None:
            # to say of another modality what it is, and not that it is unknown
            found = list(source.find(replace(wanted, modality=None)))
        patients = {series.patient_id for series in found} - {None}
        if wanted.accession is not None and len(patients) >= PATIENTS_KEPT:
            reason = f"the accession number stands for {len(patients)} patients in the source"
            log().warning("ambiguous", code="list.ambiguous", reason=reason)
            self._rows.add_unfound(question, Outcome.AMBIGUOUS, "list.ambiguous", reason)
        elif found:
            self._rows.add(question, found)
        else:
            reason = "the source knows nothing under this row's identifiers"
            self._rows.add_unfound(question, Outcome.UNKNOWN, "list.unknown", reason)


def _is_named(wanted: SeriesFilter) -> bool:
    """Whether a question is a row of a list, of which an answer is expected."""
    names = (wanted.accession, wanted.study_uid, wanted.series_uid, wanted.patient_id)
    return any(name is not None for name in names)


def _in_batches(found: Iterator[ListedSeries]) -> Iterator[list[ListedSeries]]:
    batch = []
    for series in found:
        batch.append(series)
        if len(batch) == LISTED_AT_ONCE:
            yield batch
            batch = []
    yield batch
