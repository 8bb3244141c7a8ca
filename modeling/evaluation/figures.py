"""Scores of nested predictions: over all patients, with intervals, and by subgroup."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from modeling.calibration import PAIRS, Osteoporosis, pair_name
from modeling.cohort import AGE_COLUMN, SEX_COLUMN, Sex, Stage
from modeling.evaluation.nested_result import NestedPredictions
from modeling.metrics import (
    calibration_line,
    calibration_noise,
    four_class_scores,
    net_benefit,
    pair_aurocs,
    pair_precisions,
)

__all__ = [
    "AGE_BANDS",
    "DECISIONS",
    "OVERALL",
    "age_band",
    "chosen_counts",
    "coverage",
    "decision_curves",
    "figures",
    "intervals",
    "pair_figures",
    "rounded",
    "stage_figures",
    "subgroups",
    "within_folds",
]

Rows = npt.NDArray[np.intp]

AGE_BANDS: tuple[tuple[float, float], ...] = ((0, 60), (60, 70), (70, 80), (80, 200))
"""Subgroups by age in years: from, to below."""

MIN_SUBGROUP = 10
"""Patients of each of two stages below which a subgroup's AUROC says nothing: at 10 and 10 its
standard error is above .1 (Hanley 1982, doi 10.1148/radiology.143.1.7063747)."""

DECISION_THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(1, 15))
"""Thresholds of the decision curves: probabilities at or above which one would act."""

DECISIONS: Mapping[str, tuple[Stage, ...]] = {
    "osteoporosis, with or without fracture (C, D)": (Stage.C, Stage.D),
    "like patients with an osteoporotic fracture (D)": (Stage.D,),
}
"""Questions of the decision curves, each with the stages that mean yes."""

OVERALL = (
    "macro_auroc", "balanced_accuracy", "qwk", "brier", "ece", "classwise_ece", "coverage",
    "set_size",
)  # fmt: skip
"""Measures over all pairs and stages."""


def figures(
    predictions: Sequence[NestedPredictions], stages: npt.NDArray[Any], rows: Rows
) -> dict[str, float]:
    """Compute all measures over some patients, each the mean over the repeats.

    Parameters
    ----------
    predictions
        One outer cross-validation for each repeat.
    stages
        str, shape (n,): the stages of all patients.
    rows
        intp, shape (m,): the patients to score; one may stand more than once.
    """
    known = stages[rows]
    each = []
    for found in predictions:
        pairs = pair_aurocs({n: s[rows] for n, s in found.calibrated.items()}, known)
        sets = found.sets[rows]
        each.append(
            {
                **pairs,
                "mean_pair_auroc": float(np.mean(list(pairs.values()))),
                **four_class_scores(found.probabilities[rows], known),
                "coverage": float(_covered(sets, known).mean()),
                "set_size": float(sets.sum(axis=1).mean()),
            }
        )
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


def intervals(
    predictions: Sequence[NestedPredictions],
    stages: npt.NDArray[Any],
    rows: Rows,
    seed: int,
    bootstraps: int,
) -> dict[str, list[float]]:
    """Give percentile intervals of all measures over patients drawn again within their stages."""
    generator = np.random.default_rng(seed)
    groups = [rows[stages[rows] == stage] for stage in Stage]
    drawn = [
        figures(
            predictions,
            stages,
            np.concatenate([generator.choice(group, len(group)) for group in groups]),
        )
        for _ in range(bootstraps)
    ]
    return {name: _interval([one[name] for one in drawn]) for name in drawn[0]}


def pair_figures(
    predictions: Sequence[NestedPredictions], stages: npt.NDArray[Any], pair: tuple[Stage, Stage]
) -> dict[str, float]:
    """Give a pair's AUPRC, share of the later stage, calibration line and Brier score."""
    name = pair_name(pair)
    chosen = np.isin(stages, pair)
    later = stages[chosen] == pair[1]
    lines = [calibration_line(found.calibrated[name][chosen], later) for found in predictions]
    return {
        "auprc": rounded(
            np.mean([pair_precisions(found.calibrated, stages)[name] for found in predictions])
        ),
        "prevalence": rounded(later.mean()),
        "calibration_slope": rounded(np.mean([slope for slope, _ in lines])),
        "calibration_intercept": rounded(np.mean([intercept for _, intercept in lines])),
        "brier": rounded(
            np.mean([((f.calibrated[name][chosen] - later) ** 2).mean() for f in predictions])
        ),
    }


def within_folds(predictions: Sequence[NestedPredictions], stages: npt.NDArray[Any]) -> float:
    """Give the mean pair AUROC taken in each outer fold by itself, in place of pooled."""
    return float(
        np.mean(
            [
                list(
                    pair_aurocs(
                        {name: s[found.folds == fold] for name, s in found.calibrated.items()},
                        stages[found.folds == fold],
                    ).values()
                )
                for found in predictions
                for fold in np.unique(found.folds)
            ]
        )
    )


def stage_figures(
    predictions: Sequence[NestedPredictions], stages: npt.NDArray[Any], seed: int
) -> dict[str, Any]:
    """Give the stages' calibration slopes, the errors' noise floor and the answers on osteoporosis.

    Returns
    -------
    dict
        ``stage_slopes`` by stage; ``ece_noise`` and ``classwise_ece_noise``: the errors of stages
        drawn from the probabilities themselves; ``osteoporosis``: the share ``decided``, and the
        shares of those with C or D (``coverage_yes``) and with A or B (``coverage_no``) who are not
        told the contrary.
    """
    slopes = {
        stage.value: rounded(
            np.mean(
                [calibration_line(f.probabilities[:, k], stages == stage)[0] for f in predictions]
            )
        )
        for k, stage in enumerate(Stage)
    }
    noise = np.mean([calibration_noise(f.probabilities, seed) for f in predictions], axis=0)
    has = np.isin(stages, (Stage.C, Stage.D))
    answers = [found.osteoporosis for found in predictions]
    return {
        "stage_slopes": slopes,
        "ece_noise": rounded(noise[0]),
        "classwise_ece_noise": rounded(noise[1]),
        "osteoporosis": {
            "decided": rounded(np.mean([a != Osteoporosis.UNDETERMINED for a in answers])),
            "coverage_yes": rounded(np.mean([a[has] != Osteoporosis.NO for a in answers])),
            "coverage_no": rounded(np.mean([a[~has] != Osteoporosis.YES for a in answers])),
        },
    }


def _covered(sets: npt.NDArray[np.bool_], stages: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    columns = np.array([list(Stage).index(Stage(stage)) for stage in stages])
    return np.asarray(sets[np.arange(len(stages)), columns])


def coverage(
    predictions: Sequence[NestedPredictions], stages: npt.NDArray[Any], rows: Rows
) -> float:
    """Give the share of some patients whose prediction set holds their stage."""
    return float(np.mean([_covered(f.sets[rows], stages[rows]).mean() for f in predictions]))


def subgroups(
    predictions: Sequence[NestedPredictions],
    cohort: pd.DataFrame,
    stages: npt.NDArray[Any],
    seed: int,
    bootstraps: int,
) -> list[dict[str, Any]]:
    """Score each sex and age band, or say why not; a pair with too few patients is left out."""
    sexes = cohort[SEX_COLUMN].to_numpy()
    ages = cohort[AGE_COLUMN].to_numpy()
    groups = [(sex.value, sexes == sex.cohort_code) for sex in Sex]
    groups += [(age_band(low, high), (ages >= low) & (ages < high)) for low, high in AGE_BANDS]
    found = []
    for name, chosen in groups:
        rows = np.flatnonzero(chosen)
        counts = {s.value: int((stages[rows] == s).sum()) for s in Stage}
        small = [stage for stage, count in counts.items() if count < MIN_SUBGROUP]
        usable = [pair for pair in PAIRS if not set(small) & set(pair)]
        entry: dict[str, Any] = {"group": name, "patients": counts}
        if not usable:
            entry["reason"] = f"fewer than {MIN_SUBGROUP} patients of {', '.join(small)}"
            found.append(entry)
            continue
        names = [pair_name(pair) for pair in usable]
        entry["pairs"] = names
        entry |= _subgroup_figures(predictions, stages, rows, names, seed, bootstraps)
        if small:
            entry["reason"] = (
                f"without the pairs of {', '.join(small)}: fewer than {MIN_SUBGROUP} patients"
            )
        found.append(entry)
    return found


def _subgroup_figures(
    predictions: Sequence[NestedPredictions],
    stages: npt.NDArray[Any],
    rows: Rows,
    names: Sequence[str],
    seed: int,
    bootstraps: int,
) -> dict[str, Any]:
    def mean_auroc(of: Rows) -> float:
        each = []
        for found in predictions:
            aurocs = pair_aurocs({n: s[of] for n, s in found.calibrated.items()}, stages[of])
            each += [aurocs[name] for name in names]
        return float(np.mean(each))

    generator = np.random.default_rng(seed)
    groups = [rows[stages[rows] == stage] for stage in Stage]
    drawn = [
        mean_auroc(np.concatenate([generator.choice(g, len(g)) for g in groups if len(g)]))
        for _ in range(bootstraps)
    ]
    return {
        "mean_pair_auroc": rounded(mean_auroc(rows)),
        "ci": _interval(drawn),
        "coverage": rounded(coverage(predictions, stages, rows)),
    }


def decision_curves(
    predictions: Sequence[NestedPredictions], stages: npt.NDArray[Any]
) -> dict[str, list[dict[str, float]]]:
    """Give the net benefit by the model and of acting on all, for each of `DECISIONS`."""
    curves = {}
    order = list(Stage)
    for name, targets in DECISIONS.items():
        positive = np.isin(stages, targets)
        columns = [order.index(stage) for stage in targets]
        curves[name] = [
            {
                "threshold": threshold,
                "model": rounded(
                    np.mean(
                        [
                            net_benefit(
                                f.probabilities[:, columns].sum(axis=1), positive, threshold
                            )
                            for f in predictions
                        ]
                    )
                ),
                "all": rounded(net_benefit(np.ones(len(stages)), positive, threshold)),
                "none": 0.0,
            }
            for threshold in DECISION_THRESHOLDS
        ]
    return curves


def chosen_counts(predictions: Sequence[NestedPredictions]) -> dict[str, int]:
    """Count what the recipe chose over all folds, by name."""
    every = [name for found in predictions for name in found.chosen]
    return {name: every.count(name) for name in sorted(set(every))}


def age_band(low: float, high: float) -> str:
    """Name one of `AGE_BANDS`."""
    if low <= 0:
        return f"under {high:g} years"
    return f"{low:g} years and over" if high >= 200 else f"{low:g} to {high - 1:g} years"


def _interval(values: Sequence[float]) -> list[float]:
    return [rounded(np.quantile(values, q)) for q in (0.025, 0.975)]


def rounded(value: Any) -> float:
    """Round a figure to four places, as it is stated."""
    return round(float(value), 4)
