"""Lists the series of an archive study by study, and parts questions with too many answers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Protocol

from dicom_node.archive.answers import (
    Answer,
    listed_series,
    series_wanted,
    stated,
    study_wanted,
)
from dicom_node.archive.sources import (
    ListedSeries,
    ListingIncomplete,
    SeriesFilter,
    SeriesIncomplete,
)

__all__ = ["MAX_LISTED_INSTANCES", "ArchiveIndex", "Found", "list_series", "whole_listing"]

SECONDS_OF_DAY = 24 * 60 * 60

MAX_LISTED_INSTANCES = 100_000
"""Answers that are taken to a question for the instances of one series."""

MOST_DAYS_NAMED = 5
"""Days that a message names; all are in `ListingIncomplete.days`."""


@dataclass(frozen=True)
class Found:
    """Answers to one question.

    Parameters
    ----------
    answers
        One for each study, series or instance.
    cut
        Whether the archive may know more than these.
    """

    answers: Sequence[Answer]
    cut: bool


class ArchiveIndex(Protocol):
    """What an archive is asked, whatever it speaks; conditions are values by keyword."""

    def studies(self, conditions: Mapping[str, str]) -> Found:
        """Ask for the studies that meet all conditions."""
        ...

    def series(self, study_uid: str, conditions: Mapping[str, str]) -> Found:
        """Ask for the series of a study."""
        ...


@dataclass(frozen=True)
class Span:
    """Days, or seconds of one day, both ends included."""

    first: date
    last: date
    from_second: int = 0
    to_second: int = SECONDS_OF_DAY - 1

    @property
    def whole_days(self) -> bool:
        """Whether it has no part of a day."""
        return self.to_second - self.from_second == SECONDS_OF_DAY - 1

    @property
    def conditions(self) -> dict[str, str]:
        """As range matching has them (PS3.4, C.2.2.2.5)."""
        days = f"{self.first:%Y%m%d}"
        if self.last != self.first:
            days += f"-{self.last:%Y%m%d}"
        if self.whole_days:
            return {"StudyDate": days}
        times = f"{_clock(self.from_second)}-{_clock(self.to_second)}.999999"
        return {"StudyDate": days, "StudyTime": times}

    def holds(self, study: Answer) -> bool:
        """Whether a study lies within; what it does not state does."""
        day, time = stated(study, "StudyDate"), stated(study, "StudyTime")
        if day is not None and not f"{self.first:%Y%m%d}" <= day <= f"{self.last:%Y%m%d}":
            return False
        if time is None or self.whole_days:
            return True
        return _clock(self.from_second) <= time[:6].ljust(6, "0") <= _clock(self.to_second)

    def halves(self) -> tuple["Span", "Span"] | None:
        """Two spans without overlap; None for a second, which has no parts."""
        days = (self.last - self.first).days
        if days:
            middle = self.first + timedelta(days=days // 2)
            return replace(self, last=middle), replace(self, first=middle + timedelta(days=1))
        if self.from_second == self.to_second:
            return None
        second = (self.from_second + self.to_second) // 2
        return replace(self, to_second=second), replace(self, from_second=second + 1)


def list_series(index: ArchiveIndex, wanted: SeriesFilter) -> Iterator[ListedSeries]:
    """List the series that a filter lets through, each once; checked here on what comes back.

    Raises
    ------
    SourceUnavailable
        The archive cannot be asked.
    ListingIncomplete
        Behind the last series: there are days with more studies than the archive lists, or studies
        of which it lists no series or not all.
    """
    conditions = {
        "StudyInstanceUID": wanted.study_uid,
        "AccessionNumber": wanted.accession,
        "PatientID": wanted.patient_id,
        "ModalitiesInStudy": wanted.modality,
    }
    asked = {key: value for key, value in conditions.items() if value is not None}
    if any("\\" in value for value in asked.values()):
        return  # no value of DICOM holds what parts values
    seen: set[str] = set()
    faults: list[ListingIncomplete] = []
    for study in _studies(index, asked, wanted.dates):
        uid = stated(study, "StudyInstanceUID")
        if uid is not None and uid not in seen and study_wanted(study, wanted):
            seen.add(uid)
            try:
                yield from _series(index, study, uid, wanted)
            except ListingIncomplete as error:
                faults.append(error)
    if faults:
        more = f" (and {len(faults) - 1} other studies)" if len(faults) > 1 else ""
        passing = any(fault.may_pass for fault in faults)
        raise ListingIncomplete(f"{faults[0]}{more}", may_pass=passing)


def whole_listing(found: Found, series: ListedSeries) -> tuple[str, ...]:
    """SOP Instance UIDs of a series, each once, by Instance Number where that is stated.

    Parameters
    ----------
    found
        Answers to the question for its instances.
    series
        As listed.

    Raises
    ------
    SeriesIncomplete
        The archive lists fewer instances than it says that the series has; or it does not say how
        many, and its answers may have been cut.
    """

    def number(answer: Answer) -> int:
        try:
            return int(stated(answer, "InstanceNumber") or "")
        except ValueError:
            return 0

    uids = (stated(answer, "SOPInstanceUID") for answer in sorted(found.answers, key=number))
    listed = tuple(dict.fromkeys(uid for uid in uids if uid is not None))
    known = series.instances
    if len(listed) < (known or 0) or (found.cut and known is None):
        of = "an unknown number of" if known is None else str(known)
        raise SeriesIncomplete(f"the archive lists {len(listed)} of {of} instances")
    return listed


def _series(
    index: ArchiveIndex, study: Answer, study_uid: str, wanted: SeriesFilter
) -> Iterator[ListedSeries]:
    """The series of one study that the filter lets through, each once."""
    asked = {} if wanted.series_uid is None else {"SeriesInstanceUID": wanted.series_uid}
    found = index.series(study_uid, asked)
    series = {
        one.series_uid: one
        for one in (listed_series(study, answer) for answer in found.answers)
        if series_wanted(one, wanted)
    }
    yield from series.values()
    if not found.answers and not asked:  # as while an archive starts or ends
        raise ListingIncomplete("the archive lists a study and none of its series", may_pass=True)
    if found.cut:
        raise ListingIncomplete(
            f"a study has {len(found.answers)} series or more: raise max_answers of the archive"
        )


def _studies(
    index: ArchiveIndex, asked: Mapping[str, str], dates: tuple[date, date] | None
) -> Iterator[Answer]:
    if dates is not None:
        yield from _parted(lambda span: index.studies({**asked, **span.conditions}), Span(*dates))
        return
    found = index.studies(asked)
    yield from found.answers
    if found.cut:
        raise ListingIncomplete(
            f"the archive has {len(found.answers)} studies or more for one question without dates: "
            "give a range of dates, or raise max_answers of the archive"
        )


def _parted(ask: Callable[[Span], Found], whole: Span) -> Iterator[Answer]:
    """Ask for a span, and for its halves instead where the answers were cut."""
    unparted: dict[str, None] = {}
    spans = [whole]
    while spans:
        span = spans.pop()
        found = ask(span)
        halves = None
        if found.cut:
            ignored = not all(span.holds(answer) for answer in found.answers)
            halves = None if ignored else span.halves()
            days_only = span.first != span.last
            timeless = any(stated(answer, "StudyTime") is None for answer in found.answers)
            if halves is None or (timeless and not days_only):
                unparted.update(dict.fromkeys(_days(span)))
        if halves is None:
            yield from found.answers
            continue
        # those without a time are in no part of a day
        yield from (a for a in found.answers if stated(a, "StudyTime") is None)
        spans.extend(reversed(halves))
    if unparted:
        days = tuple(unparted)
        named = ", ".join(days[:MOST_DAYS_NAMED]) + (" ..." if len(days) > MOST_DAYS_NAMED else "")
        raise ListingIncomplete(
            f"studies may be missing of {len(days)} days that the archive does not list in parts "
            f"({named}): raise max_answers of the archive, or list their accession numbers",
            days,
        )


def _days(span: Span) -> Iterator[str]:
    for day in range((span.last - span.first).days + 1):
        yield f"{span.first + timedelta(days=day):%Y%m%d}"


def _clock(second: int) -> str:
    return f"{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}"
