"""Headers are read and judged in a child process, few at a time."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dicom_node.pages.operation.rule_trial import Judgement, judgement
from dicom_node.settings.node import Acquisition, NodeSettings
from dicom_node.work.assessment_pool import SurveyPool

__all__ = ["ChildrenBusy", "RulesPool", "rules_pool"]

JUDGE_SECONDS = 60.0
"""Limit of one judgement; the headers of 1000 slices take some seconds."""

CHILD_MB = 2048
"""Address space of a child, of which its libraries take a half."""

MOST_AT_ONCE = 2

_places = threading.BoundedSemaphore(MOST_AT_ONCE)


class ChildrenBusy(Exception):
    """As many children as may be look at files already."""


def _in_child(paths: Sequence[Path], acquisition: Acquisition, alone: bool) -> Judgement:
    return judgement(paths, acquisition, alone=alone)


class RulesPool(SurveyPool):
    """Looks at files in children that a hostile file may end."""

    preload = (*SurveyPool.preload, "dicom_node.pages.operation.rule_trial")

    def judge(self, paths: Sequence[Path], acquisition: Acquisition, *, alone: bool) -> Judgement:
        """Let each rule judge files; see `rule_trial.judgement`.

        Raises
        ------
        AssessmentFailed
            The child died, ran out of time or memory, or failed in an unforeseen way.
        """
        return self._run(_in_child, JUDGE_SECONDS, list(paths), acquisition, alone)


@contextmanager
def rules_pool(settings: NodeSettings) -> Iterator[RulesPool]:
    """A pool for one look.

    Raises
    ------
    ChildrenBusy
        Others look just now.
    """
    if not _places.acquire(blocking=False):
        raise ChildrenBusy
    try:
        limits = settings.limits.model_copy(update={"memory_mb": CHILD_MB, "processes": 1})
        with RulesPool(settings.model_copy(update={"limits": limits})) as pool:
            yield pool
    finally:
        _places.release()
