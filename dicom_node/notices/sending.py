"""Queued notices go out, each target in a thread of its own: one that hangs delays no other."""

import threading
from collections.abc import Callable, Sequence

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.logs import fault_fields, log
from dicom_node.notices.answers import NotTaken
from dicom_node.notices.notice import Notice
from dicom_node.notices.targets import NoticeTarget
from dicom_node.records.noticed.outgoing import (
    ClaimedNotice,
    claim_notice,
    end_notice,
    put_off_notice,
)

__all__ = ["Sender"]

SEND_LOOK_SECONDS = 5.0
"""How often a thread looks for notices, besides when it is told of one."""

FIRST_PAUSE_MS = 10_000
LONGEST_PAUSE_MS = 600_000
"""Pauses before a notice that was not taken is tried again: twice as long each time, at most."""

GIVEN_UP_MS = 24 * 3600 * 1000
"""A notice that was not taken for so long is given up."""

CLAIM_SPARE_MS = 60_000
"""How much longer than it may take a notice is claimed."""


class Sender:
    """Sends the notices for one target until it is stopped.

    Parameters
    ----------
    target
        Whom they are for.
    ledgers
        Databases in which they are queued.
    clock
        Gives the time by a connection's clock.
    stop
        Ends it.
    """

    def __init__(
        self,
        target: NoticeTarget,
        ledgers: Sequence[sa.Engine],
        clock: Callable[[sa.Connection], int],
        stop: threading.Event,
    ) -> None:
        self._target = target
        self._ledgers = ledgers
        self._clock = clock
        self._stop = stop
        self._queued = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait until what is being sent is sent and marked, once it was told to stop."""
        self._queued.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def look(self) -> None:
        """Look for notices now."""
        self._queued.set()

    def send_due(self) -> int:
        """Send what is due now; how many were tried."""
        tried = 0
        for ledger in self._ledgers:
            try:
                while not self._stop.is_set() and (claimed := self._claim(ledger)):
                    tried += 1
                    self._send(ledger, claimed)
            except SQLAlchemyError as error:
                log().warning("database does not answer", error=type(error).__name__)
        return tried

    def _run(self) -> None:
        while not self._stop.is_set():
            self._queued.clear()
            try:
                self.send_due()
            except Exception as error:
                log().error("unforeseen fault", **fault_fields(error))
            self._queued.wait(SEND_LOOK_SECONDS)

    def _claim(self, ledger: sa.Engine) -> ClaimedNotice | None:
        with ledger.begin() as connection:
            now = self._clock(connection)
            until = now + round(self._target.seconds * 1000) + CLAIM_SPARE_MS
            return claim_notice(connection, self._target.name, now, until)

    def _send(self, ledger: sa.Engine, claimed: ClaimedNotice) -> None:
        fields = {"condition": claimed.kind, "target": claimed.target, "attempt": claimed.attempts}
        reason = ""
        try:
            answer = self._target.send(Notice.model_validate_json(claimed.content))
            log().info("notice sent", reason=answer, **fields)
        except NotTaken as error:
            reason = str(error)
        except Exception as error:
            reason = type(error).__name__
            log().error("unforeseen fault", **fault_fields(error))
        with ledger.begin() as connection:
            now = self._clock(connection)
            if not reason:
                end_notice(connection, claimed, now, taken=True)
            elif now - claimed.moment >= GIVEN_UP_MS:
                log().error("notice given up", reason=reason, **fields)
                end_notice(connection, claimed, now, taken=False, reason=reason)
            else:
                log().warning("notice not taken", reason=reason, **fields)
                pause = FIRST_PAUSE_MS * 2 ** min(claimed.attempts - 1, 20)
                due = now + min(pause, LONGEST_PAUSE_MS)
                put_off_notice(connection, claimed, due, reason)
