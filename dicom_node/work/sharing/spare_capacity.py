"""A worker with free capacity takes assessments that wait on another machine.

A machine's own work comes first, and other machines have some seconds to begin their own. What is
taken is moved into a queue of this machine: if it dies too, others take the work from there.
"""

import time
from collections.abc import Callable

import sqlalchemy as sa
from dbos import DBOS, WorkflowStatus
from sqlalchemy.exc import IntegrityError

from dicom_node.logs import log
from dicom_node.records.instance_servers import listed_servers
from dicom_node.records.worker_table import WORKFLOW_VERSION
from dicom_node.work.sharing.takeover import Takeover
from dicom_node.work.work_queues import assess_queue, elsewhere_queue, home_of

__all__ = ["SpareCapacity", "is_taken", "move"]

SPARE_LOOK_SECONDS = 2.0
"""Seconds between two looks, with few workers."""

SPARE_LOOKS_PER_SECOND = 8.0
"""The most looks of all workers together: with many workers each looks more rarely."""

OWN_SECONDS = 5.0
"""So long work is seen to wait for the machine with its instances before another takes it."""

MOST_LISTED = 16
"""Assessments that are looked at at once, the oldest."""

MOVE = sa.text(
    "UPDATE dbos.workflow_status SET queue_name = :target "
    "WHERE workflow_uuid = :work AND status = 'ENQUEUED' AND queue_name = :source"
)

TAKEN = sa.text(
    "SELECT 1 FROM dbos.workflow_status WHERE deduplication_id = :study "
    "AND status IN ('ENQUEUED', 'PENDING') AND starts_with(queue_name, :queues) LIMIT 1"
)


def move(database: sa.Engine, work: str, source: str, target: str) -> bool:
    """Move work that waits in a queue into another; False if it waits there no longer.

    DBOS has no such function: its ``resume_workflow`` also takes up what already runs. This and
    `is_taken` are the only places that name its table (DBOS 3.4; held by a test).
    """
    try:
        with database.begin() as connection:
            values = {"work": work, "source": source, "target": target}
            return connection.execute(MOVE, values).rowcount > 0
    except IntegrityError:  # an assessment of the same study waits there
        return False


def is_taken(connection: sa.Connection, study: str) -> bool:
    """Whether another machine has an assessment of a study in its queue or in hand."""
    values = {"study": study, "queues": elsewhere_queue("")}
    return connection.execute(TAKEN, values).first() is not None


class SpareCapacity:
    """Looks for assessments that wait elsewhere, while this worker has none of its own to do.

    Parameters
    ----------
    database
        With the node's own tables.
    takeover
        Knows the spools whose workers are gone, and how many workers there are.
    home
        Name of this machine's spool.
    free
        Says how many more assessments this worker could do now.
    """

    def __init__(
        self, database: sa.Engine, takeover: Takeover, home: str, free: Callable[[], int]
    ) -> None:
        self._database = database
        self._takeover = takeover
        self._home = home
        self._free = free
        self._looked = 0.0
        self._seen: dict[str, float] = {}  # since when it is known that work waits

    def look(self) -> None:
        """Take as many assessments as there is capacity for, at most every `SPARE_LOOK_SECONDS`.

        Raises
        ------
        sqlalchemy.exc.SQLAlchemyError
            The database does not answer.
        """
        pause = max(SPARE_LOOK_SECONDS, self._takeover.alive / SPARE_LOOKS_PER_SECOND)
        if time.monotonic() - self._looked < pause or self._free() <= 0 or self._own_waits():
            return
        self._looked = time.monotonic()
        with self._database.connect() as connection:
            served = {home for home, server in listed_servers(connection).items() if server.alive}
        queues = [assess_queue(home) for home in served - {self._home}]
        queues += [elsewhere_queue(home) for home in self._takeover.gone_homes - {self._home}]
        if not queues:
            return
        waiting = DBOS.list_workflows(
            status="ENQUEUED",
            queue_name=queues,
            app_version=WORKFLOW_VERSION,
            limit=MOST_LISTED,
            load_output=False,
        )
        now = time.monotonic()
        self._seen = {work.workflow_id: self._seen.get(work.workflow_id, now) for work in waiting}
        ripe = [
            work
            for work in waiting
            if now - self._seen[work.workflow_id] >= OWN_SECONDS
            and home_of(work.input["args"] if work.input else ()) in served | {self._home}
        ]
        for work in ripe[: self._free()]:
            self._take(work)

    def _own_waits(self) -> bool:
        return bool(
            DBOS.list_workflows(
                status="ENQUEUED",
                queue_name=[assess_queue(self._home), elsewhere_queue(self._home)],
                limit=1,
                load_input=False,
                load_output=False,
            )
        )

    def _take(self, work: WorkflowStatus) -> None:
        source = str(work.queue_name)
        if move(self._database, work.workflow_id, source, elsewhere_queue(self._home)):
            log().info("took work from elsewhere", assessment=work.workflow_id)
