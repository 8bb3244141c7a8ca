"""Feature elimination as a step of a study."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from modeling.calibration import PAIRS, pair_name
from modeling.cohort import SITE_NAMES, STAGE_COLUMN, Stage
from modeling.errors import StepNotPossible
from modeling.stacking.boosting import BaseModel, ModelSpec
from modeling.stacking.elimination import Elimination, Rule, eliminate, eliminate_apparent
from modeling.stacking.figures import plot_elimination
from modeling.stacking.published import PUBLISHED_FEATURES, PUBLISHED_FOLDS
from modeling.study.step import Figure, StepResult, StudyInput, StudyStep, Table

__all__ = ["ELIMINATION_STEP", "STUDY_CORE", "run_elimination"]

STUDY_CORE = ModelSpec.of(
    BaseModel.LIGHTGBM, n_estimators=200, max_depth=5, class_weight="balanced"
)
"""The published core with 200 of its 1000 rounds: after 200 the training patients are told apart
and the importances no longer change their order much."""

ELIMINATION_METHOD = (
    "Recursive feature elimination (Guyon 2002, doi 10.1023/A:1012487302797) with the core {core} "
    "over the sites, pair by pair. The least important site goes, one at a time, so one path "
    "serves all sizes. The nested curve has a path inside each of five folds, scored on the "
    "patients left out; its band is one standard error over folds. The apparent curve is the "
    "published one (Wang 2025): the path has seen all patients, and only the models of its sets "
    "are cross-validated. Missing values go down a side that the core learns. The chosen set is "
    "the end of the path over all patients; its size is that of the highest nested AUROC, or the "
    "least within one standard error of it."
)


def run_elimination(
    given: StudyInput, core: ModelSpec = STUDY_CORE, sites: Sequence[str] = SITE_NAMES
) -> StepResult:
    """Draw the curves of all pairs with one core, from ``sites`` down to one.

    Raises
    ------
    StepNotPossible
        No pair has enough patients of both stages.
    """
    nested: dict[str, Elimination] = {}
    apparent: dict[str, Elimination] = {}
    counts = given.cohort[STAGE_COLUMN].value_counts()
    small = [s.value for s in Stage if counts.get(s.value, 0) < PUBLISHED_FOLDS]
    usable = [pair for pair in PAIRS if not set(pair) & set(small)]
    if not usable:
        raise StepNotPossible(f"no two stages have {PUBLISHED_FOLDS} patients each, for the folds")
    for pair in usable:
        chosen = given.cohort[given.cohort[STAGE_COLUMN].isin(list(pair))]
        features = chosen[list(sites)]
        later = (chosen[STAGE_COLUMN] == pair[1]).to_numpy()
        for kept, draw in ((nested, eliminate), (apparent, eliminate_apparent)):
            kept[pair_name(pair)] = draw(features, later, core, given.seed, jobs=given.jobs)
    curves = _curves([*nested.items(), *apparent.items()])
    return StepResult(
        ELIMINATION_METHOD.format(core=core),
        (
            *(_finding(pair, nested[pair], apparent[pair]) for pair in nested),
            *(_left_out(small) if small else ()),
        ),
        (
            Table("elimination-chosen", "What each rule chooses, pair by pair.", _chosen(nested)),
            Table(
                "elimination-frequency",
                "In how many of the five folds a site is among the last, as many as the rule "
                "of the maximum keeps.",
                _frequency(nested),
            ),
            Table("elimination-curves", "AUROC and accuracy for each number of sites.", curves),
        ),
        (
            Figure(
                "elimination",
                "AUROC against the number of sites kept; band: one standard error over folds.",
                lambda: plot_elimination({p: (nested[p], apparent[p]) for p in nested}),
            ),
        ),
        {
            "core": str(core),
            "pairs": {
                pair: {
                    "path": list(found.names),
                    "chosen": list(found.chosen(Rule.MAXIMUM)),
                    "chosen_one_standard_error": list(found.chosen(Rule.ONE_STANDARD_ERROR)),
                    "nested_auroc": float(found.mean.max()),
                    "apparent_auroc": float(apparent[pair].mean.max()),
                }
                for pair, found in nested.items()
            },
        },
    )


def _finding(pair: str, nested: Elimination, apparent: Elimination) -> str:
    size, small = nested.count(Rule.MAXIMUM), nested.count(Rule.ONE_STANDARD_ERROR)
    return (
        f"{pair}: nested AUROC is highest with {size} sites ({nested.mean[size - 1]:.3f}, "
        f"standard error {nested.standard_error[size - 1]:.3f}); {small} are within one standard "
        f"error; the apparent maximum is {apparent.mean.max():.3f} with "
        f"{apparent.count(Rule.MAXIMUM)}."
    )


def _left_out(small: Sequence[str]) -> tuple[str]:
    return (
        f"Without the pairs of {', '.join(small)}: fewer than {PUBLISHED_FOLDS} patients for the "
        "folds.",
    )


def _chosen(curves: dict[str, Elimination]) -> pd.DataFrame:
    rows = []
    for pair, found in curves.items():
        for rule in Rule:
            sites = found.chosen(rule)
            published = set(PUBLISHED_FEATURES[pair])
            shared = len(published & set(sites))
            rows.append(
                {
                    "pair": pair,
                    "rule": rule.value,
                    "sites": len(sites),
                    "nested AUROC": round(float(found.mean[len(sites) - 1]), 3),
                    "standard error": round(float(found.standard_error[len(sites) - 1]), 3),
                    "shared with the published set": f"{shared} of {len(published)}",
                    "chosen": ", ".join(sites),
                }
            )
    return pd.DataFrame(rows)


def _frequency(curves: dict[str, Elimination]) -> pd.DataFrame:
    sites = [site for site in SITE_NAMES if site in next(iter(curves.values())).names]
    columns: dict[str, Any] = {"site": sites}
    for pair, found in curves.items():
        size = found.count(Rule.MAXIMUM)
        count = Counter(name for names in found.fold_names for name in names[:size])
        columns[pair] = [count[site] for site in sites]
    return pd.DataFrame(columns)


def _curves(curves: list[tuple[str, Elimination]]) -> pd.DataFrame:
    rows = [
        {
            "pair": pair,
            "curve": "apparent" if found.apparent else "nested",
            "sites": m + 1,
            "AUROC": round(float(found.mean[m]), 4),
            "standard error": round(float(found.standard_error[m]), 4),
            "accuracy": round(float(found.accuracy[:, m].mean()), 4),
            "site that joins (path over all patients)": found.names[m],
        }
        for pair, found in curves
        for m in range(len(found.names))
    ]
    return pd.DataFrame(rows)


ELIMINATION_STEP = StudyStep("elimination", "Feature elimination", run_elimination)
