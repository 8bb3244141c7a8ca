"""Get instances from a PACS by C-GET, on the association that asks for them."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    CTImageStorage,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    KeyObjectSelectionDocumentStorage,
    RLELossless,
)
from pynetdicom import build_context, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet

from dicom_node.errors import DeliveryFailed, QueryFailed
from dicom_node.sending.allowance import MAX_MB, Allowance
from dicom_node.sending.delivery import PLAIN_SYNTAXES, associate
from dicom_node.sending.statuses import OUT_OF_RESOURCES, PENDING, SUCCESS
from dicom_node.settings.work import Query

__all__ = ["RETRIEVED_CLASSES", "Retrieval", "retrieval"]

DOCUMENT_CLASSES = (ComprehensiveSRStorage, KeyObjectSelectionDocumentStorage)
"""Reports, and notes that reject them."""

RETRIEVED_CLASSES = (*DOCUMENT_CLASSES, CTImageStorage)
"""These, and images that they measured."""

IMAGE_SYNTAXES = (
    *PLAIN_SYNTAXES,
    JPEGLosslessSV1,
    JPEGLossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    RLELossless,
    HTJ2KLossless,
)
"""Of images: what can be measured, each in a context of its own, so that the PACS need not decode
what it holds."""

NO_SECONDS = 0.01


class Retrieval:
    """An association on which a PACS sends what it is asked for.

    Parameters
    ----------
    association
        Which offers C-GET.
    allowance
        What all that is asked for may cost.
    """

    def __init__(self, association: Association, allowance: Allowance) -> None:
        self._association = association
        self._allowance = allowance
        self._received: list[bytes] = []
        self._fault: QueryFailed | None = None
        association.bind(evt.EVT_C_STORE, self._keep)
        association.bind(evt.EVT_DATA_RECV, self._watch)

    def get(self, asked: Dataset) -> list[bytes] | None:
        """Ask for instances.

        Parameters
        ----------
        asked
            The identifier, with its level.

        Returns
        -------
        list of bytes or None
            The files, in the order in which they came; None if the PACS did not send all of them.

        Raises
        ------
        QueryFailed
            The PACS does not answer, or sends more than is allowed, or for longer.
        """
        self._received = []
        answer = Dataset()
        try:
            for answer, _ in self._association.send_c_get(
                asked, StudyRootQueryRetrieveInformationModelGet
            ):
                if answer.get("Status") in PENDING:
                    self._count()
        except (ValueError, RuntimeError) as error:
            reason = f"C-GET failed ({type(error).__name__})"
            raise self._fault or self._allowance.failure(reason) from error
        if self._fault is not None:
            raise self._fault
        if "Status" not in answer:
            raise self._allowance.failure("the PACS did not answer C-GET in time")
        whole = answer.Status == SUCCESS and not answer.get("NumberOfFailedSuboperations")
        return self._received if whole else None

    def _keep(self, event: Event) -> int:
        """Take an instance that the PACS stores."""
        self._count()
        if self._fault is not None:
            return OUT_OF_RESOURCES
        self._received.append(event.encoded_dataset())
        return SUCCESS

    def _watch(self, event: Event) -> None:
        """Count what comes in, whether or not it makes an instance."""
        if self._fault is None and not self._allowance.take(len(event.data)):
            self._fault = QueryFailed(f"the PACS sent more than {MAX_MB} MB")
            self._association.abort(block=False)

    def _count(self) -> None:
        """Count a message, and wait for the next one no longer than is left."""
        if self._fault is not None:
            return
        self._association.dimse_timeout = self._allowance.seconds_left
        try:
            self._allowance.count()
        except QueryFailed as error:
            self._fault = error
            self._association.dimse_timeout = NO_SECONDS
            self._association.abort(block=False)


@contextmanager
def retrieval(settings: Query, calling_ae: str, allowance: Allowance) -> Iterator[Retrieval]:
    """Open an association for C-GET (Study Root), and end it behind the block.

    Parameters
    ----------
    settings
        The PACS.
    calling_ae
        AE title of this node.
    allowance
        What all that is asked for may cost.

    Raises
    ------
    QueryFailed
        The PACS cannot be reached, or does not offer C-GET.
    """
    contexts = [
        build_context(StudyRootQueryRetrieveInformationModelGet, list(PLAIN_SYNTAXES)),
        *(build_context(uid, list(PLAIN_SYNTAXES)) for uid in DOCUMENT_CLASSES),
        *(build_context(CTImageStorage, syntax) for syntax in IMAGE_SYNTAXES),
    ]
    try:
        association = associate(
            calling_ae,
            settings.peer.model_copy(update={"timeout_seconds": allowance.seconds_left}),
            contexts,
            received=RETRIEVED_CLASSES,
        )
    except DeliveryFailed as error:
        raise allowance.failure(str(error)) from error
    try:
        accepted = {context.abstract_syntax for context in association.accepted_contexts}
        if StudyRootQueryRetrieveInformationModelGet not in accepted:
            raise QueryFailed("the PACS does not accept C-GET (Study Root)")
        yield Retrieval(association, allowance)
    finally:
        if association.is_established:
            association.release()
