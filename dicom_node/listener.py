"""The storage SCP: writes, renames, answers; nothing else."""

from io import BytesIO

import pydicom
from pydicom.uid import (
    AllTransferSyntaxes,
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification
from pynetdicom.transport import ThreadedAssociationServer

from dicom_node.instances import SEGMENTATION_STORAGE, referenced_series
from dicom_node.logs import log
from dicom_node.settings import Listener
from dicom_node.spool import Spool

__all__ = ["start_listener"]

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
"""C-STORE statuses (DICOM PS3.4, table B.2-1)."""

MAX_PDU_BYTES = 131072
"""Larger PDUs mean fewer turns of the protocol machine per slice."""

TRANSFER_SYNTAXES = (
    *AllTransferSyntaxes,
    "1.2.840.10008.1.2.4.52",
    "1.2.840.10008.1.2.4.53",
    "1.2.840.10008.1.2.4.54",
    "1.2.840.10008.1.2.4.55",
)
"""All current ones and the retired JPEG ones: what is lossy is received and then refused with a
reason, instead of vanishing at the association."""

IDENTIFIERS = [
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "ReferencedSeriesSequence",
]


def start_listener(settings: Listener, spool: Spool) -> ThreadedAssociationServer:
    """Listen in the background until ``shutdown()`` is called on what is returned.

    Raises
    ------
    OSError
        The address is in use or not ours.
    """
    spool.prepare()
    spool.remove_leftovers()
    ae = AE(ae_title=settings.ae_title)
    ae.maximum_pdu_size = MAX_PDU_BYTES
    ae.maximum_associations = settings.max_associations
    ae.require_called_aet = True
    ae.require_calling_aet = list(settings.allowed_ae_titles)
    ae.add_supported_context(Verification)
    for storage in (
        CTImageStorage,
        EnhancedCTImageStorage,
        LegacyConvertedEnhancedCTImageStorage,
        *SEGMENTATION_STORAGE,
    ):
        ae.add_supported_context(storage, TRANSFER_SYNTAXES)
    server = ae.start_server(
        (settings.host, settings.port),
        block=False,
        evt_handlers=[
            (evt.EVT_C_STORE, handle_store, [spool]),
            (evt.EVT_C_ECHO, handle_echo),
        ],
    )
    log().info(
        "listening",
        host=settings.host,
        port=server.socket.getsockname()[1],
        ae_title=settings.ae_title,
    )
    return server


def handle_echo(_event: Event) -> int:
    """Answer a C-ECHO."""
    return SUCCESS


def handle_store(event: Event, spool: Spool) -> int:
    """Keep one instance; success is answered only when it is kept."""
    try:
        content = event.encoded_dataset()
        header = pydicom.dcmread(
            BytesIO(content), stop_before_pixels=True, specific_tags=list(IDENTIFIERS)
        )
        series_uid = str(header.get("SeriesInstanceUID") or "")
        sop_instance_uid = str(header.get("SOPInstanceUID") or "")
    except Exception as error:  # a peer may send anything; the association goes on
        log().warning("instance refused", reason="unreadable", error=type(error).__name__)
        return CANNOT_UNDERSTAND
    if not series_uid or not sop_instance_uid:
        log().warning("instance refused", code="instance.no_uid", reason="no series or SOP UID")
        return CANNOT_UNDERSTAND
    if sop_instance_uid != str(event.request.AffectedSOPInstanceUID):
        log().warning("instance refused", code="instance.uid_mismatch", reason="SOP UID differs")
        return DOES_NOT_MATCH
    try:
        of_series = referenced_series(header)
        if event.request.AffectedSOPClassUID in SEGMENTATION_STORAGE and of_series:
            for uid in of_series:
                spool.store_segmentation(content, uid, sop_instance_uid)
        else:
            spool.store(content, series_uid, sop_instance_uid)
    except OSError as error:
        log().error("instance not stored", code="spool.disk", error=str(error.strerror))
        return OUT_OF_RESOURCES
    return SUCCESS
