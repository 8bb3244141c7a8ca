"""The storage SCP: a server on the network that hands received instances to a `Receiver`."""

import ctypes
import gc
import os
import resource
import sys
import threading
from contextlib import suppress

from pydicom.uid import UID, AllTransferSyntaxes
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_ECHO
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification

from dicom_node.logs import log
from dicom_node.receiving import pynetdicom_inside
from dicom_node.receiving.listener_server import GuardedServer
from dicom_node.receiving.receiver import STORAGE_CLASSES, Receiver, peer_of
from dicom_node.records.audit import AuditTrail
from dicom_node.records.counters import Counters
from dicom_node.records.heartbeat import beat
from dicom_node.records.security_alerts import SecurityAlerts
from dicom_node.sending.commitment import (
    Commitments,
    accept_commitment_reports,
    commitment_handlers,
)
from dicom_node.sending.delivery import PLAIN_SYNTAXES
from dicom_node.sending.statuses import CLASS_NOT_SUPPORTED, SUCCESS
from dicom_node.series.instances import SEGMENTATION_STORAGE
from dicom_node.settings.node import Listener, NodeSettings
from dicom_node.spool.spool import Spool

__all__ = ["CLOSING_SECONDS", "TRANSFER_SYNTAXES", "run_listener", "start_listener"]

TRANSFER_SYNTAXES = (
    *(uid for uid in AllTransferSyntaxes if "Deflate" not in uid.name),
    *(UID(f"1.2.840.10008.1.2.4.{number}") for number in (52, 53, 54, 55)),
)
"""Of CT: all current ones, and the retired ones of JPEG for which pydicom has no names. Lossy
images are received and then refused with a reason: a presentation context that is not accepted
would only be missing at the sender. Deflated ones are not accepted: a few kB can inflate to
gigabytes, and whoever sends an image without loss offers Implicit VR Little Endian too (PS3.5,
10.1)."""

CLOSING_SECONDS = 5.0
"""ARTIM timer (PS3.8, 9.1.5): how long the peer may take to close after a rejection or an abort. An
association begins when its request has arrived, and the request is read within the same time."""

STACK_BYTES = 2 * 1024 * 1024
"""Stack of a thread: the system's 8 MB for each would take most of the process's memory."""

ONE_ARENA = (-8, 1)
"""glibc's ``mallopt`` option M_ARENA_MAX: what one thread has freed any other may use. Each would
else keep for itself what its association left."""

FLUSH_SECONDS = 1.0
"""Seconds between two writes of the counters."""

STILL_SECONDS = 60.0
"""A listener that has not looked for connections for so long ends: it is started again."""


def start_listener(
    settings: Listener,
    spool: Spool,
    counters: Counters | None = None,
    audit: AuditTrail | None = None,
) -> GuardedServer:
    """Listen in the background until ``shutdown()`` is called on the returned server.

    Parameters
    ----------
    settings
        The listener's.
    spool
        Where instances are kept; its folders are made if need be.
    counters, audit
        Take what was received and refused; by default counts are kept in memory and no audit
        records are written.

    Raises
    ------
    OSError
        The address is in use, or not an address of this machine.
    SettingsInvalid
        A certificate, key or CA cannot be used.
    """
    spool.prepare()
    spool.remove_leftovers()
    counters = counters or Counters()
    audit = audit or AuditTrail(None)
    alerts = SecurityAlerts(audit)
    direct = _serves_directly(settings)
    commitments = Commitments(spool.root.parent, tls=settings.tls is not None)
    receiver = Receiver(settings, spool, counters, audit, alerts, direct=direct)
    server = _application_entity(settings).make_server(
        (settings.host, settings.port),
        server_class=GuardedServer,
        evt_handlers=[
            (evt.EVT_C_ECHO, handle_echo),
            (evt.EVT_C_STORE, receiver.store_event),
            *commitment_handlers(commitments, alerts, peer_of),
            (evt.EVT_REQUESTED, receiver.requested),
            (evt.EVT_ACCEPTED, receiver.accepted),
            (evt.EVT_REJECTED, receiver.rejected),
            (evt.EVT_RELEASED, receiver.ended),
            (evt.EVT_ABORTED, receiver.ended),
            (evt.EVT_CONN_CLOSE, receiver.ended),
        ],
        settings=settings,
        counters=counters,
        alerts=alerts,
        tidy=receiver.tidy,
        direct=direct,
    )
    assert isinstance(server, GuardedServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for warning in settings.warnings:
        log().warning("listener is open", reason=warning)
    log().info(
        "listening",
        host=settings.host,
        port=server.port,
        ae_title=settings.ae_title,
    )
    return server


def _serves_directly(settings: Listener) -> bool:
    """Whether the direct store service is wanted and this release of pynetdicom allows it."""
    if settings.store_service != "direct":
        return False
    missing = pynetdicom_inside.missing_internals()
    if missing:
        log().warning(
            "direct store service not available",
            code="listener.pynetdicom_changed",
            reason=", ".join(missing),
        )
    return not missing


def _application_entity(settings: Listener) -> AE:
    """What the listener offers on an association."""
    ae = AE(ae_title=settings.ae_title)
    ae.maximum_pdu_size = settings.max_pdu_bytes
    # the receiver limits their number: pynetdicom counts broken ones too until they are gone
    ae.maximum_associations = sys.maxsize
    ae.acse_timeout = CLOSING_SECONDS
    ae.dimse_timeout = settings.idle_seconds
    ae.network_timeout = settings.idle_seconds
    ae.require_called_aet = True
    ae.require_calling_aet = list(settings.allowed_ae_titles)
    ae.add_supported_context(Verification, list(PLAIN_SYNTAXES))
    for storage in STORAGE_CLASSES:
        plain = storage in SEGMENTATION_STORAGE
        ae.add_supported_context(storage, list(PLAIN_SYNTAXES if plain else TRANSFER_SYNTAXES))
    accept_commitment_reports(ae)
    return ae


def run_listener(settings: NodeSettings, stop: threading.Event, index: int = 0) -> None:
    """Listen until ``stop`` is set, as one of several processes.

    Parameters
    ----------
    settings
        The node's.
    stop
        Ends the listener when it is set.
    index
        Number of this process among those that share the port, from 0; names its counters.

    Raises
    ------
    OSError, SettingsInvalid
        As for `start_listener`.
    """
    _limit_memory(settings.listener.memory_limit_mb)
    spool = Spool(settings.data_dir, durable=settings.listener.durability == "fsync")
    counters = Counters(settings.counters_dir / f"listener-{index}.json")
    audit = AuditTrail.of(settings)
    server = start_listener(settings.listener, spool, counters, audit)
    audit.started("listener")
    name = f"listener-{index}"
    beat(settings.counters_dir, name)
    gc.collect()
    gc.freeze()
    ended = 0
    while not stop.wait(FLUSH_SECONDS):
        counters.flush()
        beat(settings.counters_dir, name)
        if server.ended != ended:
            # pynetdicom's objects hold each other, and so all that an association received last
            ended = server.ended
            gc.collect()
        if server.still_seconds > STILL_SECONDS:
            log().error("listener stands still", seconds=round(server.still_seconds))
            os._exit(1)
    server.shutdown()
    counters.flush()
    audit.stopped("listener")


def _limit_memory(megabytes: int) -> None:
    """Limit the memory that this process takes for data: beyond it an association ends."""
    threading.stack_size(STACK_BYTES)
    with suppress(AttributeError):  # only glibc has it
        ctypes.CDLL(None).mallopt(*ONE_ARENA)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = megabytes * 1024 * 1024
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def handle_echo(event: Event) -> int:
    """Answer a C-ECHO.

    pynetdicom's own services go by the SOP class: this handler also gets a C-STORE request of the
    Verification class, whose instance is not kept.
    """
    return SUCCESS if isinstance(event.request, C_ECHO) else CLASS_NOT_SUPPORTED
