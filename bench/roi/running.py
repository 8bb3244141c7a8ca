"""One case from its description to its score."""

from typing import Any

from bench.roi.cases import Case, build
from bench.roi.scans import MovedScan, phantom_scan
from bench.roi.scoring import Score, measured, score
from roi_extraction.phantom import PhantomParameters, make_phantom

__all__ = ["run"]


def run(case: Case) -> dict[str, Any]:
    """Measure one case."""
    about: dict[str, Any] = {
        "case": case.name, "group": case.group, "changes": case.changes, "complete": case.complete,
    }  # fmt: skip
    try:
        if case.scan == "phantom":
            phantom = make_phantom(PhantomParameters.random(case.seed), case.seed)
            scan: MovedScan = phantom_scan(phantom)
            about["true_hu"] = phantom.truth.hu
        else:
            scan = build(case)
        result, seconds = measured(scan.volume)
        return score(scan, result, seconds, **about).as_json()
    except Exception as error:  # a fault is a result too: it is shown, and counts as wrong
        about.pop("true_hu", None)
        return Score(outcome="fault", message=repr(error), **about).as_json()
