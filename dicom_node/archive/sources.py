"""What a screening asks of a folder or an archive, whatever it speaks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

from pydicom.dataset import Dataset

from dicom_node.errors import OperationalError

__all__ = [
    "ListedSeries",
    "ListingIncomplete",
    "SeriesFilter",
    "SeriesIncomplete",
    "SeriesSource",
    "SourceUnavailable",
]


class SourceUnavailable(OperationalError):
    """An archive or folder that cannot be asked now; the same question may be answered later.

    Parameters
    ----------
    message
        What was found.
    retry_after_seconds
        When the source wants to be asked again, if it says so, seconds from now.
    """

    code = "archive.unavailable"

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class SeriesIncomplete(OperationalError):
    """A series of which not exactly the listed instances came."""

    code = "archive.incomplete"


class ListingIncomplete(OperationalError):
    """An archive that works does not answer a question in full, and nothing smaller can be asked.

    Parameters
    ----------
    message
        What was found, and what to ask instead.
    days
        The days, as YYYYMMDD, of which studies may be missing; empty if no dates were asked for.
    may_pass
        Whether the archive may answer in full when it is asked again.
    """

    code = "archive.listing_incomplete"

    def __init__(self, message: str, days: Sequence[str] = (), *, may_pass: bool = False) -> None:
        super().__init__(message)
        self.days = tuple(days)
        self.may_pass = may_pass


@dataclass(frozen=True)
class SeriesFilter:
    """Which series are wanted; what is None narrows nothing.

    Parameters
    ----------
    study_uid, series_uid, accession, patient_id
        Each exactly.
    dates
        First and last study date.
    modality
        Of the series.
    body_part
        Body Part Examined.
    ages_years
        Least and greatest age at the study, years.
    """

    study_uid: str | None = None
    series_uid: str | None = None
    accession: str | None = None
    patient_id: str | None = None
    dates: tuple[date, date] | None = None
    modality: str | None = "CT"
    body_part: str | None = None
    ages_years: tuple[float, float] | None = None


@dataclass(frozen=True)
class ListedSeries:
    """A series as its source lists it; what the source does not say is None: unknown.

    Parameters
    ----------
    study_uid, series_uid
        Study and Series Instance UID.
    accession, patient_id, study_date, sex, modality, body_part, manufacturer, model, kernel
        As stated; ``study_date`` as YYYYMMDD.
    age_years
        At the study, years.
    kvp
        Tube voltage, kV.
    slice_thickness_mm
        mm.
    image_type
        Values of Image Type.
    instances
        Number of instances.
    """

    study_uid: str
    series_uid: str
    accession: str | None = None
    patient_id: str | None = None
    study_date: str | None = None
    age_years: float | None = None
    sex: str | None = None
    modality: str | None = None
    body_part: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    kernel: str | None = None
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    image_type: tuple[str, ...] | None = None
    instances: int | None = None


class SeriesSource(Protocol):
    """Lists series, shows their headers and fetches them.

    Every method raises `SourceUnavailable` where the source cannot be asked now.
    """

    def find(self, wanted: SeriesFilter) -> Iterator[ListedSeries]:
        """List the series that a filter lets through, each once.

        A condition that the source cannot check, or does not state the value for, lets through;
        only UIDs, accession number and patient ID must be stated where they are asked for.

        Raises
        ------
        ListingIncomplete
            Behind the last series: some days have more studies than the source lists.
        """
        ...

    def instances(self, series: ListedSeries) -> tuple[str, ...]:
        """SOP Instance UIDs of a series, each once."""
        ...

    def header(self, series: ListedSeries, instances: Sequence[str]) -> Dataset | None:
        """Header without pixels of an instance in the middle; None if the source gives none."""
        ...

    def fetch(self, series: ListedSeries, instances: Sequence[str], folder: Path) -> list[Path]:
        """Write exactly these instances into an empty folder, a file each.

        Raises
        ------
        SeriesIncomplete
            Others came, one is missing, or the transfer ended before its end; the message counts
            them. What came may lie in the folder.
        """
        ...

    def close(self) -> None:
        """End all connections; a later question opens them again."""
        ...
