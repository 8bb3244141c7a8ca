"""The steps of a study's assessment: assess it, and write down an assessment that failed."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pydicom
import sqlalchemy as sa

from dicom_node.analysis.outcome import Outcome
from dicom_node.errors import (
    OUTDATED_READING,
    OUTDATED_TEXT,
    DiskFault,
    OperationalError,
    ReadingRefused,
    ReportInvalid,
)
from dicom_node.exchange.home_folder import GONE, OUTDATED, REASONS
from dicom_node.logs import log
from dicom_node.records.audit import AuditTrail
from dicom_node.records.followed_studies import follow_study
from dicom_node.records.withdrawals import Withdrawals
from dicom_node.reporting.objects.files import kept_objects
from dicom_node.reporting.report_history import (
    REPORT_FILE,
    KeptReport,
    file_digest,
    kept_reports,
    mark_withdrawn,
    standing_reports,
    withdrawn_by,
)
from dicom_node.spool.spool import Spool
from dicom_node.work.assessment_pool import AssessmentPool
from dicom_node.work.listing.study_records import StudyRecords
from dicom_node.work.sharing.interruption import Interrupted, until_it_answers
from dicom_node.work.sharing.outgoing import OutgoingObjects
from dicom_node.work.withdrawal_steps import kept_note
from dicom_node.work.work_queues import object_path
from roi_extraction.anatomy import Finding

__all__ = ["DISK_SECONDS", "AssessmentSteps"]

DISK_SECONDS = 10.0
"""Pause before a full disk is tried again, and before a process with a broken database ends."""


class AssessmentSteps:
    """Steps that may each be done again after a crash.

    Parameters
    ----------
    pool
        Where assessments run.
    spool
        Where the received instances lie.
    reports
        Folder of the reports, with a folder a study in it.
    audit
        Where each assessment is recorded.
    outgoing
        Where the objects go that are to be delivered.
    database
        With the node's own tables.
    home
        Name of the spool where there are several, else empty.
    records
        Where it is entered for the pages.
    stop
        Set when the process is to end.
    """

    def __init__(
        self,
        pool: AssessmentPool,
        spool: Spool,
        reports: Path,
        audit: AuditTrail,
        outgoing: OutgoingObjects,
        database: sa.Engine,
        home: str,
        records: StudyRecords,
        stop: threading.Event,
    ) -> None:
        self._pool = pool
        self._spool = spool
        self._reports = reports
        self._audit = audit
        self._outgoing = outgoing
        self._database = database
        self._home = home
        self._records = records
        self._stop = stop
        self._withdrawals = Withdrawals(spool.root.parent)
        self._studies: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def assess(
        self,
        identity: str,
        key: str,
        names: dict[str, list[str]],
        segmentations: dict[str, list[str]],
        findings: list[list[str]],
        hold: dict[str, str] | None = None,
        read: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Assess the series of one study in a child process.

        Parameters
        ----------
        identity
            Of the assessment; also the name of its report's folder.
        key
            Of the study in the spool.
        names
            File names of the images, by the key of their series.
        segmentations
            File names of the segmentation objects, by the key of the series that they segment.
        findings
            What the report must warn of: a code and a message each.
        hold
            Why the study is not assessed: ``state``, ``code`` and ``reason``; None if it is.
        read
            What a reader ``said`` of the report of an ``assessment``; None if nobody did.

        Returns
        -------
        dict
            ``state`` is ``reported``, ``refused`` or, for a report that must not be sent,
            ``failed``; with ``code``, and with ``report`` or ``reason`` where there is one, with
            ``objects``, the SHA-256 of what lies beside the report by the names of the files, and
            with ``displaced``: the reports and objects that stand under another patient, and with
            ``timings_s``: the seconds of each step of the analysis, by its name.

        Raises
        ------
        OperationalError
            The child died or was stopped; the step may be tried again.
        Interrupted
            The process is to end.
        """
        started = time.perf_counter()
        paths = self._paths(names, segmentations)
        if hold is None:
            hold = self._outdated(identity if read is None else read["assessment"], key, paths)
        if hold is not None and hold["state"] == "failed":
            return {**hold}
        if hold is not None:
            return self._refuse(identity, key, hold, len(paths))
        self._records.assessing(key, identity)
        log().info("assessing", assessment=identity, study=key, instances=len(paths))
        found = [Finding(code, message) for code, message in findings]
        folder = self._reports / key
        try:
            with self._studies[key]:
                said = None if read is None else read["said"]
                while (outcome := self._try(paths, folder / identity, found, said)) is None:
                    if self._stop.wait(DISK_SECONDS):
                        raise Interrupted
        except ReportInvalid as error:
            log().error("report invalid", assessment=identity, code=error.code, reason=str(error))
            return {"state": "failed", "code": error.code, "reason": str(error)}
        except ReadingRefused as error:
            log().warning("reading refused", assessment=identity, code=error.code)
            return {"state": "failed", "code": error.code, "reason": str(error)}
        except OperationalError as error:
            if self._stop.is_set():
                raise Interrupted from error
            log().warning("assessment interrupted", assessment=identity, reason=str(error))
            raise
        seconds = round(time.perf_counter() - started, 3)
        return self._conclude(identity, key, outcome, len(paths), seconds)

    def holds(
        self,
        identity: str,
        key: str,
        names: dict[str, list[str]],
        segmentations: dict[str, list[str]],
    ) -> bool:
        """Whether the files of an assessment lie here, and no newer ones of its study."""
        return self._outdated(identity, key, self._paths(names, segmentations)) is None

    def _paths(
        self, names: dict[str, list[str]], segmentations: dict[str, list[str]]
    ) -> list[Path]:
        paths = [path for series in names for path in self._spool.paths(series, names[series])]
        for series, objects in segmentations.items():
            paths += self._spool.segmentation_paths(series, objects)
        return paths

    def _outdated(self, identity: str, key: str, paths: list[Path]) -> dict[str, str] | None:
        """Why an assessment must not be done any more: its files are gone, or others came."""
        if not all(path.exists() for path in paths):
            return {"state": "failed", "code": GONE, "reason": REASONS[GONE]}
        if self._spool.newest_assessment(key) not in ("", identity):
            return {"state": "failed", "code": OUTDATED, "reason": REASONS[OUTDATED]}
        return None

    def _refuse(
        self, identity: str, key: str, hold: dict[str, str], instances: int
    ) -> dict[str, Any]:
        """Refuse a study before anything of it is read."""
        code, reason = hold["code"], hold["reason"]
        self._write_failure(identity, key, code, reason)
        outcome = Outcome(False, "", "", code, reason, (), None, {})
        return self._conclude(identity, key, outcome, instances, 0.0)

    def _write_failure(self, identity: str, key: str, code: str, reason: str) -> None:
        # imports what assesses, which a worker without failures never needs
        from dicom_node.analysis.report_folder import write_failure

        write_failure(self._reports / key / identity, code, reason)

    def _conclude(
        self, identity: str, key: str, outcome: Outcome, instances: int, seconds: float
    ) -> dict[str, Any]:
        """Log and record what an assessment led to, and give the step's result."""
        log().info(
            "assessed" if outcome.reported else "refused",
            assessment=identity,
            study=key,
            code=outcome.code,
            reason=outcome.message,
            stage=outcome.stage,
            warnings=list(outcome.warnings),
            others=list(outcome.others),
            seconds=seconds,
        )
        for kind, reason in outcome.unmade.items():
            log().error("object not made", assessment=identity, object=kind, reason=reason)
        state = "reported" if outcome.reported else "refused"
        self._audit.assessed(outcome.study_uid, identity, state, outcome.code, instances)
        if not outcome.reported:
            refusal = {
                "identity": identity,
                "study": key,
                "study_uid": outcome.study_uid,
                "folder": identity,
                **self._homed(),
            }
            self._outgoing.keep(refusal, outcome.objects)
            self._records.refused(
                *(key, identity, outcome.study_uid, outcome.code or "", outcome.message or ""),
                outcome.warnings,
            )
            return {
                "state": state,
                "code": outcome.code,
                "report": refusal,
                "objects": dict(outcome.objects),
            }
        self._displace(identity, key, outcome)
        report = {
            "identity": outcome.identity or "",
            "study": key,
            "study_uid": outcome.study_uid,
            "folder": outcome.folder,
            "sha256": outcome.sha256 or "",
            **self._homed(),
        }
        self._outgoing.keep(report, (REPORT_FILE, *outcome.objects))
        self._follow(key, outcome.folder)
        self._records.reported(key, identity, outcome.folder)
        return {
            "state": state,
            "code": None,
            "report": report,
            "objects": dict(outcome.objects),
            "displaced": self._to_withdraw(outcome.displaced),
            "timings_s": dict(outcome.timings_s),
        }

    def reject(self, key: str, said: Mapping[str, str]) -> dict[str, Any]:
        """Mark all reports of a study that stand as rejected by a reader.

        Parameters
        ----------
        key
            Of the study in the spool.
        said
            What the reader said, as `Rejection` holds it.

        Returns
        -------
        dict
            ``state`` is ``rejected``, with ``wrong``, the reports and their objects that are to be
            withdrawn; or ``failed``, with ``code`` and ``reason``, where the report that was read
            does not stand any more.
        """
        # imports what assesses, which a worker without readings never needs
        from dicom_node.records.reading import Rejection

        rejection = Rejection.model_validate(said)
        by = rejection.identity
        with self._studies[key]:
            reports = [
                kept
                for kept in kept_reports(self._reports / key)
                if withdrawn_by(kept.path) in (None, by)
            ]
            read = [r for r in standing_reports(reports) if r.uid == rejection.report_uid]
            if not read:
                self._records.not_carried_out(key, by, OUTDATED_TEXT)
                return {"state": "failed", "code": OUTDATED_READING, "reason": OUTDATED_TEXT}
            for report in reports:
                if mark_withdrawn(report.path, by, rejection):
                    log().warning("report rejected", assessment=report.folder, study=key)
                    self._audit.displaced(report.study_uid, by, report.folder)
        self._records.rejected(key, read[0].folder, rejection)
        return {"state": "rejected", "wrong": self._to_withdraw(reports)}

    def _to_withdraw(self, reports: Iterable[KeptReport]) -> list[dict[str, str]]:
        """Reports with the objects beside them, as `WithdrawalSteps.send` takes them."""
        found = [
            {
                "identity": report.folder,
                "study": report.study,
                "study_uid": report.study_uid,
                "folder": report.folder,
                "file": name,
                "sha256": digest,
                **self._homed(),
            }
            for report in reports
            for name, digest in (
                (REPORT_FILE, file_digest(report.path)),
                *kept_objects(report.path.parent).items(),
            )
        ]
        for sent in found if self._outgoing.shared else ():
            path = object_path(self._reports, sent)
            self._outgoing.keep(sent, (sent["file"], kept_note(path).name))
        return found

    def _follow(self, key: str, folder: str) -> None:
        """Keep what was measured, for following the scanner."""
        place = self._reports / key / folder
        document = pydicom.dcmread(place / REPORT_FILE, specific_tags=["StudyDate"])
        study_date = str(document.get("StudyDate") or "")
        try:
            report = json.loads((place / "report.json").read_bytes())
        except FileNotFoundError:  # an earlier report of which the document alone is kept
            return

        def follow(connection: sa.Connection) -> None:
            follow_study(connection, key, study_date, report)

        until_it_answers(self._database, self._stop, follow)

    def _homed(self) -> dict[str, str]:
        """Where the images of a report lie, for the work that only that machine can do."""
        return {"home": self._home} if self._home else {}

    def _displace(self, identity: str, key: str, outcome: Outcome) -> None:
        """Withdraw the reports that stand under another patient, before anything is sent."""
        for earlier in outcome.displaced:
            if mark_withdrawn(earlier.path, identity):
                log().error(
                    "report stands under another patient",
                    assessment=identity,
                    study=key,
                    others=[f"{earlier.study}/{earlier.folder}"],
                )
                self._withdrawals.add(earlier.study, earlier.folder)
                self._audit.displaced(earlier.study_uid, identity, earlier.folder)
            self._records.displaced(earlier.study, identity)

    def _try(
        self,
        paths: list[Path],
        folder: Path,
        findings: list[Finding],
        said: Mapping[str, Any] | None,
    ) -> Outcome | None:
        """Try once to assess; None if the disk did not take the report."""
        try:
            return self._pool.assess(
                paths, folder, folder.parent, findings, said, self._spool.root.parent
            )
        except DiskFault as error:
            log().error("disk fault", assessment=folder.name, code=error.code, reason=str(error))
            return None

    def report_failure(
        self, identity: str, key: str, code: str, reason: str, *, written: bool
    ) -> None:
        """Log and record an assessment that failed for good, and write its ``report.json``.

        Where the instances are gone or others count, what was written before is left alone; where
        it is not to be ``written``, as for a reader's word, the report stands as it did.
        """
        log().error("assessment failed", assessment=identity, code=code, reason=reason)
        if not written:
            self._records.not_carried_out(key, identity, reason)
        elif code in (GONE, OUTDATED):
            self._records.could_not(key, identity, code, reason)
        else:
            self._write_failure(identity, key, code, reason)
            self._records.failed(key, identity, code, reason)
        self._audit.assessed("", identity, "failed", code, 0)
