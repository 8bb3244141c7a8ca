"""An archive that is asked by QIDO-RS and sends by WADO-RS."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from urllib3.exceptions import HTTPError

from dicom_node.archive.answers import (
    SERIES_KEYS,
    STUDY_KEYS,
    Answer,
    answer_of_json,
    stated,
)
from dicom_node.archive.arrivals import Arrivals, TooMuch
from dicom_node.archive.http_session import ArchiveSession, HttpRefused, read_steadily
from dicom_node.archive.listing import MAX_LISTED_INSTANCES, Found, list_series, whole_listing
from dicom_node.archive.multipart import MultipartBroken, MultipartReader, boundary_of
from dicom_node.archive.slots import ConnectionSlots
from dicom_node.archive.sources import (
    ListedSeries,
    ListingIncomplete,
    SeriesFilter,
    SeriesIncomplete,
    SourceUnavailable,
)
from dicom_node.errors import DiskFault
from dicom_node.settings.archives import Archive, DicomwebArchive

__all__ = ["DicomwebSource"]

SHORT_PAGE = 100
"""A page with fewer answers is the last one: no archive is known that gives fewer at a time."""

ANY_DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
"""Files as the archive holds them (PS3.18, 8.7.3.5.2): it need not decode."""

NOT_FOUND = 404


class DicomwebSource:
    """A `SeriesSource` that speaks DICOMweb.

    Parameters
    ----------
    archive
        With a section ``dicomweb``.
    peer
        That section.
    slots
        How many connections may be used.

    Raises
    ------
    SettingsInvalid
        A certificate, key or CA cannot be used.
    """

    def __init__(self, archive: Archive, peer: DicomwebArchive, slots: ConnectionSlots) -> None:
        self._archive = archive
        self._url = peer.url.rstrip("/")
        self._session = ArchiveSession(archive, peer)
        self._slots = slots
        self._client = DICOMwebClient(self._url, session=self._session, permissive_uid=True)
        self._client.set_http_retry_params(retry=False)

    def find(self, wanted: SeriesFilter) -> Iterator[ListedSeries]:
        """List the series that a filter lets through, as `SeriesSource.find`."""
        return list_series(self, wanted)

    def studies(self, conditions: Mapping[str, str]) -> Found:
        """Ask for studies, as `ArchiveIndex.studies`."""
        most = self._archive.max_answers * 20
        return self._pages("StudyInstanceUID", STUDY_KEYS, conditions, "", most)

    def series(self, study_uid: str, conditions: Mapping[str, str]) -> Found:
        """Ask for the series of a study, as `ArchiveIndex.series`."""
        most = self._archive.max_answers * 20
        return self._pages("SeriesInstanceUID", SERIES_KEYS, conditions, study_uid, most)

    def instances(self, series: ListedSeries) -> tuple[str, ...]:
        """SOP Instance UIDs of a series, each once, by Instance Number.

        Raises
        ------
        SourceUnavailable
            The archive cannot be asked.
        SeriesIncomplete
            As for `whole_listing`.
        """
        found = self._pages(
            "SOPInstanceUID",
            ("SOPInstanceUID", "InstanceNumber"),
            {},
            series.study_uid,
            MAX_LISTED_INSTANCES,
            series.series_uid,
        )
        return whole_listing(found, series)

    def header(self, series: ListedSeries, instances: Sequence[str]) -> Dataset | None:
        """Header of the instance in the middle, from its metadata; None if there is none.

        Raises
        ------
        SourceUnavailable
            The archive cannot be asked.
        """
        if not instances:
            return None
        middle = instances[len(instances) // 2]
        path = f"series/{series.series_uid}/instances/{middle}/metadata"
        try:
            with self._slots.taken():
                response = self._session.get(
                    f"{self._url}/studies/{series.study_uid}/{path}",
                    headers={"Accept": "application/dicom+json"},
                )
            [item] = response.json()
            header = _dataset(item)
        except (HttpRefused, ValueError, TypeError):
            return None
        return header if header.get("SOPInstanceUID") == middle else None

    def fetch(self, series: ListedSeries, instances: Sequence[str], folder: Path) -> list[Path]:
        """Write exactly these instances into a folder, as `SeriesSource.fetch`."""
        arrivals = Arrivals(series, instances, folder)
        if not instances:
            return []
        with self._slots.taken():
            try:
                response = self._session.get(
                    f"{self._url}/studies/{series.study_uid}/series/{series.series_uid}",
                    headers={"Accept": ANY_DICOM},
                    stream=True,
                )
            except HttpRefused as refused:
                return arrivals.files(str(refused))
            with response:
                said = self._take(response, arrivals)
        if said is None:
            return arrivals.files("the answer was whole")
        arrivals.files(said)
        raise SeriesIncomplete(arrivals.counted(said))

    def close(self) -> None:
        """End all connections; a later question opens them again."""
        self._session.close()

    def _take(self, response: requests.Response, arrivals: Arrivals) -> str | None:
        """Write the parts of an answer; returns what is wrong with it, or None."""
        boundary = boundary_of(response.headers.get("Content-Type", ""))
        if boundary is None:
            return "the answer is not multipart/related"
        pieces = read_steadily(response.raw, self._archive.timeout_seconds)
        reader = MultipartReader(lambda: next(pieces, b""), boundary)
        try:
            while reader.next_part():
                file = arrivals.open()
                try:
                    reader.copy(file.write)
                except BaseException:
                    file.discard()
                    raise
                file.finish()
        except (MultipartBroken, TooMuch) as error:
            return str(error)
        except TimeoutError:
            return "then nothing more came in time"
        except HTTPError:
            return "then the connection broke"
        except OSError as error:
            if arrivals.fault is not None:
                raise DiskFault(f"an instance was not written ({error.strerror})") from error
            return "then the connection broke"
        return None

    def _pages(
        self,
        unique: str,
        keys: Sequence[str],
        conditions: Mapping[str, str],
        study_uid: str,
        most: int,
        series_uid: str = "",
    ) -> Found:
        """Ask page by page, until one has nothing new.

        Parameters
        ----------
        unique
            Keyword of the UID that tells answers apart.
        keys
            What is asked for.
        conditions
            As for `ArchiveIndex`.
        study_uid, series_uid
            Of what the question is; empty for all.
        most
            Answers after which no more are asked for.
        """
        found: dict[str, Answer] = {}
        limit, asked = self._archive.max_answers, 0
        while True:
            page = self._page(keys, conditions, study_uid, series_uid, limit, asked)
            asked += len(page)
            before = len(found)
            for answer in page:
                found.setdefault(stated(answer, unique) or "", answer)
            if len(found) == before:  # none are left, or the archive ignores where a page begins
                return Found(list(found.values()), cut=bool(page))
            if len(page) < min(limit, SHORT_PAGE):
                return Found(list(found.values()), cut=False)
            if len(found) >= most:
                return Found(list(found.values()), cut=True)

    def _page(
        self,
        keys: Sequence[str],
        conditions: Mapping[str, str],
        study_uid: str,
        series_uid: str,
        limit: int,
        offset: int,
    ) -> list[Answer]:
        asked: dict[str, Any] = {
            "limit": limit,
            "offset": offset,
            "fields": list(keys),
            "search_filters": dict(conditions),
        }
        try:
            with self._slots.taken():
                if series_uid:
                    items = self._client.search_for_instances(study_uid, series_uid, **asked)
                elif study_uid:
                    items = self._client.search_for_series(study_uid, **asked)
                else:
                    items = self._client.search_for_studies(**asked)
        except HttpRefused as refused:
            if refused.status == NOT_FOUND and study_uid:
                return []
            if keys:  # an archive may fail to look up a key, as of a file that it has lost
                return self._page((), conditions, study_uid, series_uid, limit, offset)
            self._refused(refused, series_uid)
        except ValueError as error:  # no JSON, such as a page with an error
            raise SourceUnavailable(
                f"{self._archive.name} answered a search with something that is not DICOM JSON"
            ) from error
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise SourceUnavailable(f"{self._archive.name} answered a search with no list")
        return [answer_of_json(item) for item in items]

    def _refused(self, refused: HttpRefused, series_uid: str) -> NoReturn:
        """Raise what a search means that was answered with an error."""
        said = f"{self._archive.name} answered a search with {refused}"
        try:
            with self._slots.taken():
                self._client.search_for_studies(limit=1, offset=0)
        except (HttpRefused, ValueError):
            raise SourceUnavailable(f"{said}; is url its root?") from None
        if series_uid:
            raise SeriesIncomplete(said) from None
        raise ListingIncomplete(f"{said}, and any other search as it should") from None


def _dataset(item: Mapping[str, Any]) -> Dataset:
    """A data set from its DICOM JSON; values elsewhere, and such that are no values, are left out.

    Raises
    ------
    ValueError, TypeError
        It is none.
    """
    header = Dataset()
    for tag, element in item.items():
        try:
            if "BulkDataURI" in element or "InlineBinary" in element:
                continue
            header.add(
                DataElement.from_json(
                    Dataset, tag, element["vr"], element.get("Value"), "Value", None
                )
            )
        except Exception:  # an archive may send anything
            continue
    return header
