"""What is done in one step of the work: assess a study, send a report, ask for commitment."""

import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pydicom
from pydicom.errors import InvalidDicomError

from dicom_node.errors import (
    DeliveryFailed,
    DiskFault,
    OperationalError,
    QueryFailed,
    ReportInvalid,
)
from dicom_node.logs import log
from dicom_node.records.audit import AuditTrail, Peer
from dicom_node.reporting.report_history import REPORT_FILE, file_digest
from dicom_node.sending.commitment import Commitments, request_commitment
from dicom_node.sending.delivery import send
from dicom_node.sending.pacs_query import PacsQuery
from dicom_node.settings.node import Destination, NodeSettings
from dicom_node.spool.spool import Spool
from dicom_node.uids import derived_uid
from dicom_node.work.analysis import Outcome
from dicom_node.work.assessment_pool import AssessmentPool
from dicom_node.work.report_folder import write_failure
from roi_extraction.anatomy import Finding

__all__ = ["DISK_SECONDS", "Interrupted", "WorkSteps"]

DISK_SECONDS = 10.0
"""Pause before a full disk is tried again, and before a process with a broken database ends."""


class Interrupted(BaseException):
    """Ends a workflow without any record of it, so that it is taken up after the next start."""


class WorkSteps:
    """The steps, each of which may be done again after a crash.

    Parameters
    ----------
    settings
        Of the node.
    pool
        Where assessments run.
    stop
        Set when the process is to end.
    """

    def __init__(self, settings: NodeSettings, pool: AssessmentPool, stop: threading.Event) -> None:
        self.settings = settings
        self.pool = pool
        self.stop = stop
        self.spool = Spool(settings.data_dir)
        self.reports = settings.data_dir / "reports"
        self.audit = AuditTrail.of(settings)
        self.commitments = Commitments(settings.data_dir)
        self.query = (
            None
            if settings.query is None
            else PacsQuery(settings.query, settings.listener.ae_title)
        )
        self._studies: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def assess(
        self,
        identity: str,
        key: str,
        names: dict[str, list[str]],
        segmentations: dict[str, list[str]],
        findings: list[list[str]],
    ) -> dict[str, Any]:
        """Assess the series of one study; failed is only a report that must not be sent."""
        started = time.perf_counter()
        paths = [path for series in names for path in self.spool.paths(series, names[series])]
        for series, objects in segmentations.items():
            paths += self.spool.segmentation_paths(series, objects)
        log().info("assessing", assessment=identity, study=key, instances=len(paths))
        found = [Finding(code, message) for code, message in findings]
        folder = self.reports / key
        try:
            with self._studies[key]:
                while (outcome := self._try(paths, folder / identity, found)) is None:
                    if self.stop.wait(DISK_SECONDS):
                        raise Interrupted
        except ReportInvalid as error:
            log().error("report invalid", assessment=identity, code=error.code, reason=str(error))
            return {"state": "failed", "code": error.code, "reason": str(error)}
        except OperationalError as error:
            if self.stop.is_set():
                raise Interrupted from error
            log().warning("assessment interrupted", assessment=identity, reason=str(error))
            raise
        log().info(
            "assessed" if outcome.reported else "refused",
            assessment=identity,
            study=key,
            code=outcome.code,
            reason=outcome.message,
            stage=outcome.stage,
            warnings=list(outcome.warnings),
            others=list(outcome.others),
            seconds=round(time.perf_counter() - started, 3),
        )
        state = "reported" if outcome.reported else "refused"
        self.audit.assessed(outcome.study_uid, identity, state, outcome.code, len(paths))
        if not outcome.reported:
            return {"state": state, "code": outcome.code}
        report = {
            "identity": outcome.identity or "",
            "study": key,
            "study_uid": outcome.study_uid,
            "folder": outcome.folder,
            "sha256": outcome.sha256 or "",
        }
        return {"state": state, "code": None, "report": report}

    def _try(self, paths: list[Path], folder: Path, findings: list[Finding]) -> Outcome | None:
        """One try to assess; None when the disk did not take the report."""
        try:
            return self.pool.assess(paths, folder, folder.parent, findings)
        except DiskFault as error:
            log().error("disk fault", assessment=folder.name, code=error.code, reason=str(error))
            return None

    def report_failure(self, identity: str, key: str, code: str, reason: str) -> None:
        """Write down an assessment that failed for good."""
        log().error("assessment failed", assessment=identity, code=code, reason=reason)
        write_failure(self.reports / key / identity, code, reason)
        self.audit.assessed("", identity, "failed", code, 0)

    def _path(self, report: dict[str, str]) -> Path:
        return self.reports / report["study"] / report["folder"] / REPORT_FILE

    def send(
        self, report: dict[str, str], destination: Destination, attempt: int
    ) -> dict[str, Any]:
        """Send the very document that was checked."""
        identity = report["identity"]
        path = self._path(report)
        try:
            if file_digest(path) != report["sha256"]:
                return {
                    "state": "failed",
                    "code": "report.changed",
                    "reason": "the file is not the one that was checked",
                }
            self._check_identity(path)
            status = send(path, destination, self.settings.listener.ae_title)
        except ReportInvalid as error:
            return {"state": "failed", "code": error.code, "reason": str(error)}
        except FileNotFoundError:
            reason = "the report is no longer on the disk"
            return {"state": "failed", "code": "report.gone", "reason": reason}
        except (DeliveryFailed, QueryFailed, OSError) as error:
            code = getattr(error, "code", OperationalError.code)
            reason = str(error) if isinstance(error, OperationalError) else type(error).__name__
            self._audit_delivery(report, destination, reason)
            log().warning(
                "delivery attempt failed",
                assessment=identity,
                destination=destination.name,
                attempt=attempt,
                code=code,
                reason=reason,
            )
            return {"state": "retrying", "code": code, "reason": reason}
        log().info(
            "delivered",
            assessment=identity,
            destination=destination.name,
            attempt=attempt,
            status=f"0x{status:04X}",
        )
        self._audit_delivery(report, destination, None)
        return {"state": "delivered", "code": f"0x{status:04X}"}

    def _audit_delivery(
        self, report: dict[str, str], destination: Destination, failure: str | None
    ) -> None:
        peer = Peer(destination.ae_title, f"{destination.host}:{destination.port}")
        self.audit.delivered(peer, report["study_uid"], report["identity"], failure)

    def _check_identity(self, path: Path) -> None:
        """Compare patient and study with what the PACS says now, where one is asked."""
        if self.query is None:
            return
        document = pydicom.dcmread(path, stop_before_pixels=True)
        try:
            theirs = self.query.identity(str(document.StudyInstanceUID))
        except QueryFailed as error:
            if self.query.settings.unanswered == "hold":
                raise
            log().warning("identity not checked", reason=str(error))
            return
        differing = theirs.differs(document) if theirs is not None else ()
        if differing:
            raise ReportInvalid(
                "report.pacs_identity",
                f"the PACS has another {', '.join(differing)} for this study: the report must "
                "not be sent",
            )

    def commitment(
        self,
        report: dict[str, str],
        destination: Destination,
        attempt: int,
        look: int,
        since: float,
    ) -> dict[str, Any]:
        """Ask at the first look, then see whether the answer has come."""
        identity = report["identity"]
        uid = derived_uid("commitment", identity, destination.name, str(attempt))
        reason = ""
        try:
            if look == 0:
                request_commitment(
                    pydicom.dcmread(self._path(report)),
                    uid,
                    destination,
                    self.settings.listener.ae_title,
                    self.commitments,
                )
            answer = self.commitments.answer(uid)
            if answer is not None and answer.committed:
                self.commitments.forget(uid)
                log().info("committed", assessment=identity, destination=destination.name)
                return {"state": "committed", "code": None}
            if answer is not None:
                self.commitments.forget(uid)
                reason = f"the peer does not keep the report {answer.reason}".strip()
            elif time.time() - since > destination.commitment_seconds:
                self.commitments.forget(uid)
                reason = f"no commitment within {destination.commitment_seconds:g} s"
        except (DeliveryFailed, OSError, InvalidDicomError) as error:
            reason = str(error) if isinstance(error, DeliveryFailed) else type(error).__name__
        if not reason:
            return {"state": "waiting", "code": None}
        log().warning(
            "not committed",
            assessment=identity,
            destination=destination.name,
            attempt=attempt,
            reason=reason,
        )
        return {"state": "retrying", "code": "node.not_committed", "reason": reason}
