"""How often prediction sets and answers on osteoporosis hold, and how much they decide."""

from typing import Any

import numpy as np

from modeling.calibration import COVERAGE, Osteoporosis
from modeling.cohort import Stage
from modeling.validation.patient_bootstrap import PatientDraws, wilson
from modeling.validation.predictions import Predictions
from modeling.validation.weighted_measures import mean_of

__all__ = ["coverage_measures", "covered"]


def covered(found: Predictions) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Say whose prediction set holds the stage of the reference; bool, shape (n,)."""
    return np.asarray((found.sets & (found.outcomes > 0)).any(axis=1))


def coverage_measures(found: Predictions, draws: PatientDraws) -> dict[str, Any]:
    """Count how often the sets hold the stage of the reference (Wilson intervals).

    Returns
    -------
    dict
        JSON-ready: ``intended``; ``all`` and ``by_stage`` with ``value``, ``ci`` and ``n``;
        ``set_size`` (mean, bootstrap interval); ``sizes``, the shares of sets of 1 to 4 stages;
        ``osteoporosis_decided``, the share of patients whose answer on osteoporosis (by the
        bundle's limits, as in the node's report) is yes or no; ``osteoporosis_by_class``, by
        ``yes`` (C or D by the reference) and ``no``: ``covered``, the share that is not told the
        contrary, ``decided`` and ``n``.
    """
    holds = covered(found)
    sizes = found.sets.sum(axis=1)
    decided = found.osteoporosis != Osteoporosis.UNDETERMINED
    by_stage = {}
    for stage in Stage:
        own = found.stages == stage
        share = wilson(int(holds[own].sum()), int(own.sum()))
        by_stage[stage.value] = {**share.to_json(), "n": int(own.sum())}
    size = draws.estimates({"size": mean_of(sizes.astype(np.float64))})["size"]
    return {
        "intended": COVERAGE,
        "all": {**wilson(int(holds.sum()), len(holds)).to_json(), "n": len(holds)},
        "by_stage": by_stage,
        "set_size": size.to_json(),
        "sizes": {str(k): round(float((sizes == k).mean()), 4) for k in range(1, 5)},
        "osteoporosis_decided": wilson(int(decided.sum()), len(decided)).to_json(),
        "osteoporosis_by_class": {
            "yes": _answered(found, found.osteoporotic, Osteoporosis.NO),
            "no": _answered(found, ~found.osteoporotic, Osteoporosis.YES),
        },
    }


def _answered(
    found: Predictions, own: np.ndarray[Any, np.dtype[np.bool_]], contrary: Osteoporosis
) -> dict[str, Any]:
    answers = found.osteoporosis[own]
    return {
        "covered": wilson(int((answers != contrary).sum()), len(answers)).to_json(),
        "decided": wilson(
            int((answers != Osteoporosis.UNDETERMINED).sum()), len(answers)
        ).to_json(),
        "n": len(answers),
    }
