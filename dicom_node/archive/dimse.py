"""An archive that is asked by C-FIND and sends by C-GET or C-MOVE (Study Root)."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from dicom_node.archive.answers import SERIES_KEYS, STUDY_KEYS
from dicom_node.archive.arrivals import Arrivals
from dicom_node.archive.associations import MAX_PDU_BYTES, Associations, identifier
from dicom_node.archive.instance_stream import (
    FETCHED_CLASSES,
    FETCHED_SYNTAXES,
    InstanceStream,
    pass_on_end,
)
from dicom_node.archive.listing import MAX_LISTED_INSTANCES, Found, list_series, whole_listing
from dicom_node.archive.move_door import MoveDoor
from dicom_node.archive.slots import ConnectionSlots
from dicom_node.archive.sources import (
    ListedSeries,
    SeriesFilter,
    SeriesIncomplete,
    SourceUnavailable,
)
from dicom_node.receiving.pdu_reader import receive_requested
from dicom_node.receiving.store_messages import FragmentReader
from dicom_node.receiving.store_service import MessageLink
from dicom_node.sending.delivery import PLAIN_SYNTAXES
from dicom_node.sending.statuses import MOVE_DESTINATION_UNKNOWN
from dicom_node.settings.archives import Archive, DimseArchive

__all__ = ["DimseSource"]

GET = StudyRootQueryRetrieveInformationModelGet
MOVE = StudyRootQueryRetrieveInformationModelMove


class DimseSource:
    """A `SeriesSource` that speaks DIMSE.

    Parameters
    ----------
    archive
        With a section ``dimse``.
    peer
        That section.
    calling_ae
        AE title of this node.
    slots
        How many associations may be used.
    """

    def __init__(
        self, archive: Archive, peer: DimseArchive, calling_ae: str, slots: ConnectionSlots
    ) -> None:
        self._archive = archive
        self._peer = peer
        self._associations = Associations(archive, peer, calling_ae, slots)
        self._door = MoveDoor(archive, peer)

    def find(self, wanted: SeriesFilter) -> Iterator[ListedSeries]:
        """List the series that a filter lets through, as `SeriesSource.find`."""
        return list_series(self, wanted)

    def studies(self, conditions: Mapping[str, str]) -> Found:
        """Ask for studies, as `ArchiveIndex.studies`."""
        return self._associations.find("STUDY", {**dict.fromkeys(STUDY_KEYS, ""), **conditions})

    def series(self, study_uid: str, conditions: Mapping[str, str]) -> Found:
        """Ask for the series of a study, as `ArchiveIndex.series`."""
        return self._associations.find(
            "SERIES",
            {"StudyInstanceUID": study_uid, **dict.fromkeys(SERIES_KEYS, ""), **conditions},
        )

    def instances(self, series: ListedSeries) -> tuple[str, ...]:
        """SOP Instance UIDs of a series, each once, by Instance Number.

        Raises
        ------
        SourceUnavailable
            The archive cannot be asked.
        SeriesIncomplete
            As for `whole_listing`; an archive may end its answers at ``max_answers`` in silence.
        """
        found = self._associations.find(
            "IMAGE",
            {
                "StudyInstanceUID": series.study_uid,
                "SeriesInstanceUID": series.series_uid,
                "SOPInstanceUID": "",
                "InstanceNumber": "",
            },
            MAX_LISTED_INSTANCES,
        )
        full = len(found.answers) == self._archive.max_answers
        return whole_listing(Found(found.answers, found.cut or full), series)

    def header(self, series: ListedSeries, instances: Sequence[str]) -> Dataset | None:
        """Header of the instance in the middle, which is fetched alone; None if it does not come.

        Raises
        ------
        SourceUnavailable
            The archive cannot be asked.
        """
        if not instances:
            return None
        middle = instances[len(instances) // 2]
        with tempfile.TemporaryDirectory() as folder:
            try:
                [path] = self._fetch(series, [middle], Path(folder), {"SOPInstanceUID": middle})
                return pydicom.dcmread(path, stop_before_pixels=True)
            except (SeriesIncomplete, InvalidDicomError):
                return None

    def fetch(self, series: ListedSeries, instances: Sequence[str], folder: Path) -> list[Path]:
        """Write exactly these instances into a folder, as `SeriesSource.fetch`."""
        return self._fetch(series, instances, folder, {})

    def close(self) -> None:
        """End all connections; a later question opens them again."""
        self._associations.close()
        self._door.close()

    def _fetch(
        self,
        series: ListedSeries,
        instances: Sequence[str],
        folder: Path,
        which: Mapping[str, str],
    ) -> list[Path]:
        arrivals = Arrivals(series, instances, folder)
        if not instances:
            return []
        asked = identifier(
            "IMAGE" if which else "SERIES",
            {"StudyInstanceUID": series.study_uid, "SeriesInstanceUID": series.series_uid, **which},
        )
        bring = self._move if self._peer.retrieve == "move" else self._get
        status = bring(asked, arrivals)
        if status is None and not arrivals.count:
            raise SourceUnavailable(
                f"{self._archive.name} broke the association or sent nothing for "
                f"{self._archive.timeout_seconds:g} s"
            )
        said = "then the association broke" if status is None else f"status 0x{status:04X}"
        if status == MOVE_DESTINATION_UNKNOWN and not arrivals.count:
            raise SourceUnavailable(f"{self._archive.name}: {said}; {self._door_wanted}")
        if self._peer.retrieve == "move" and status and not arrivals.count:
            said += f"; if no series comes, {self._door_wanted}"
        return arrivals.files(said)

    @property
    def _door_wanted(self) -> str:
        return (
            f"configure AE title {self._peer.move_ae_title} in the archive as a destination of "
            f"C-MOVE, with the address of this machine and port {self._peer.move_port}"
        )

    def _get(self, asked: Dataset, arrivals: Arrivals) -> int | None:
        with self._associations.opened(_get_contexts(), FETCHED_CLASSES) as association:
            streams: list[InstanceStream] = []

            def takers(uid: str) -> list[Arrivals]:
                if uid not in arrivals.wanted:
                    arrivals.refuse()
                    raise KeyError(uid)
                return [arrivals] if arrivals.lacks(uid) else []

            def service(link: MessageLink) -> InstanceStream:
                streams.append(
                    InstanceStream(
                        link, self._peer.ae_title, takers, partial(association.abort, block=False)
                    )
                )
                return streams[-1]

            try:
                receive_requested(
                    association,
                    service,
                    lambda: arrivals.progress,
                    MAX_PDU_BYTES,
                    self._archive.timeout_seconds,
                )
                return _last_status(association, "get", asked)
            except OSError:
                return None
            finally:
                if not association.is_established:
                    for stream in streams:
                        stream.discard()

    def _move(self, asked: Dataset, arrivals: Arrivals) -> int | None:
        with self._door.expecting(arrivals), self._associations.opened([MOVE]) as association:
            try:
                receive_requested(
                    association,
                    _Passing,
                    lambda: arrivals.progress,
                    MAX_PDU_BYTES,
                    self._archive.timeout_seconds,
                )
                return _last_status(association, "move", asked, self._peer.move_ae_title or "")
            except OSError:
                return None


class _Passing:
    """Leaves the end of a move to pynetdicom."""

    def __init__(self, link: MessageLink) -> None:
        self._link = link
        self._reader = FragmentReader()

    def take(self, context_id: int, value: bytes | memoryview) -> None:
        """Take one fragment, as `FragmentService.take`; instances do not come here."""
        other = self._reader.take(context_id, value)
        if other is not None:
            pass_on_end(self._link, context_id, other)


def _get_contexts() -> list[PresentationContext]:
    return [
        build_context(GET, list(PLAIN_SYNTAXES)),
        *(build_context(c, syntax) for c in FETCHED_CLASSES for syntax in FETCHED_SYNTAXES),
    ]


def _last_status(
    association: Association, service: str, asked: Dataset, move_ae_title: str = ""
) -> int | None:
    """Ask by C-GET or C-MOVE and wait until it ends; None if the association broke."""
    try:
        answers = (
            association.send_c_move(asked, move_ae_title, MOVE)
            if service == "move"
            else association.send_c_get(asked, GET)
        )
        statuses = [answer.get("Status") for answer, _ in answers]
    except (ValueError, RuntimeError):
        return None
    return statuses[-1] if statuses else None
