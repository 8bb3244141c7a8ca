"""The audit trail: who sent what, what was done with it, where it went (DICOM PS3.15, A.5).

One JSON object a line, with the names of the audit message schema, in one file a day; nothing is
ever written over. Patients are not named: a study is identified by its Study Instance UID.
"""

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydicom.uid import ComprehensiveSRStorage, KeyObjectSelectionDocumentStorage

from dicom_node.logs import log
from dicom_node.settings.node import NodeSettings

__all__ = ["AuditTrail", "Deed", "Peer", "Person"]

SECONDS_PER_DAY = 86_400

OUTCOME_SUCCESS, OUTCOME_MINOR, OUTCOME_SERIOUS = 0, 4, 8
"""Event outcome indicators (RFC 3881, 5.1.4)."""

CREATE, READ, UPDATE, DELETE, EXECUTE = "C", "R", "U", "D", "E"
"""Event action codes."""

APPLICATION_ACTIVITY = ("110100", "Application Activity")
INSTANCES_TRANSFERRED = ("110104", "DICOM Instances Transferred")
INSTANCES_ACCESSED = ("110103", "DICOM Instances Accessed")
SECURITY_ALERT = ("110113", "Security Alert")
USER_AUTHENTICATION = ("110114", "User Authentication")
APPLICATION_START = ("110120", "Application Start")
APPLICATION_STOP = ("110121", "Application Stop")
LOGIN = ("110122", "Login")
LOGOUT = ("110123", "Logout")
NODE_AUTHENTICATION = ("110126", "Node Authentication")
SECURITY_CONFIGURATION = ("110129", "Security Configuration")
USE_OF_RESTRICTED_FUNCTION = ("110132", "Use of Restricted Function")
USER_ATTRIBUTES_CHANGED = ("110137", "User Security Attributes Changed")
APPLICATION = ("110150", "Application")
DESTINATION_ROLE = ("110152", "Destination Role ID")
SOURCE_ROLE = ("110153", "Source Role ID")
STUDY_INSTANCE_UID = ("110180", "Study Instance UID")
SOP_CLASS_UID = ("110181", "SOP Class UID")
"""Codes of the scheme DCM (PS3.16, annex D)."""


@dataclass(frozen=True)
class Peer:
    """Another machine: AE title, address, and the names in its certificate."""

    ae_title: str
    address: str
    certificate_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Person:
    """Somebody who uses the node: the name by which they sign in, and their address.

    ``address`` is empty for who works on the machine itself.
    """

    name: str
    address: str


Deed = Literal[
    "accept", "reject", "correct", "retry", "discard", "settings",
    "try", "echo", "notify", "pause", "resume", "results",
]  # fmt: skip
"""What a person does on the pages."""

DEED_ACTIONS: Mapping[Deed, str] = {
    "accept": UPDATE,
    "reject": UPDATE,
    "correct": UPDATE,
    "retry": EXECUTE,
    "discard": DELETE,
    "settings": UPDATE,
    "try": EXECUTE,
    "echo": EXECUTE,
    "notify": EXECUTE,
    "pause": EXECUTE,
    "resume": EXECUTE,
    "results": EXECUTE,
}


class AuditTrail:
    """Appends audit messages to the day's file.

    Parameters
    ----------
    folder
        Where the files lie; None writes nothing.
    ae_title
        AE title of the node.
    keep_days
        Older files are removed when a day's first message is written; 0 keeps all.
    """

    def __init__(self, folder: Path | None, ae_title: str = "OSTEONODE", keep_days: int = 0):
        self._folder = folder
        self._ae_title = ae_title
        self._keep_days = keep_days
        self._self = {
            "UserID": ae_title,
            "UserIsRequestor": False,
            "NetworkAccessPointID": socket.gethostname(),
            "NetworkAccessPointTypeCode": 1,
        }

    @classmethod
    def of(cls, settings: NodeSettings) -> "AuditTrail":
        """The audit trail that the settings ask for."""
        chosen = settings.audit
        folder = (chosen.folder or settings.data_dir / "audit") if chosen.enabled else None
        return cls(folder, settings.listener.ae_title, chosen.keep_days)

    def started(self, process: str) -> None:
        """A process of the node began."""
        self._activity(process, APPLICATION_START)

    def stopped(self, process: str) -> None:
        """A process of the node ended as it should."""
        self._activity(process, APPLICATION_STOP)

    def refused(self, peer: Peer, reason: str, count: int = 1) -> None:
        """A connection, an association or a message was refused, ``count`` times."""
        self._write(
            SECURITY_ALERT, EXECUTE, OUTCOME_SERIOUS,
            [_participant(peer, SOURCE_ROLE, requestor=True), self._self],
            [], event_type=NODE_AUTHENTICATION,
            reason=reason if count == 1 else f"{reason}, {count} times",
        )  # fmt: skip

    def received(
        self,
        peer: Peer,
        study_uid: str,
        instances: Mapping[str, int],
        receipts: Mapping[str, int] | None = None,
    ) -> None:
        """A peer sent instances of a study.

        Parameters
        ----------
        peer
            Who sent them.
        study_uid
            Study Instance UID.
        instances
            How many, by SOP class.
        receipts
            How many were new, repeated, or different from what was received under the same UID.
        """
        self._write(
            INSTANCES_TRANSFERRED, CREATE, OUTCOME_SUCCESS,
            [_participant(peer, SOURCE_ROLE, requestor=True), self._own(DESTINATION_ROLE)],
            [_study(study_uid, instances, **_texts(receipts or {}))],
        )  # fmt: skip

    def assessed(
        self, study_uid: str, assessment: str, state: str, code: str | None, instances: int
    ) -> None:
        """A series was assessed: ``state`` is reported, refused or failed, ``code`` says why."""
        self._write(
            INSTANCES_ACCESSED, READ, OUTCOME_SUCCESS if state == "reported" else OUTCOME_MINOR,
            [{**self._self, "UserIsRequestor": True}],
            [_study(study_uid, {"": instances}, assessment=assessment, state=state)],
            reason=code,
        )  # fmt: skip

    def delivered(self, peer: Peer, study_uid: str, assessment: str, failure: str | None) -> None:
        """A report was sent to a destination, or an attempt failed."""
        self._write(
            INSTANCES_TRANSFERRED, READ, OUTCOME_MINOR if failure else OUTCOME_SUCCESS,
            [self._own(SOURCE_ROLE, requestor=True), _participant(peer, DESTINATION_ROLE)],
            [_study(study_uid, {ComprehensiveSRStorage: 1}, assessment=assessment)],
            reason=failure,
        )  # fmt: skip

    def displaced(self, study_uid: str, assessment: str, report: str) -> None:
        """A report was found to stand under another patient or study than its images now do."""
        self._write(
            SECURITY_ALERT, EXECUTE, OUTCOME_SERIOUS,
            [{**self._self, "UserIsRequestor": True}],
            [_study(study_uid, {}, assessment=assessment, report=report)],
            reason="report stands under another patient",
        )  # fmt: skip

    def withdrawn(self, peer: Peer, study_uid: str, assessment: str, failure: str | None) -> None:
        """A note that a report is withdrawn was sent to a destination, or an attempt failed."""
        self._write(
            INSTANCES_TRANSFERRED, READ, OUTCOME_MINOR if failure else OUTCOME_SUCCESS,
            [self._own(SOURCE_ROLE, requestor=True), _participant(peer, DESTINATION_ROLE)],
            [_study(study_uid, {KeyObjectSelectionDocumentStorage: 1}, assessment=assessment)],
            reason=failure,
        )  # fmt: skip

    def discarded(self, study_key: str, items: Mapping[str, int]) -> None:
        """An administrator removed received instances; ``items`` counts them by item."""
        self._write(
            INSTANCES_ACCESSED, DELETE, OUTCOME_SUCCESS,
            [{**self._self, "UserIsRequestor": True, "AlternativeUserID": "discard"}],
            [_study("", {}, study=study_key, **_texts(items))],
        )  # fmt: skip

    def logged_in(self, person: Person) -> None:
        """Somebody signed in on the pages."""
        self._authenticated(person, LOGIN, OUTCOME_SUCCESS)

    def logged_out(self, person: Person) -> None:
        """Somebody signed out."""
        self._authenticated(person, LOGOUT, OUTCOME_SUCCESS)

    def login_refused(self, person: Person, reason: str, count: int = 1) -> None:
        """Somebody was not let in, ``count`` times."""
        words = reason if count == 1 else f"{reason}, {count} times"
        self._authenticated(person, LOGIN, OUTCOME_MINOR, words)

    def function_refused(self, person: Person, reason: str, count: int = 1) -> None:
        """Somebody asked for what is not for their role, or by a forged form."""
        self._write(
            SECURITY_ALERT, EXECUTE, OUTCOME_SERIOUS, self._parties(person), [],
            event_type=USE_OF_RESTRICTED_FUNCTION,
            reason=reason if count == 1 else f"{reason}, {count} times",
        )  # fmt: skip

    def looked(self, person: Person, study_uid: str, what: str) -> None:
        """Somebody looked at a study, or at a list of studies (``study_uid`` is then empty).

        Parameters
        ----------
        person
            Who.
        study_uid
            Study Instance UID.
        what
            Name of the page.
        """
        self._write(
            INSTANCES_ACCESSED, READ, OUTCOME_SUCCESS, self._parties(person),
            [_study(study_uid, {}, page=what)],
        )  # fmt: skip

    def acted(
        self, person: Person, deed: Deed, study_uid: str = "", failure: str | None = None,
        **details: str,
    ) -> None:  # fmt: skip
        """Somebody did something on the pages, or tried to.

        Parameters
        ----------
        person
            Who.
        deed
            What.
        study_uid
            Study Instance UID, where it concerns one.
        failure
            Why it was not done; None if it was.
        details
            What else identifies it, without anything of a patient.
        """
        event, kind = INSTANCES_ACCESSED, None
        if deed == "settings":
            event, kind = SECURITY_ALERT, SECURITY_CONFIGURATION
        self._write(
            event, DEED_ACTIONS[deed], OUTCOME_MINOR if failure else OUTCOME_SUCCESS,
            self._parties(person), [_study(study_uid, {}, deed=deed, **details)],
            event_type=kind, reason=failure,
        )  # fmt: skip

    def account_changed(self, account: str, change: str, person: Person) -> None:
        """An account was added, removed, unlocked, or got another password or other roles."""
        self._write(
            SECURITY_ALERT, EXECUTE, OUTCOME_SUCCESS, self._parties(person), [_user(account)],
            event_type=USER_ATTRIBUTES_CHANGED, reason=change,
        )  # fmt: skip

    def _authenticated(
        self, person: Person, kind: tuple[str, str], outcome: int, reason: str | None = None
    ) -> None:
        self._write(
            USER_AUTHENTICATION, EXECUTE, outcome, self._parties(person), [],
            event_type=kind, reason=reason,
        )  # fmt: skip

    def _parties(self, person: Person) -> list[dict[str, Any]]:
        user: dict[str, Any] = {"UserID": person.name, "UserIsRequestor": True}
        if person.address:
            user |= {"NetworkAccessPointID": person.address, "NetworkAccessPointTypeCode": 2}
        return [user, self._self]

    def _activity(self, process: str, event_type: tuple[str, str]) -> None:
        self._write(
            APPLICATION_ACTIVITY, EXECUTE, OUTCOME_SUCCESS,
            [{**self._self, "AlternativeUserID": f"{process} {os.getpid()}",
              "RoleIDCode": [_code(APPLICATION)]}],
            [], event_type=event_type,
        )  # fmt: skip

    def _own(self, role: tuple[str, str], *, requestor: bool = False) -> dict[str, Any]:
        return {**self._self, "UserIsRequestor": requestor, "RoleIDCode": [_code(role)]}

    def _write(
        self,
        event: tuple[str, str],
        action: str,
        outcome: int,
        participants: Sequence[Mapping[str, Any]],
        objects: Sequence[Mapping[str, Any]],
        *,
        event_type: tuple[str, str] | None = None,
        reason: str | None = None,
    ) -> None:
        if self._folder is None:
            return
        now = datetime.now(UTC)
        identification: dict[str, Any] = {
            "EventID": _code(event),
            "EventActionCode": action,
            "EventDateTime": now.isoformat(timespec="milliseconds"),
            "EventOutcomeIndicator": outcome,
        }
        if event_type is not None:
            identification["EventTypeCode"] = [_code(event_type)]
        if reason is not None:
            identification["EventOutcomeDescription"] = reason
        message = {
            "EventIdentification": identification,
            "ActiveParticipant": list(participants),
            "AuditSourceIdentification": {
                "AuditSourceID": f"{self._ae_title}@{socket.gethostname()}",
                "AuditSourceTypeCode": ["4"],
            },
            "ParticipantObjectIdentification": list(objects),
        }
        self._append(now, json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def _append(self, now: datetime, line: bytes) -> None:
        """Append one line by one write: processes that share the file do not mix their lines."""
        assert self._folder is not None
        path = self._folder / f"audit-{now:%Y-%m-%d}.jsonl"
        try:
            if not path.exists():
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._remove_old()
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)
        except OSError as error:
            log().error("audit not written", error=str(error.strerror))

    def _remove_old(self) -> None:
        if not self._keep_days or self._folder is None:
            return
        oldest = time.time() - self._keep_days * SECONDS_PER_DAY
        for path in self._folder.glob("audit-*.jsonl"):
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)


def _code(code: tuple[str, str]) -> dict[str, str]:
    return {"csd-code": code[0], "codeSystemName": "DCM", "originalText": code[1]}


def _texts(counts: Mapping[str, int]) -> dict[str, str]:
    return {name: str(count) for name, count in counts.items()}


def _participant(peer: Peer, role: tuple[str, str], *, requestor: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {
        "UserID": peer.ae_title,
        "UserIsRequestor": requestor,
        "RoleIDCode": [_code(role)],
        "NetworkAccessPointID": peer.address,
        "NetworkAccessPointTypeCode": 2,
    }
    if peer.certificate_names:
        found["AlternativeUserID"] = ", ".join(peer.certificate_names)
    return found


def _user(name: str) -> dict[str, Any]:
    return {
        "ParticipantObjectID": name,
        "ParticipantObjectTypeCode": 1,
        "ParticipantObjectTypeCodeRole": 11,
        "ParticipantObjectIDTypeCode": {
            "csd-code": "11",
            "codeSystemName": "RFC-3881",
            "originalText": "User Identifier",
        },
    }


def _study(study_uid: str, instances: Mapping[str, int], **details: str) -> dict[str, Any]:
    return {
        "ParticipantObjectID": study_uid,
        "ParticipantObjectTypeCode": 2,
        "ParticipantObjectTypeCodeRole": 3,
        "ParticipantObjectIDTypeCode": _code(STUDY_INSTANCE_UID),
        "ParticipantObjectDetail": [
            {"type": name, "value": value} for name, value in details.items()
        ],
        "SOPClass": [
            {"UID": sop_class, "NumberOfInstances": count}
            for sop_class, count in sorted(instances.items())
        ],
    }
