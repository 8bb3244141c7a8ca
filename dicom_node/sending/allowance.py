"""How much a PACS may answer to one question, and for how long."""

import time

from dicom_node.errors import QueryFailed
from dicom_node.settings.work import Query

__all__ = ["MAX_MB", "Allowance"]

MAX_MB = 64
"""Most that a PACS may send to one question, MB: twenty reports with an image each have 15."""


class Allowance:
    """How many answers and bytes a question may still have, and until when.

    Parameters
    ----------
    settings
        The PACS: ``max_answers`` and ``total_seconds``.
    """

    def __init__(self, settings: Query) -> None:
        self._settings = settings
        self._answers = 0
        self._bytes = 0
        self._until = time.monotonic() + settings.total_seconds

    @property
    def seconds_left(self) -> float:
        """For one more message: at most ``timeout_seconds``, and never nothing at all."""
        left = self._until - time.monotonic()
        return max(0.01, min(self._settings.timeout_seconds, left))

    def count(self) -> None:
        """Count an answer.

        Raises
        ------
        QueryFailed
            It is one too many, or comes too late.
        """
        self._answers += 1
        if self._answers > self._settings.max_answers:
            raise QueryFailed(f"the PACS gave more than {self._settings.max_answers} answers")
        if self._time_is_over():
            raise self._too_late()

    def failure(self, reason: str) -> QueryFailed:
        """Why a question ended without its last answer.

        Parameters
        ----------
        reason
            What is said of it while there is time left. Afterwards a peer that is silent or cannot
            be reached is one that had no time any more.
        """
        return self._too_late() if self._time_is_over() else QueryFailed(reason)

    def take(self, size: int) -> bool:
        """Count received bytes; whether they are still allowed."""
        self._bytes += size
        return self._bytes <= MAX_MB * 1024 * 1024

    def _time_is_over(self) -> bool:
        return time.monotonic() >= self._until

    def _too_late(self) -> QueryFailed:
        return QueryFailed(f"the PACS was not done after {self._settings.total_seconds:g} s")
