"""The objects that are to be delivered: files, and on PostgreSQL rows that every worker can read.

On SQLite the one worker reads them where the assessment wrote them. On PostgreSQL they are kept in
a table too, from the assessment until all their deliveries ended: any worker can then deliver
without a shared folder, also while the machine that assessed is down. 400 KB a study lie there for
as long as its slowest destination takes; on SQLite they would only be written twice.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from dicom_node.records.database import outgoing_objects
from dicom_node.reporting.report_history import withdrawn_by
from dicom_node.work.sharing.interruption import until_it_answers
from dicom_node.work.work_queues import object_file, object_path

__all__ = ["OutgoingObjects"]

table = outgoing_objects


class OutgoingObjects:
    """The bytes of what is delivered, by the ``study``, ``folder`` and ``file`` of an object.

    Parameters
    ----------
    reports
        Folder of the reports of this machine.
    engine
        Of the database with the table; None where there is one worker.
    stop
        Set when the process is to end.
    """

    def __init__(
        self, reports: Path, engine: sa.Engine | None = None, stop: threading.Event | None = None
    ) -> None:
        self._reports = reports
        self._engine = engine
        self._stop = stop or threading.Event()

    def under(self, reports: Path) -> "OutgoingObjects":
        """The same objects, for reports in another folder."""
        return OutgoingObjects(reports, self._engine, self._stop)

    @property
    def shared(self) -> bool:
        """Whether they lie in the database."""
        return self._engine is not None

    def keep(self, report: Mapping[str, str], files: Iterable[str]) -> None:
        """Put files of a report's folder into the table; does nothing where there is none."""
        if self._engine is None:
            return
        folder = self._reports / report["study"] / report["folder"]
        rows = [
            {
                "study": report["study"],
                "folder": report["folder"],
                "file": file,
                "content": (folder / file).read_bytes(),
                "withdrawn_by": withdrawn_by(folder / file),
            }
            for file in files
        ]

        def store(connection: sa.Connection) -> None:
            for row in rows:
                put = insert(table).values(**row, stored=sa.func.clock_timestamp())
                renewed = {
                    name: put.excluded[name] for name in ("content", "withdrawn_by", "stored")
                }
                connection.execute(
                    put.on_conflict_do_update(index_elements=table.primary_key, set_=renewed)
                )

        until_it_answers(self._engine, self._stop, store)

    def read(self, sent: Mapping[str, str]) -> bytes:
        """The bytes of an object.

        Raises
        ------
        FileNotFoundError
            It is neither in the database nor on the disk.
        OSError
            The disk does not give it.
        """
        content = self.stored(sent)
        return object_path(self._reports, dict(sent)).read_bytes() if content is None else content

    def stored(self, sent: Mapping[str, str]) -> bytes | None:
        """The bytes of an object in the database; None if it is not there."""
        row = self._row(sent, table.c.content)
        return None if row is None else bytes(row[0])

    def withdrawn(self, sent: Mapping[str, str]) -> bool:
        """Whether a report was found to stand under another patient."""
        if withdrawn_by(object_path(self._reports, dict(sent))) is not None:
            return True
        row = self._row(sent, table.c.withdrawn_by)
        return row is not None and row[0] is not None

    def remove(self, open_studies: Callable[[], set[str]]) -> None:
        """Remove the objects of the studies of which no work is left.

        Parameters
        ----------
        open_studies
            Gives the keys of the studies of which work is queued, runs, or may be retried. What
            is stored after it was called stays.
        """
        if self._engine is None:
            return
        with self._engine.begin() as connection:
            now = connection.scalar(sa.select(sa.func.clock_timestamp()))
            held = set(connection.scalars(sa.select(table.c.study).distinct()))
        done = held - open_studies()
        if done:
            with self._engine.begin() as connection:
                connection.execute(
                    sa.delete(table).where(table.c.study.in_(done), table.c.stored < now)
                )

    def _row(self, sent: Mapping[str, str], column: "sa.Column[Any]") -> "sa.Row[Any] | None":
        if self._engine is None:
            return None
        wanted = sa.select(column).where(
            table.c.study == sent["study"],
            table.c.folder == sent["folder"],
            table.c.file == object_file(dict(sent)),
        )
        return until_it_answers(
            self._engine, self._stop, lambda connection: connection.execute(wanted).first()
        )
