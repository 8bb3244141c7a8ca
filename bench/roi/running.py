"""One case from its description to its score."""

from typing import Any

from bench.roi.cases import Case, build
from bench.roi.scoring import Score, measured, score

__all__ = ["run"]


def run(case: Case) -> dict[str, Any]:
    """Measure one case."""
    about = {
        "case": case.name, "group": case.group, "changes": case.changes,
        "complete": case.complete,
    }  # fmt: skip
    try:
        scan = build(case)
        result, seconds = measured(scan.volume)
        return score(scan, result, seconds, **about).as_json()
    except Exception as error:  # a fault is a result too: it is shown, and counts as wrong
        return Score(outcome="fault", message=repr(error), **about).as_json()
