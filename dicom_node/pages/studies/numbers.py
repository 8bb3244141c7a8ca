"""How many studies there are of each kind, counted anew every few seconds."""

import threading
import time
from collections.abc import Callable, Mapping
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from dicom_node.records.listed_studies import StudyState, overview

__all__ = ["KEPT_SECONDS", "Numbers", "numbers_of"]

KEPT_SECONDS = 5.0
"""How long a count serves all visitors: to count goes through all studies."""

Numbers = Mapping[tuple[StudyState, str, str], int]
"""By state, verdict and category of L1."""

_kept: "WeakKeyDictionary[sa.Engine, tuple[float, Numbers]]" = WeakKeyDictionary()
_lock = threading.Lock()


def numbers_of(engine: sa.Engine, clock: Callable[[], float] = time.monotonic) -> Numbers:
    """As `overview`, at most `KEPT_SECONDS` old.

    Parameters
    ----------
    engine
        Of the node's own tables.
    clock
        Gives seconds.
    """
    with _lock:
        moment, numbers = _kept.get(engine, (0.0, {}))
        if not numbers or clock() - moment > KEPT_SECONDS:
            numbers = overview(engine)
            _kept[engine] = clock(), numbers
        return numbers
