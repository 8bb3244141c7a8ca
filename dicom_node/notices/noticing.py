"""The process that looks, settles and sends.

It is a process of its own, for a worker that hangs or dies cannot tell of it, and no target that
hangs may hold up any work. Of several machines on one database each looks at itself, and one of
them, which another follows when it is gone, at what concerns all.
"""

import socket
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.files import make_private_folder
from dicom_node.logs import fault_fields, log
from dicom_node.monitoring.status import Status, StatusReader
from dicom_node.notices.observing import MACHINE_KINDS, common_conditions, machine_conditions
from dicom_node.notices.sending import Sender
from dicom_node.notices.settling import settle
from dicom_node.notices.targets import notice_targets
from dicom_node.records.database import open_database
from dicom_node.records.heartbeat import keep_beating
from dicom_node.records.noticed.standing import (
    clock_ms,
    holds_watch,
    leave_watch,
    open_notice_file,
    settling,
)
from dicom_node.settings.node import NodeSettings

__all__ = ["Noticing", "run_noticing"]

NODE_LOOK_SECONDS = 30.0
"""Between two looks at the node."""

LAST_SECONDS = 2.0
"""How long the end waits for a notice that is being sent: one that is not marked is sent again."""

NOTICE_CONNECTIONS = 2
"""Most connections of one such process to PostgreSQL."""


class Noticing:
    """Looks at the node and queues the notices that are due.

    Parameters
    ----------
    settings
        Of the node, with notices.
    clock
        Gives the time by a connection's clock, UTC, ms since 1970.
    """

    def __init__(
        self, settings: NodeSettings, clock: Callable[[sa.Connection], int] = clock_ms
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._holder = f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
        self._reader = StatusReader(settings)
        kinds = () if settings.notices is None else settings.notices.conditions
        self._machine = [kind for kind in kinds if kind in MACHINE_KINDS]
        self._common = [kind for kind in kinds if kind not in MACHINE_KINDS]
        make_private_folder(settings.data_dir.absolute())
        self.own = open_notice_file(settings.data_dir)
        self.shared = open_database(settings.database, connections=NOTICE_CONNECTIONS)
        self._made = False

    @property
    def ledgers(self) -> tuple[sa.Engine, sa.Engine]:
        """The databases with the notices: this machine's own, and the node's."""
        return self.own, self.shared

    def close(self) -> None:
        """Leave the common conditions to another machine, and the databases."""
        if self._made:
            with suppress(SQLAlchemyError), settling(self.shared) as connection:
                leave_watch(connection, self._holder)
        self._reader.close()
        self.own.dispose()
        self.shared.dispose()

    def look(self) -> int:
        """Look once; how many notices were queued. A fault of a database is logged."""
        queued = 0
        status = self._reader.read()
        for settle_one in (self._settle_machine, self._settle_common):
            try:
                queued += settle_one(status)
            except SQLAlchemyError as error:
                log().warning("database does not answer", error=type(error).__name__)
        return queued

    def _settle_machine(self, status: Status) -> int:
        seen = list(machine_conditions(self._settings, status))
        with settling(self.own) as connection:
            now = self._clock(connection)
            return settle(connection, self._settings, self._machine, seen, now)

    def _settle_common(self, status: Status) -> int:
        if not self._common:
            return 0
        if not self._made:
            open_database(self._settings.database, make=True).dispose()
            self._made = True
        with settling(self.shared) as connection:
            if not holds_watch(connection, self._holder, self._clock(connection)):
                return 0
        seen = list(common_conditions(self._settings, status, self.shared))
        with settling(self.shared) as connection:
            now = self._clock(connection)
            if not holds_watch(connection, self._holder, now):
                return 0
            return settle(connection, self._settings, self._common, seen, now)


def run_noticing(settings: NodeSettings, stop: threading.Event) -> None:
    """Tell what is chosen until ``stop`` is set; nothing that fails ends it.

    Raises
    ------
    ValueError
        The settings have no section ``notices``.
    """
    if settings.notices is None:
        raise ValueError("no section [notices] in the settings")
    noticing = Noticing(settings)
    keep_beating(settings.counters_dir, "notify", stop)
    targets = notice_targets(settings.notices)
    senders = [Sender(target, noticing.ledgers, clock_ms, stop) for target in targets]
    log().info("noticing", number=len(targets))
    try:
        _look(noticing)  # first: it makes the tables
        for sender in senders:
            sender.start()
        while not stop.wait(NODE_LOOK_SECONDS):
            if _look(noticing):
                for sender in senders:
                    sender.look()
    finally:
        for sender in senders:
            sender.wait(LAST_SECONDS)
        noticing.close()


def _look(noticing: Noticing) -> int:
    try:
        return noticing.look()
    except Exception as error:
        log().error("unforeseen fault", **fault_fields(error))
        return 0
