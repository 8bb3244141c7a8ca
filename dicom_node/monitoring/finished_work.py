"""The work that ended, counted as it comes."""

import time
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from dbos import DBOSClient

from dicom_node.records.work_totals import WorkTotals

__all__ = ["FinishedWork"]

FINISHED = ["SUCCESS", "ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "CANCELLED"]
"""States of a DBOS workflow that ended."""

PAGE = 1000
"""Finished workflows that are read at a time."""

OVERLAP_MS = 5000
"""Finished work is looked for again so far back: processes commit in any order."""


class FinishedWork:
    """Counts finished workflows as they come; each is counted once, however often it is read."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._read_until_ms = 0
        self._began = False
        self.totals = WorkTotals()

    def read(self, client: DBOSClient, tables: sa.Engine | None) -> None:
        """Count what ended since the last reading; the first time also what was purged.

        Parameters
        ----------
        client
            Of the workflow engine.
        tables
            The node's own tables; None if there are none yet.
        """
        if not self._began and tables is not None:
            with tables.connect() as connection:
                self.totals.add_purged(connection)
        self._began = True
        since = max(self._read_until_ms - OVERLAP_MS, 0)
        offset = 0
        while True:
            page = client.list_workflows(
                status=FINISHED,
                completed_after=_iso(since),
                load_input=False,
                limit=PAGE,
                offset=offset,
            )
            self._count(page)
            if len(page) < PAGE:
                break
            offset += PAGE
        oldest = self._read_until_ms - 2 * OVERLAP_MS
        self._seen = {key: ended for key, ended in self._seen.items() if ended >= oldest}

    def _count(self, works: Iterable[Any]) -> None:
        for work in works:
            ended = int(work.completed_at or work.updated_at or 0)
            if work.workflow_id in self._seen:
                continue
            self._seen[work.workflow_id] = ended
            self._read_until_ms = max(self._read_until_ms, ended)
            self.totals.count(work)


def _iso(milliseconds: int) -> str:
    moment = time.gmtime(milliseconds / 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", moment)
