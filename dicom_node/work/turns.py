"""The order of waiting work: senders take turns, so that a flood from one delays only its own."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

__all__ = ["Turns", "in_turns"]

T = TypeVar("T")


def in_turns(items: Iterable[T], sender_of: Callable[[T], str]) -> Iterator[T]:
    """Each sender's first item, then each one's second, and so on.

    >>> list(in_turns(["a1", "a2", "a3", "b1", "c1", "b2"], lambda item: item[0]))
    ['a1', 'b1', 'c1', 'a2', 'b2', 'a3']
    """
    waiting: defaultdict[str, deque[T]] = defaultdict(deque)
    for item in items:
        waiting[sender_of(item)].append(item)
    while waiting:
        for sender in list(waiting):
            yield waiting[sender].popleft()
            if not waiting[sender]:
                del waiting[sender]


class Turns:
    """Numbers work as it is queued, the lowest to be done first.

    A sender's work is numbered on from its last piece, but never before what is waiting now: who
    sends one study while a hundred of another wait comes next, and gains nothing by having been
    silent before.
    """

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def number(self, sender: str, waiting: int | None) -> int:
        """The number of a sender's next piece of work.

        Parameters
        ----------
        sender
            AE title.
        waiting
            Number of the piece that has waited longest; None if none waits.
        """
        if waiting is None:
            self._last.clear()
        number = max(self._last.get(sender, 0) + 1, waiting or 1)
        self._last[sender] = number
        return number
