"""What the worker enters for the pages: its list of studies, their deliveries and events.

Everything may be entered again, as a step that is repeated after a crash does, and waits while the
database does not answer.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from dicom_node.records.listed_studies import StudyState
from dicom_node.records.reading import Rejection
from dicom_node.records.study_deliveries import (
    DeliveryState,
    list_delivery,
    list_withdrawal,
    queue_delivery,
)
from dicom_node.records.study_events import NODE, StudyEvent, note_event, turn_of
from dicom_node.records.study_listing import (
    StudyResult,
    list_result,
    list_state,
    list_study,
    list_verdict,
)
from dicom_node.study_facts import StudyHeader
from dicom_node.work.listing.kept_readings import KeptReading, keep_reading
from dicom_node.work.listing.read_study import read_study
from dicom_node.work.listing.reported_study import reported_study
from dicom_node.work.sharing.interruption import until_it_answers
from dicom_node.work.work_queues import object_file, object_work
from roi_extraction.anatomy import Finding

__all__ = ["StudyRecords", "delivery_place"]

EVENTS = {
    DeliveryState.DELIVERED: StudyEvent.DELIVERED,
    DeliveryState.COMMITTED: StudyEvent.COMMITTED,
    DeliveryState.RETRYING: StudyEvent.RETRYING,
    DeliveryState.FAILED: StudyEvent.DELIVERY_FAILED,
    DeliveryState.WITHDRAWN: StudyEvent.WITHDRAWN,
}
"""Which event a state of a delivery is; waiting and sending are none."""

READ_EVENTS = {
    "accepted": StudyEvent.ACCEPTED,
    "corrected": StudyEvent.CORRECTED,
    "rejected": StudyEvent.REJECTED,
}
"""Which event a reader's verdict is."""


class StudyRecords:
    """Enters studies, deliveries and events.

    Parameters
    ----------
    database
        With the node's own tables.
    reports
        Folder of the reports, with a folder a study in it.
    home
        Name of the spool where there are several, else empty.
    stop
        Set when the process is to end.
    """

    def __init__(
        self, database: sa.Engine, reports: Path, home: str, stop: threading.Event
    ) -> None:
        self._database = database
        self._reports = reports
        self._home = home
        self._stop = stop

    def waits(
        self, study: str, header: StudyHeader, received: float, lacks: Sequence[Finding]
    ) -> None:
        """Enter a study that waits for what is missing.

        Parameters
        ----------
        study
            Key of the study in the spool.
        header
            Of its images.
        received
            When its last instance arrived, in seconds since the epoch.
        lacks
            What is missing.
        """
        codes = ",".join(finding.code for finding in lacks)
        reason = "; ".join(finding.message for finding in lacks)
        moment = int(received * 1000)

        def enter(connection: sa.Connection) -> None:
            list_study(connection, study, header, moment, self._home)
            list_state(connection, study, StudyState.WAITING, codes, reason)
            note_event(connection, study, StudyEvent.WAITING, f"{moment}:{codes}", reason)

        until_it_answers(self._database, self._stop, enter)

    def queued(self, study: str, header: StudyHeader, received: float, identity: str) -> None:
        """Enter a study that is complete and waits for its turn; called before it is queued.

        Parameters
        ----------
        study, header, received
            As for `waits`.
        identity
            Of its assessment.
        """
        moment = int(received * 1000)

        def enter(connection: sa.Connection) -> None:
            list_study(connection, study, header, moment, self._home)
            list_state(connection, study, StudyState.WAITING)
            note_event(connection, study, StudyEvent.QUEUED, f"{identity}:{moment}")

        until_it_answers(self._database, self._stop, enter)

    def unchanged(
        self, study: str, header: StudyHeader, received: float, identity: str, state: str
    ) -> None:
        """Enter that a study that may have waited is as it was assessed before.

        Parameters
        ----------
        study, header, received, identity
            As for `queued`.
        state
            What came of the assessment.
        """
        code = reason = ""
        if state != StudyState.REPORTED:
            _, result = reported_study(self._reports / study / identity, identity)
            code, reason = result.code, result.reason

        def enter(connection: sa.Connection) -> None:
            list_study(connection, study, header, int(received * 1000), self._home)
            waits = [StudyState.WAITING]
            list_state(connection, study, StudyState(state), code, reason, instead_of=waits)

        until_it_answers(self._database, self._stop, enter)

    def assessing(self, study: str, identity: str) -> None:
        """Enter that an assessment begins."""

        def enter(connection: sa.Connection) -> None:
            list_study(connection, study, StudyHeader(), None, self._home)
            list_state(connection, study, StudyState.ASSESSING)
            turn = turn_of(connection, study, identity)
            note_event(connection, study, StudyEvent.ASSESSING, turn)

        until_it_answers(self._database, self._stop, enter)

    def reported(self, study: str, identity: str, folder: str) -> None:
        """Enter that an assessment led to the report in a folder.

        Reads the report, 5 ms.
        """
        header, result = reported_study(self._reports / study / folder, identity)
        event, who = READ_EVENTS.get(result.verdict, StudyEvent.REPORTED), result.reader or NODE
        said = None if result.verdict == "none" else read_study(self._reports / study / folder)
        detail = result.stage if result.result == "staged" else result.result
        self._ended(study, header, result, event, detail, who, said)

    def refused(
        self,
        study: str,
        identity: str,
        study_uid: str,
        code: str,
        reason: str,
        warnings: Sequence[str] = (),
    ) -> None:
        """Enter that an assessment was refused."""
        result = StudyResult(
            *(identity, identity, StudyState.REFUSED, code, reason, "refused"),
            warnings=tuple(warnings),
        )
        self._ended(study, StudyHeader(study_uid), result, StudyEvent.REFUSED, reason)

    def failed(self, study: str, identity: str, code: str, reason: str) -> None:
        """Enter that an assessment failed for good."""
        result = StudyResult(identity, identity, StudyState.FAILED, code, reason)
        self._ended(study, StudyHeader(), result, StudyEvent.FAILED, reason)

    def could_not(self, study: str, identity: str, code: str, reason: str) -> None:
        """Enter that an assessment could not be done any more, and left what was there before."""

        def enter(connection: sa.Connection) -> None:
            begun = [StudyState.WAITING, StudyState.ASSESSING]
            list_state(connection, study, StudyState.FAILED, code, reason, instead_of=begun)
            turn = turn_of(connection, study, identity)
            note_event(connection, study, StudyEvent.FAILED, turn, reason)

        until_it_answers(self._database, self._stop, enter)

    def _ended(
        self,
        study: str,
        header: StudyHeader,
        result: StudyResult,
        event: StudyEvent,
        detail: str,
        who: str = NODE,
        said: KeptReading | None = None,
    ) -> None:
        def enter(connection: sa.Connection) -> None:
            list_study(connection, study, header, None, self._home)
            list_result(connection, study, result)
            if said is not None:
                keep_reading(connection, said)
            turn = turn_of(connection, study, result.assessment)
            note_event(connection, study, event, turn, detail, who)

        until_it_answers(self._database, self._stop, enter)

    def rejected(self, study: str, folder: str, rejection: Rejection) -> None:
        """Enter that a reader rejected a report.

        Parameters
        ----------
        study
            Key of the study in the spool.
        folder
            Of the report that was read.
        rejection
            The reader's word.
        """
        header, result = reported_study(self._reports / study / folder, folder)
        said = read_study(self._reports / study / folder)

        def enter(connection: sa.Connection) -> None:
            list_study(connection, study, header, None, self._home)
            list_verdict(connection, study, result)
            if said is not None:
                keep_reading(connection, said)
            note_event(
                connection, study, StudyEvent.REJECTED, rejection.identity, rejection.reason,
                rejection.reader,
            )  # fmt: skip

        until_it_answers(self._database, self._stop, enter)

    def not_carried_out(self, study: str, identity: str, reason: str) -> None:
        """Enter that a reader's word was not carried out; the report stands as it did.

        Parameters
        ----------
        study
            Key of the study in the spool.
        identity
            Of the word.
        reason
            Why.
        """

        def enter(connection: sa.Connection) -> None:
            begun = [StudyState.ASSESSING]
            list_state(connection, study, StudyState.REPORTED, instead_of=begun)
            turn = turn_of(connection, study, identity)
            note_event(connection, study, StudyEvent.FAILED, turn, reason)

        until_it_answers(self._database, self._stop, enter)

    def displaced(self, study: str, by: str) -> None:
        """Enter that a report of a study was found to stand under another patient.

        Parameters
        ----------
        study
            Key of the study of that report.
        by
            Identity of the assessment that found it.
        """

        def enter(connection: sa.Connection) -> None:
            note_event(connection, study, StudyEvent.DISPLACED, by)

        until_it_answers(self._database, self._stop, enter)

    def delivery_waits(self, report: dict[str, str], destination: str) -> None:
        """Enter an object that waits to be sent; the parameters are those of `delivery`."""
        place, work = delivery_place(report, destination), f"{object_work(report, destination)}:1"

        def enter(connection: sa.Connection) -> None:
            queue_delivery(connection, place, work, 1)

        until_it_answers(self._database, self._stop, enter)

    def delivery(
        self,
        report: dict[str, str],
        destination: str,
        attempt: int,
        state: DeliveryState,
        outcome: dict[str, Any] | None = None,
    ) -> None:
        """Enter where an object is on its way.

        Parameters
        ----------
        report
            The object, as for `DeliverySteps.send`.
        destination
            By its name.
        attempt
            Number of the attempt, from 1.
        state
            Where it is now.
        outcome
            ``code`` and ``reason``, where there are any.
        """
        place = delivery_place(report, destination)
        work = f"{object_work(report, destination)}:{attempt}"
        code, reason = _why(outcome)

        def enter(connection: sa.Connection) -> None:
            list_delivery(connection, place, work, state, attempt, code, reason)
            if state in EVENTS:
                detail = _detail(place, attempt, reason)
                note_event(connection, report["study"], EVENTS[state], work, detail)

        until_it_answers(self._database, self._stop, enter)

    def withdrawal(
        self,
        report: dict[str, str],
        destination: str,
        attempt: int,
        event: StudyEvent,
        outcome: dict[str, Any],
    ) -> None:
        """Enter an attempt to withdraw an object, with its event.

        The other parameters are those of `delivery`.
        """
        place = delivery_place(report, destination)
        work = f"{object_work(report, destination)}:withdraw:{attempt}"
        code, reason = _why(outcome)
        ends = {
            StudyEvent.WITHDRAWN: DeliveryState.WITHDRAWN,
            StudyEvent.WITHDRAWAL_FAILED: DeliveryState.FAILED,
        }

        def enter(connection: sa.Connection) -> None:
            if event in ends:
                list_withdrawal(connection, place, work, ends[event], code, reason)
            note_event(connection, report["study"], event, work, _detail(place, attempt, reason))

        until_it_answers(self._database, self._stop, enter)


def delivery_place(report: dict[str, str], destination: str) -> dict[str, str]:
    """What a row of a delivery is found by.

    Parameters
    ----------
    report
        The object, as for `DeliverySteps.send`.
    destination
        By its name.
    """
    return {
        "study": report["study"],
        "folder": report["folder"],
        "file": object_file(report),
        "destination": destination,
    }


def _why(outcome: dict[str, Any] | None) -> tuple[str, str]:
    found = outcome or {}
    return str(found.get("code") or ""), str(found.get("reason") or "")


def _detail(place: dict[str, str], attempt: int, reason: str) -> str:
    words = f"{place['file']} to {place['destination']}, attempt {attempt}"
    return f"{words}: {reason}" if reason else words
