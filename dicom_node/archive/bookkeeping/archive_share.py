"""The connections that an archive allows, shared out among all runners that use it."""

from sqlalchemy import Engine, delete, insert, select, update

from dicom_node.archive.bookkeeping.screenings import SILENT_RUNNER_SECONDS
from dicom_node.archive.bookkeeping.tables import (
    ARCHIVE_SHARE,
    ARCHIVE_USE,
    RUNNER,
    database_now,
)

__all__ = ["ArchiveShare"]


class ArchiveShare:
    """One runner's part of an archive's connections.

    Each gets an equal part of what the archive allows, the runners that came first one more where
    it does not divide. Nobody gets what another still has, so that all together never have too
    many; one that comes when there are more runners than connections gets none until others end.

    Parameters
    ----------
    database
        As `tables.open_screenings` gives it.
    archive
        Its name, for which `Manners.prepare` has made a row.
    most
        Connections that it allows.
    runner
        Id of the runner.
    """

    def __init__(self, database: Engine, archive: str, most: int, runner: str) -> None:
        self._database = database
        self._archive = archive
        self._most = most
        self._runner = runner

    def allot(self, used: int) -> int:
        """Take or give back connections, as the number of runners asks for.

        Parameters
        ----------
        used
            How many this runner has open.

        Returns
        -------
        int
            How many it may have from now on.
        """
        mine = ARCHIVE_USE.c.archive == self._archive
        with self._database.begin() as connection:
            # the lock under which runners share: one after the other
            connection.execute(update(ARCHIVE_USE).where(mine).values(archive=self._archive))
            connection.execute(
                delete(ARCHIVE_SHARE).where(ARCHIVE_SHARE.c.runner.not_in(select(RUNNER.c.id)))
            )
            rows = connection.execute(
                select(RUNNER.c.id, ARCHIVE_SHARE.c.connections)
                .join(ARCHIVE_SHARE, ARCHIVE_SHARE.c.runner == RUNNER.c.id)
                .where(
                    ARCHIVE_SHARE.c.archive == self._archive,
                    RUNNER.c.beat > database_now() - SILENT_RUNNER_SECONDS,
                )
                .order_by(RUNNER.c.started, RUNNER.c.id)
            ).all()
            runners = [row.id for row in rows]
            if self._runner not in runners:
                runners.append(self._runner)
            part, rest = divmod(self._most, len(runners))
            part += runners.index(self._runner) < rest
            free = self._most - sum(row.connections for row in rows if row.id != self._runner)
            allowed = max(min(part, free), 0)
            had = {"archive": self._archive, "connections": max(allowed, used)}
            changed = update(ARCHIVE_SHARE).where(ARCHIVE_SHARE.c.runner == self._runner)
            if not connection.execute(changed.values(had)).rowcount:
                connection.execute(insert(ARCHIVE_SHARE).values(runner=self._runner, **had))
        return allowed
