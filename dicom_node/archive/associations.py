"""Associations with an archive: no more at once than are allowed, and one kept for questions."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from dicom_node.archive.answers import Answer, answer_of_dataset
from dicom_node.archive.listing import Found
from dicom_node.archive.slots import ConnectionSlots
from dicom_node.archive.sources import SourceUnavailable
from dicom_node.errors import DeliveryFailed
from dicom_node.sending.delivery import associate
from dicom_node.sending.statuses import PENDING, SUCCESS
from dicom_node.settings.archives import Archive, DimseArchive
from dicom_node.settings.work import Destination

__all__ = ["MAX_PDU_BYTES", "Associations", "identifier"]

MAX_PDU_BYTES = 131_072
"""Longest PDU that an archive may send; with 16 kB a series takes a fifth longer."""

MODEL = StudyRootQueryRetrieveInformationModelFind


def identifier(level: str, conditions: dict[str, str]) -> Dataset:
    """The identifier of a question (PS3.4, C.4).

    Parameters
    ----------
    level
        Query/Retrieve Level.
    conditions
        Values by keyword; an empty one asks for the value. They are not checked: a list from
        elsewhere may hold what a value representation does not allow.
    """
    asked = Dataset()
    if not all(value.isascii() for value in conditions.values()):
        asked.SpecificCharacterSet = "ISO_IR 192"
    asked.QueryRetrieveLevel = level
    for keyword, value in conditions.items():
        tag = tag_for_keyword(keyword)
        assert tag is not None
        asked.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=config.IGNORE))
    return asked


class Associations:
    """Opens associations with one archive.

    Parameters
    ----------
    archive
        How long each answer may take, and how many there may be.
    peer
        How it is reached.
    calling_ae
        AE title of this node.
    slots
        How many associations may be used.
    """

    def __init__(
        self, archive: Archive, peer: DimseArchive, calling_ae: str, slots: ConnectionSlots
    ) -> None:
        self._max_answers = archive.max_answers
        self._calling_ae = calling_ae
        self._destination = Destination(
            name=archive.name,
            ae_title=peer.ae_title,
            host=peer.host,
            port=peer.port,
            timeout_seconds=archive.timeout_seconds,
            tls=peer.tls,
        )
        self._slots = slots
        self._lock = threading.Lock()
        self._idle: list[Association] = []
        slots.keep(lambda: len(self._idle), self._trim)

    def find(self, level: str, conditions: dict[str, str], most: int | None = None) -> Found:
        """Ask by C-FIND, on an association that is kept for the next question.

        Parameters
        ----------
        level, conditions
            As for `identifier`.
        most
            Answers after which no more are waited for; by default those of the settings.

        Raises
        ------
        SourceUnavailable
            The archive cannot be reached, does not answer, or answers with a failure.
        """
        asked, most = identifier(level, conditions), most or self._max_answers
        with self._slots.taken():
            kept = self._kept()
            if kept is not None:
                try:
                    return self._ask(kept, asked, most)
                except SourceUnavailable:
                    pass  # an archive may end an idle association at any time
            return self._ask(self._open([MODEL]), asked, most)

    @contextmanager
    def opened(
        self,
        contexts: Sequence[str | PresentationContext],
        received: Sequence[str] = (),
    ) -> Iterator[Association]:
        """An association that ends behind the block.

        Parameters
        ----------
        contexts
            SOP classes or presentation contexts, the first of which the archive must accept.
        received
            SOP classes of which the archive may store instances on it.

        Raises
        ------
        SourceUnavailable
            The archive cannot be reached, or does not accept what is asked of it.
        """
        with self._slots.taken():
            association = self._open(contexts, received)
            try:
                yield association
            finally:
                _end(association)

    def close(self) -> None:
        """End the associations that wait for a question."""
        with self._lock:
            idle, self._idle = self._idle, []
        for association in idle:
            _end(association)

    def _trim(self) -> None:
        """End kept associations where they would be more than are allowed, without waiting."""
        for association in self._surplus():
            association.abort(block=False)

    def _surplus(self) -> list[Association]:
        with self._lock:
            surplus = max(self._slots.used + len(self._idle) - self._slots.allowed, 0)
            idle, self._idle = self._idle[:surplus], self._idle[surplus:]
        return idle

    def _kept(self) -> Association | None:
        with self._lock:
            while self._idle:
                association = self._idle.pop()
                if association.is_established:
                    return association
        return None

    def _open(
        self, contexts: Sequence[str | PresentationContext], received: Sequence[str] = ()
    ) -> Association:
        for association in self._surplus():
            _end(association)
        try:
            association = associate(
                self._calling_ae,
                self._destination,
                contexts,
                received=received,
                max_pdu_bytes=MAX_PDU_BYTES,
            )
        except DeliveryFailed as error:
            raise SourceUnavailable(str(error)) from error
        first = contexts[0]
        needed = first.abstract_syntax if isinstance(first, PresentationContext) else first
        if needed not in {context.abstract_syntax for context in association.accepted_contexts}:
            _end(association)
            service = getattr(needed, "name", needed)
            raise SourceUnavailable(f"{self._destination.name} does not offer {service}")
        return association

    def _ask(self, association: Association, asked: Dataset, most: int) -> Found:
        answers: list[Answer] = []
        name = self._destination.name
        try:
            for status, answer in association.send_c_find(asked, MODEL):
                code = status.get("Status")
                if code in PENDING:
                    if answer is not None:
                        answers.append(answer_of_dataset(answer))
                    if len(answers) >= most:
                        association.abort()
                        return Found(answers, cut=True)
                elif code != SUCCESS:
                    said = "no answer" if code is None else f"status 0x{code:04X}"
                    raise SourceUnavailable(f"{name} answered C-FIND with {said}")
        except (ValueError, RuntimeError) as error:
            association.abort()
            raise SourceUnavailable(f"{name}: C-FIND failed ({type(error).__name__})") from error
        except SourceUnavailable:
            association.abort()
            raise
        with self._lock:
            self._idle.append(association)
        return Found(answers, cut=False)


def _end(association: Association) -> None:
    if association.is_established:
        association.release()
