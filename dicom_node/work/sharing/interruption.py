"""The end of a workflow that is taken up again, and how a database that is down is waited for."""

import threading
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.logs import log

__all__ = ["Interrupted", "until_it_answers"]

T = TypeVar("T")

AGAIN_SECONDS = 1.0
"""Pause before a database that does not answer is asked again."""


class Interrupted(BaseException):
    """Ends a workflow without any record of it, so that it is taken up after the next start."""


def until_it_answers(
    database: sa.Engine, stop: threading.Event, act: Callable[[sa.Connection], T]
) -> T:
    """Do something with a database in one transaction, again for as long as it does not answer.

    A step must not fail because of an outage: its failure would be on record for good.

    Parameters
    ----------
    database
        With the node's own tables.
    stop
        Set when the process is to end.
    act
        What is done; it may be done more than once.

    Raises
    ------
    Interrupted
        The process is to end.
    """
    while True:
        try:
            with database.begin() as connection:
                return act(connection)
        except SQLAlchemyError as error:
            log().warning("database does not answer", error=type(error).__name__)
            if stop.wait(AGAIN_SECONDS):
                raise Interrupted from error
