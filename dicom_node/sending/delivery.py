"""Send one object to one destination by C-STORE."""

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_context, build_role
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import Verification

from dicom_node.errors import DeliveryFailed, SettingsInvalid
from dicom_node.sending.statuses import DUPLICATE_INSTANCE, SUCCESS, is_warning
from dicom_node.settings.work import Destination
from dicom_node.tls import client_context

__all__ = ["PLAIN_SYNTAXES", "associate", "echo", "send"]

PLAIN_SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
"""Transfer syntaxes of all that is no image: a deflated one can grow a thousandfold when it is
read."""

USUAL_PDU_BYTES = 16382
"""Longest PDU that is taken where no more than answers are expected (pynetdicom's own choice)."""

TRANSFER_SYNTAXES_REFUSED = 0x04
"""Result of a presentation context: transfer syntaxes not supported (PS3.8, table 9-18)."""


def send(content: bytes, destination: Destination, calling_ae: str) -> int:
    """Send a file by C-STORE, as it is or, to a peer that takes nothing else, in Implicit VR.

    Parameters
    ----------
    content
        A DICOM file's bytes.
    destination
        The peer.
    calling_ae
        AE title of this node.

    Returns
    -------
    int
        The peer's status: success, a warning 0xBxxx, or that it holds the instance already.

    Raises
    ------
    DeliveryFailed
        The peer cannot be reached, rejects the association or the SOP class, or answers with a
        failure; the message holds its status.
    """
    try:
        dataset: Dataset = pydicom.dcmread(BytesIO(content))
        stored = dataset.file_meta.TransferSyntaxUID
    except (OSError, InvalidDicomError) as error:
        raise DeliveryFailed(f"the report cannot be read ({type(error).__name__})") from error
    association = associate(
        calling_ae,
        destination,
        [
            build_context(dataset.SOPClassUID, syntax)
            for syntax in dict.fromkeys((stored, ImplicitVRLittleEndian))
        ],
    )
    try:
        accepted = {context.transfer_syntax[0] for context in association.accepted_contexts}
        if stored not in accepted:
            dataset = _in_implicit_vr(dataset)
        answer = association.send_c_store(dataset)
    except (ValueError, RuntimeError) as error:
        raise DeliveryFailed(f"{destination.name}: {error}") from error
    finally:
        if association.is_established:
            association.release()
    status = answer.get("Status")
    if status is None:
        raise DeliveryFailed(f"{destination.name} broke the connection or did not answer")
    # a peer that holds the instance already got it from us: its UID is ours alone
    if status not in (SUCCESS, DUPLICATE_INSTANCE) and not is_warning(status):
        raise DeliveryFailed(f"{destination.name} refused with status 0x{status:04X}")
    return int(status)


def echo(destination: Destination, calling_ae: str) -> None:
    """Verify by C-ECHO that a peer answers.

    Raises
    ------
    DeliveryFailed
        The peer cannot be reached, rejects the association or does not answer with success.
    """
    association = associate(calling_ae, destination, [Verification])
    answer = association.send_c_echo()
    association.release()
    if answer.get("Status") != SUCCESS:
        raise DeliveryFailed(f"{destination.name} did not answer the echo with success")


def associate(
    calling_ae: str,
    destination: Destination,
    sop_classes: Sequence[str | PresentationContext],
    handlers: Sequence[tuple[Any, Callable[[Event], Any]]] = (),
    received: Sequence[str] = (),
    max_pdu_bytes: int = USUAL_PDU_BYTES,
) -> Association:
    """Open an association with a peer.

    Parameters
    ----------
    calling_ae
        AE title of this node.
    destination
        The peer.
    sop_classes
        UIDs, offered with `PLAIN_SYNTAXES`, or whole presentation contexts.
    handlers
        pynetdicom's events and the functions that handle them.
    received
        UIDs of the SOP classes of which the peer may store instances on the association (C-GET).
    max_pdu_bytes
        Longest PDU that the peer may send.

    Returns
    -------
    Association
        Established, though perhaps without an accepted context.

    Raises
    ------
    DeliveryFailed
        The peer cannot be reached or rejects the association.
    """
    ae = AE(ae_title=calling_ae)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = destination.timeout_seconds
    ae.connection_timeout = destination.timeout_seconds
    tls = None
    if destination.tls is not None:
        name = destination.tls.server_name or destination.host
        try:
            tls = (client_context(destination.tls, destination.name), name)
        except SettingsInvalid as error:  # such as a certificate that is being replaced
            raise DeliveryFailed(str(error)) from error
    try:
        association = ae.associate(
            destination.host,
            destination.port,
            contexts=[
                c if isinstance(c, PresentationContext) else build_context(c, list(PLAIN_SYNTAXES))
                for c in sop_classes
            ],
            ae_title=destination.ae_title,
            tls_args=tls,
            evt_handlers=list(handlers),
            max_pdu=max_pdu_bytes,
            ext_neg=[build_role(uid, scp_role=True) for uid in received],
        )
    except (OSError, RuntimeError, ValueError) as error:  # such as a name that does not resolve
        raise DeliveryFailed(f"{destination.name} cannot be reached: {error}") from error
    if not association.is_established:
        reason = "rejected the association" if association.is_rejected else "cannot be reached"
        if association.rejected_contexts:
            reason = _refused_contexts(association.rejected_contexts)
        elif tls is not None and not association.is_rejected:
            reason += ", or TLS failed: the peer refused our certificate or we refused its own"
        raise DeliveryFailed(f"{destination.name} {reason}")
    return association


def _in_implicit_vr(dataset: Dataset) -> Dataset:
    """The same elements, encoded without their value representations."""
    encoded = BytesIO()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.save_as(encoded, enforce_file_format=True)
    encoded.seek(0)
    return pydicom.dcmread(encoded)


def _refused_contexts(contexts: Sequence[PresentationContext]) -> str:
    """Why a peer takes none of the presentation contexts: the SOP class, or its encodings."""
    first = contexts[0]
    name = "" if first.abstract_syntax is None else first.abstract_syntax.name
    syntaxes = [UID(syntax).name for context in contexts for syntax in context.transfer_syntax]
    if any(context.result == TRANSFER_SYNTAXES_REFUSED for context in contexts):
        return f"does not offer {name} in {' or '.join(dict.fromkeys(syntaxes))}"
    return f"does not offer {name}"
