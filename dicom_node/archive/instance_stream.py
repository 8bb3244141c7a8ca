"""C-STORE requests of an archive, each written to disk while it comes in."""

from collections.abc import Callable, Iterable
from contextlib import suppress

from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)

from dicom_node.archive.arrivals import Arrivals, ArrivingFile, TooMuch
from dicom_node.receiving.listener import TRANSFER_SYNTAXES
from dicom_node.receiving.received_header import file_header
from dicom_node.receiving.store_messages import (
    COMMAND,
    LAST,
    FragmentReader,
    StoreCommand,
    answer_pdus,
    is_progress,
)
from dicom_node.receiving.store_service import MessageLink
from dicom_node.sending.statuses import (
    CLASS_NOT_SUPPORTED,
    DOES_NOT_MATCH,
    NOT_AUTHORISED,
    OUT_OF_RESOURCES,
    SUCCESS,
)

__all__ = ["FETCHED_CLASSES", "FETCHED_SYNTAXES", "InstanceStream", "pass_on_end"]

FETCHED_CLASSES = (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)
"""CT only: an association has at most 128 presentation contexts (PS3.8, 9.3.2.2)."""

FETCHED_SYNTAXES: tuple[UID, ...] = tuple(
    uid
    for uid in TRANSFER_SYNTAXES
    if not any(kind in uid.name for kind in ("MPEG", "HEVC", "SMPTE", "JPIP"))
)
"""Those of images, also the lossy ones, which are refused later with a reason. Each is offered in a
context of its own, so that an archive need not decode what it holds."""


def pass_on_end(link: MessageLink, context_id: int, value: bytes) -> None:
    """Pass a message on to pynetdicom, but not that a C-GET or C-MOVE goes on.

    An archive says so after each instance, and pynetdicom takes longer to read it than to receive
    the instance.
    """
    if not (value[0] & COMMAND and is_progress(value[1:])):
        link.pass_on(context_id, value)


class InstanceStream:
    """Writes the data sets of C-STORE requests to files, fragment by fragment.

    Only one PDU at a time is in memory.

    Parameters
    ----------
    link
        The association on which they come.
    source_ae
        AE title of the archive, for the files' meta information.
    takers
        Gives, for a SOP Instance UID, who lacks the instance; raises KeyError for one that nobody
        asked for.
    broken
        Called when the archive sends without end.
    """

    def __init__(
        self,
        link: MessageLink,
        source_ae: str,
        takers: Callable[[str], Iterable[Arrivals]],
        broken: Callable[[], object],
    ) -> None:
        self._link = link
        self._source_ae = source_ae
        self._takers = takers
        self._broken = broken
        self._reader = FragmentReader()
        self._files: list[ArrivingFile] = []
        self._status = SUCCESS

    def take(self, context_id: int, value: bytes | memoryview) -> None:
        """Take one fragment, as `FragmentService.take`; the last one of a request answers it."""
        command = self._reader.command
        other = self._reader.take(context_id, value)
        if other is not None:
            pass_on_end(self._link, context_id, other)
        elif command is not None:
            self._write(memoryview(value)[1:])
            if value[0] & LAST:
                self._end()
                for pdu in answer_pdus(command, self._status, self._link.maximum_pdu_size):
                    self._link.send(pdu)
        elif self._reader.command is not None:
            self._begin(self._reader.command, self._link.transfer_syntax(context_id))

    def discard(self) -> None:
        """Remove the files of an instance that has not come whole."""
        for file in self._files:
            file.discard()
        self._files = []

    def _begin(self, command: StoreCommand, transfer_syntax: str) -> None:
        self.discard()
        self._status = SUCCESS
        if command.sop_class_uid not in FETCHED_CLASSES:
            self._status = CLASS_NOT_SUPPORTED
            return
        try:
            takers = tuple(self._takers(command.sop_instance_uid))
        except KeyError:
            self._status = NOT_AUTHORISED
            return
        prefix = file_header(
            command.sop_class_uid, command.sop_instance_uid, transfer_syntax, self._source_ae
        )
        try:
            for arrivals in takers:
                self._files.append(arrivals.open())
        except (OSError, TooMuch) as error:
            self._fail(error)
        self._write(memoryview(prefix))

    def _write(self, piece: memoryview) -> None:
        try:
            for file in self._files:
                file.write(piece)
        except (OSError, TooMuch) as error:
            self._fail(error)

    def _end(self) -> None:
        try:
            kept = [file.finish() for file in self._files]
            if not all(kept):
                self._status = DOES_NOT_MATCH
            self._files = []
        except OSError as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._status = OUT_OF_RESOURCES
        with suppress(OSError):
            self.discard()
        if isinstance(error, TooMuch):
            self._broken()
