"""One case from its description to its score."""

from typing import Any, TypeAlias

from bench.roi.cases import Case, build
from bench.roi.fields import FieldCase, run_field
from bench.roi.qualifying import QualifyingCase, run_qualifying
from bench.roi.scans import MovedScan, phantom_scan
from bench.roi.scoring import Score, measured, misnamed_or_told, score
from roi_extraction.phantom import PhantomTruth, make_phantom

__all__ = ["AnyCase", "run", "scan_of"]

AnyCase: TypeAlias = Case | FieldCase | QualifyingCase


def scan_of(case: Case) -> tuple[MovedScan, PhantomTruth | None]:
    """Make the scan of a case, and the truth if it is a phantom."""
    if case.patient is None:
        return build(case), None
    phantom = make_phantom(case.patient, case.seed)
    return phantom_scan(phantom), phantom.truth


def run(case: AnyCase) -> dict[str, Any]:
    """Measure one case."""
    about: dict[str, Any] = {
        "case": case.name, "group": case.group, "changes": case.changes, "complete": case.complete,
    }  # fmt: skip
    try:
        if isinstance(case, FieldCase):
            return run_field(case).as_json()
        if isinstance(case, QualifyingCase):
            return run_qualifying(case).as_json()
        scan, truth = scan_of(case)
        result, seconds = measured(scan.volume)
        if case.miscounted:
            return misnamed_or_told(result, seconds, **about).as_json()
        return score(scan, result, seconds, truth, **about).as_json()
    except Exception as error:  # a fault is a result too: it is shown, and counts as wrong
        return Score(outcome="fault", message=repr(error), **about).as_json()
