"""What is done with received instances: read the header, write, rename, answer; nothing else."""

import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event

from dicom_node.foreign_text import cleaned
from dicom_node.logs import fault_fields, log
from dicom_node.receiving import pynetdicom_inside
from dicom_node.receiving.received_header import ReceivedHeader, file_header, read_received
from dicom_node.receiving.store_messages import StoreRequest
from dicom_node.records.audit import AuditTrail, Peer
from dicom_node.records.counters import Counters
from dicom_node.records.security_alerts import SecurityAlerts
from dicom_node.sending.statuses import (
    CANNOT_UNDERSTAND,
    CLASS_NOT_SUPPORTED,
    DOES_NOT_MATCH,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    SUCCESS,
)
from dicom_node.series.instances import SEGMENTATION_STORAGE
from dicom_node.settings.edge import Listener
from dicom_node.spool.spool import Spool
from dicom_node.spool.versions import TooManyVersions
from dicom_node.tls import certificate_names

__all__ = ["REFUSALS", "STORAGE_CLASSES", "Receiver", "peer_of"]

REFUSALS = {
    "instance.class": CLASS_NOT_SUPPORTED,
    "instance.unreadable": CANNOT_UNDERSTAND,
    "instance.no_uid": CANNOT_UNDERSTAND,
    "instance.malformed_uid": CANNOT_UNDERSTAND,
    "instance.uid_mismatch": DOES_NOT_MATCH,
    "instance.too_many_versions": OUT_OF_RESOURCES,
    "instance.too_many": OUT_OF_RESOURCES,
    "instance.too_many_frames": OUT_OF_RESOURCES,
    "instance.too_many_pixels": OUT_OF_RESOURCES,
    "spool.nearly_full": OUT_OF_RESOURCES,
    "spool.disk": OUT_OF_RESOURCES,
}
"""Why an instance is not kept, and the status that the sender gets."""

REJECTED_TRANSIENT, BY_PRESENTATION = 0x02, 0x03
CONGESTION, LOCAL_LIMIT = 0x01, 0x02
"""Result, source and diagnostics of an A-ASSOCIATE-RJ by a node that is full for now (PS3.8, table
9-21)."""

STORAGE_CLASSES = (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    *SEGMENTATION_STORAGE,
)

UID = re.compile(r"[0-9.]{1,64}")
"""The characters of a UID (PS3.5, 9.1); components with leading zeros, which some devices write,
are accepted."""

MB = 1024 * 1024

MAX_LOGGED_CLASSES = 10
"""SOP classes of one association that are logged as not accepted; some devices offer them all."""

MAX_AUDITED_STUDIES = 1000
"""Studies of one association that get audit records."""


@dataclass
class _Arrivals:
    """Instances that one association has sent, counted by study and SOP class.

    ``receipts`` counts them by study and by what they are beside those received before.
    """

    peer: Peer
    count: int = 0
    studies: dict[str, Counter[str]] = field(default_factory=dict)
    receipts: dict[str, Counter[str]] = field(default_factory=dict)


class Receiver:
    """Keeps what peers send, within the limits of the settings.

    Parameters
    ----------
    settings
        The listener's.
    spool
        Where instances are kept.
    counters, audit, alerts
        Take what was received and refused, as numbers and as records.
    direct
        Whether C-STORE requests are answered by the direct store service instead of pynetdicom's.
    """

    def __init__(
        self,
        settings: Listener,
        spool: Spool,
        counters: Counters,
        audit: AuditTrail,
        alerts: SecurityAlerts,
        *,
        direct: bool,
    ) -> None:
        self._direct = direct
        self._settings = settings
        self._spool = spool
        self._counters = counters
        self._audit = audit
        self._alerts = alerts
        self._arrivals: dict[Association, _Arrivals] = {}
        self._open: set[Association] = set()
        self._lock = threading.Lock()

    def store(self, association: Association, request: StoreRequest) -> int | None:
        """Keep one instance; success is answered only when it is kept.

        Parameters
        ----------
        association
            Which the request came on.
        request
            The instance.

        Returns
        -------
        int or None
            The status of the answer; None if the association has ended meanwhile.
        """
        try:
            return self._store(association, request)
        except Exception as fault:  # the association goes on
            log().error("unforeseen fault", **fault_fields(fault))
            return PROCESSING_FAILURE

    def store_event(self, event: Event) -> int:
        """Keep the instance of a C-STORE request that pynetdicom's own service has read."""
        asked = cast(C_STORE, event.request)
        request = StoreRequest(
            str(asked.AffectedSOPClassUID),
            str(asked.AffectedSOPInstanceUID),
            str(event.context.transfer_syntax),
            event.encoded_dataset(include_meta=False),
        )
        status = self.store(event.assoc, request)
        # without a status the association has ended, and pynetdicom sends no answer
        return PROCESSING_FAILURE if status is None else status

    def _store(self, association: Association, request: StoreRequest) -> int | None:
        arrivals = self._arrivals.get(association)
        if arrivals is None:
            return None
        if arrivals.count >= self._settings.max_instances_per_association:
            return self._refuse("instance.too_many", association)
        arrivals.count += 1
        sop_class, content = request.sop_class_uid, request.content
        if sop_class not in STORAGE_CLASSES:
            return self._refuse("instance.class", association)
        segmentation = sop_class in SEGMENTATION_STORAGE
        try:
            header = read_received(content, request.transfer_syntax, references=segmentation)
        except Exception:  # a peer may send anything; the association goes on
            return self._refuse("instance.unreadable", association)
        refused = self._check(header, request.sop_instance_uid)
        if refused is not None:
            return self._refuse(refused, association)
        prefix = file_header(
            sop_class,
            header.sop_instance_uid,
            request.transfer_syntax,
            association.requestor.ae_title,
        )
        study_uid = header.study_uid or header.series_uid
        try:
            if segmentation:
                receipt = self._spool.store_segmentation(
                    content, header.sop_instance_uid, prefix, study_uid
                )
            else:
                receipt = self._spool.store(
                    content, header.series_uid, header.sop_instance_uid, prefix, header.study_uid
                )
        except TooManyVersions:
            return self._refuse("instance.too_many_versions", association)
        except OSError as error:
            self._counters.add("instances_refused", "spool.disk")
            log().error("instance not stored", code="spool.disk", error=str(error.strerror))
            return REFUSALS["spool.disk"]
        self._counters.add("instances_received", sop_class)
        self._counters.add("bytes_received", count=len(content))
        if receipt != "new":
            self._counters.add("instances_again", receipt)
        if header.study_uid in arrivals.studies or len(arrivals.studies) < MAX_AUDITED_STUDIES:
            arrivals.studies.setdefault(header.study_uid, Counter())[sop_class] += 1
            arrivals.receipts.setdefault(header.study_uid, Counter())[receipt] += 1
        return SUCCESS

    def requested(self, event: Event) -> None:
        """Reject the association if the disk is nearly full or too many are open."""
        if self._spool.free_bytes() < self._settings.min_free_mb * MB:
            self._reject(event.assoc, "disk_nearly_full", CONGESTION)
            return
        self.tidy()
        with self._lock:
            admitted = len(self._open) < self._settings.max_associations
            if admitted:
                self._open.add(event.assoc)
                self._arrivals[event.assoc] = _Arrivals(peer_of(event.assoc))
        if not admitted:
            self._reject(event.assoc, "too_many_associations", LOCAL_LIMIT)
            return
        if self._direct:
            pynetdicom_inside.serve_directly(event.assoc, partial(self.store, event.assoc))

    def rejected(self, event: Event) -> None:
        """Log, count and audit an association that was not accepted."""
        association = event.assoc
        called, calling = _ae_titles(association)
        allowed = [title.strip() for title in self._settings.allowed_ae_titles]
        if called != self._settings.ae_title.strip():
            reason = "called_ae_title"
        elif allowed and calling not in allowed:
            reason = "calling_ae_title"
        else:
            reason = "other"
        self._release(association)
        self._counters.add("associations_refused", reason)
        log().warning("association refused", reason=reason, **_names(association))
        self._alerts.refused(peer_of(association), reason)

    def accepted(self, event: Event) -> None:
        """Count an association, and log which of its SOP classes are not accepted."""
        self._counters.add("associations_accepted")
        offered = {str(context.abstract_syntax) for context in event.assoc.rejected_contexts}
        taken = {str(context.abstract_syntax) for context in event.assoc.accepted_contexts}
        for uid in sorted(offered - taken)[:MAX_LOGGED_CLASSES]:
            if UID.fullmatch(uid):
                log().info("class not accepted", sop_class=uid, **_names(event.assoc))

    def ended(self, event: Event) -> None:
        """Write the audit records of what an association has sent, and forget it."""
        self._end(event.assoc)

    def tidy(self) -> None:
        """Forget associations that ended without an event, as broken ones sometimes do."""
        with self._lock:
            dead = [association for association in self._open if not association.is_alive()]
        for association in dead:
            self._end(association)

    def _end(self, association: Association) -> None:
        arrivals = self._release(association)
        if arrivals is None or not arrivals.count:
            return
        received = sum(sum(classes.values()) for classes in arrivals.studies.values())
        log().info("received", instances=received, **_names(association))
        receipts = sum(arrivals.receipts.values(), Counter[str]())
        if receipts["repeated"]:
            log().info("received again", instances=receipts["repeated"], **_names(association))
        if receipts["different"]:
            log().warning(
                "received otherwise", instances=receipts["different"], **_names(association)
            )
        for study_uid, classes in arrivals.studies.items():
            self._audit.received(arrivals.peer, study_uid, classes, arrivals.receipts[study_uid])

    def _release(self, association: Association) -> _Arrivals | None:
        with self._lock:
            self._open.discard(association)
            return self._arrivals.pop(association, None)

    def _reject(self, association: Association, reason: str, diagnostic: int) -> None:
        self._counters.add("associations_refused", reason)
        log().error("association refused", reason=reason, **_names(association))
        self._alerts.refused(peer_of(association), reason)
        pynetdicom_inside.reject(association, REJECTED_TRANSIENT, BY_PRESENTATION, diagnostic)

    def _check(self, header: ReceivedHeader, announced_uid: str) -> str | None:
        settings = self._settings
        if not header.series_uid or not header.sop_instance_uid:
            return "instance.no_uid"
        uids = (header.sop_instance_uid, header.series_uid, header.study_uid, *header.of_series)
        if not all(UID.fullmatch(uid) for uid in uids if uid):
            return "instance.malformed_uid"
        if header.sop_instance_uid != announced_uid:
            return "instance.uid_mismatch"
        if header.frames > settings.max_frames:
            return "instance.too_many_frames"
        if header.pixels > settings.max_pixels:
            return "instance.too_many_pixels"
        if self._spool.free_bytes() < settings.min_free_mb * MB:
            return "spool.nearly_full"
        return None

    def _refuse(self, code: str, association: Association) -> int:
        self._counters.add("instances_refused", code)
        log().warning("instance refused", code=code, **_names(association))
        return REFUSALS[code]


def _ae_titles(association: Association) -> tuple[str, str]:
    """Called and calling AE title of an association request; empty where none was read."""
    request = association.requestor.primitive
    if request is None:
        return "", ""
    return str(request.called_ae_title or "").strip(), str(request.calling_ae_title or "").strip()


def _names(association: Association) -> dict[str, str]:
    return {
        "calling_ae": cleaned(_ae_titles(association)[1]),
        "peer": str(association.requestor.address),
    }


def peer_of(association: Association) -> Peer:
    """Who requested an association: AE title, address, and the names in its certificate."""
    try:
        names = certificate_names(pynetdicom_inside.peer_certificate(association))
    except (OSError, ValueError):
        names = frozenset()
    of = _names(association)
    return Peer(of["calling_ae"], of["peer"], tuple(sorted(map(cleaned, names))))
