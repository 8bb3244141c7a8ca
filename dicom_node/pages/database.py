"""The node's database as the pages reach it, at the first request that needs it."""

import threading

import sqlalchemy as sa
from fastapi import Request

from dicom_node.files import make_private_folder
from dicom_node.records.database import open_database
from dicom_node.settings.node import NodeSettings

__all__ = ["NodeDatabase", "database"]

PAGE_CONNECTIONS = 6
"""Most connections of one web process to PostgreSQL."""


class NodeDatabase:
    """Opens the database when it is first asked for, so that the node's health needs none.

    Parameters
    ----------
    settings
        Of the node.
    """

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings
        self._engine: sa.Engine | None = None
        self._lock = threading.Lock()

    @property
    def engine(self) -> sa.Engine:
        """The tables, made if they are missing.

        Raises
        ------
        sqlalchemy.exc.SQLAlchemyError
            The database cannot be reached.
        """
        with self._lock:
            if self._engine is None:
                if not self._settings.on_postgresql:
                    make_private_folder(self._settings.data_dir.absolute())
                self._engine = open_database(
                    self._settings.database, connections=PAGE_CONNECTIONS, make=True
                )
            return self._engine

    def close(self) -> None:
        """Close all connections."""
        if self._engine is not None:
            self._engine.dispose()


def database(request: Request) -> sa.Engine:
    """Give a page the database: ``Annotated[sa.Engine, Depends(database)]``."""
    node_database: NodeDatabase = request.app.state.database
    return node_database.engine
