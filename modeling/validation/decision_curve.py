"""What acting on the model is worth, against acting on all or on none."""

from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.evaluation.figures import DECISION_THRESHOLDS, DECISIONS
from modeling.validation.discrimination import few_patients
from modeling.validation.patient_bootstrap import PatientDraws
from modeling.validation.predictions import STAGES, Predictions
from modeling.validation.weighted_measures import difference_of, mean_of, net_benefit_of

__all__ = ["decision_measures"]


def decision_measures(found: Predictions, draws: PatientDraws) -> dict[str, Any]:
    """Compute decision curves: net benefit per patient over thresholds.

    The shares of the stages are those of the table: net benefit belongs to its prevalence.

    Returns
    -------
    dict
        JSON-ready, by question: ``n`` (no, yes) and either ``curve``, a list of ``threshold``,
        ``model``, ``all``, ``none`` and ``gain``, the model less the better of all and none, or
        ``reason``.

    References
    ----------
    Vickers AJ, Elkin EB. Med Decis Making 2006, doi 10.1177/0272989X06295361.
    """
    curves: dict[str, Any] = {}
    for name, targets in DECISIONS.items():
        columns = [STAGES.index(stage) for stage in targets]
        positive = np.isin(found.stages, targets)
        probability = found.probabilities[:, columns].sum(axis=1)
        yes = int(positive.sum())
        curves[name] = {"n": [len(positive) - yes, yes]}
        reason = few_patients({"no": len(positive) - yes, "yes": yes})
        if reason is not None:
            curves[name]["reason"] = reason
            continue
        curves[name]["curve"] = _curve(probability, positive, draws)
    return curves


def _curve(
    probability: npt.NDArray[np.float64], positive: npt.NDArray[np.bool_], draws: PatientDraws
) -> list[dict[str, Any]]:
    everyone, nobody = np.ones(len(positive)), mean_of(np.zeros(len(positive)))
    measures, of_all = {}, {}
    for threshold in DECISION_THRESHOLDS:
        model = net_benefit_of(probability, positive, threshold)
        acting_on_all = net_benefit_of(everyone, positive, threshold)
        of_all[threshold] = float(acting_on_all(everyone[None, :])[0])
        better = acting_on_all if of_all[threshold] > 0 else nobody
        measures[f"model {threshold}"] = model
        measures[f"gain {threshold}"] = difference_of(model, better)
    estimates = draws.estimates(measures)
    return [
        {
            "threshold": threshold,
            "model": estimates[f"model {threshold}"].to_json(),
            "all": round(of_all[threshold], 4),
            "none": 0.0,
            "gain": estimates[f"gain {threshold}"].to_json(),
        }
        for threshold in DECISION_THRESHOLDS
    ]
