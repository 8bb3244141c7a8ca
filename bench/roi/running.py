"""One case from its description to its score."""

from collections.abc import Mapping
from typing import Any

from bench.roi.cases import Case, build
from bench.roi.scans import MovedScan, phantom_scan
from bench.roi.scoring import Score, measured, misnamed_or_told, score
from roi_extraction.phantom import PhantomParameters, make_phantom

__all__ = ["run", "scan_of"]


def scan_of(case: Case) -> tuple[MovedScan, Mapping[str, float]]:
    """Make the scan of a case, and what is known of its HU."""
    if case.scan != "phantom":
        return build(case), {}
    phantom = make_phantom(PhantomParameters.random(case.seed), case.seed)
    return phantom_scan(phantom), phantom.truth.hu


def run(case: Case) -> dict[str, Any]:
    """Measure one case."""
    about: dict[str, Any] = {
        "case": case.name, "group": case.group, "changes": case.changes, "complete": case.complete,
    }  # fmt: skip
    try:
        scan, true_hu = scan_of(case)
        result, seconds = measured(scan.volume)
        if case.miscounted:
            return misnamed_or_told(result, seconds, **about).as_json()
        return score(scan, result, seconds, true_hu, **about).as_json()
    except Exception as error:  # a fault is a result too: it is shown, and counts as wrong
        return Score(outcome="fault", message=repr(error), **about).as_json()
