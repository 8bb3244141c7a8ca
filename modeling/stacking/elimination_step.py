"""Feature elimination as a step of a study."""

from collections import Counter
from collections.abc import Mapping, Sequence
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

__all__ = ["ELIMINATION_STEP", "STUDY_CORES", "run_elimination"]

STUDY_CORES = (
    ModelSpec.of(BaseModel.LIGHTGBM, n_estimators=200, max_depth=5, class_weight="balanced"),
    ModelSpec.of(BaseModel.XGBOOST, n_estimators=200, max_depth=5),
)
"""The published cores with 200 of their 1000 rounds: after 200 the training patients are told apart
and the importances no longer change their order much. The first one's sets are the step's."""

Curves = Mapping[str, Elimination]
"""By stage pair."""

ELIMINATION_METHOD = (
    "Recursive feature elimination (Guyon 2002, doi 10.1023/A:1012487302797) over the sites, pair "
    "by pair, with each of the cores {cores} by itself, as Supplementary Table 4 of Wang 2025 sets "
    "them side by side. The least important site goes, one at a time, so one path serves all "
    "sizes. The nested curve has a path inside each of five folds, scored on the patients left "
    "out; its band is one standard error over folds. The apparent curve is the published one "
    "(Wang 2025): the path has seen all patients, and only the models of its sets are "
    "cross-validated. Missing values go down a side that the core learns. The chosen set is the "
    "end of the path over all patients; its size is that of the highest nested AUROC, or the least "
    "within one standard error of it."
)


def run_elimination(
    given: StudyInput,
    cores: Sequence[ModelSpec] = STUDY_CORES,
    sites: Sequence[str] = SITE_NAMES,
) -> StepResult:
    """Draw the curves of all pairs with each core, from ``sites`` down to one.

    Raises
    ------
    StepNotPossible
        No pair has enough patients of both stages.
    """
    counts = given.cohort[STAGE_COLUMN].value_counts()
    small = [s.value for s in Stage if counts.get(s.value, 0) < PUBLISHED_FOLDS]
    usable = [pair for pair in PAIRS if not set(pair) & set(small)]
    if not usable:
        raise StepNotPossible(f"no two stages have {PUBLISHED_FOLDS} patients each, for the folds")
    found = {core.model.value: _curves_of(given, core, sites, usable) for core in cores}
    nested, apparent = next(iter(found.values()))
    return StepResult(
        ELIMINATION_METHOD.format(cores=" and ".join(map(str, cores))),
        (
            *(_finding(next(iter(found)), pair, nested[pair], apparent[pair]) for pair in nested),
            *(_comparison(found, pair) for pair in nested if len(found) > 1),
            *(_left_out(small) if small else ()),
        ),
        (
            Table(
                "elimination-cores",
                "The best number of sites of each core, by the apparent (published) and by the "
                "nested curve, beside the size of the published set.",
                _core_table(found),
            ),
            Table(
                "elimination-chosen",
                "What each rule chooses, pair by pair.",
                _by_core({name: _chosen(curves) for name, (curves, _) in found.items()}),
            ),
            Table(
                "elimination-frequency",
                "In how many of the five folds a site is among the last, as many as the rule "
                "of the maximum keeps.",
                _by_core({name: _frequency(curves) for name, (curves, _) in found.items()}),
            ),
            Table(
                "elimination-curves",
                "AUROC and accuracy for each number of sites.",
                _by_core(
                    {
                        name: _curves([*nested.items(), *apparent.items()])
                        for name, (nested, apparent) in found.items()
                    }
                ),
            ),
        ),
        tuple(_figure(name, *curves) for name, curves in found.items()),
        {
            "core": str(cores[0]),
            "pairs": _values(nested, apparent),
            "cores": {name: _values(*curves) for name, curves in found.items()},
        },
    )


def _curves_of(
    given: StudyInput,
    core: ModelSpec,
    sites: Sequence[str],
    pairs: Sequence[tuple[Stage, Stage]],
) -> tuple[Curves, Curves]:
    nested: dict[str, Elimination] = {}
    apparent: dict[str, Elimination] = {}
    for pair in pairs:
        chosen = given.cohort[given.cohort[STAGE_COLUMN].isin(list(pair))]
        features = chosen[list(sites)]
        later = (chosen[STAGE_COLUMN] == pair[1]).to_numpy()
        for kept, draw in ((nested, eliminate), (apparent, eliminate_apparent)):
            kept[pair_name(pair)] = draw(features, later, core, given.seed, jobs=given.jobs)
    return nested, apparent


def _figure(core: str, nested: Curves, apparent: Curves) -> Figure:
    return Figure(
        f"elimination-{core.lower()}",
        f"{core}: AUROC against the number of sites kept; band: one standard error over folds.",
        lambda: plot_elimination({pair: (nested[pair], apparent[pair]) for pair in nested}, core),
    )


def _values(nested: Curves, apparent: Curves) -> dict[str, Any]:
    return {
        pair: {
            "path": list(found.names),
            "chosen": list(found.chosen(Rule.MAXIMUM)),
            "chosen_one_standard_error": list(found.chosen(Rule.ONE_STANDARD_ERROR)),
            "nested_auroc": float(found.mean.max()),
            "apparent_auroc": float(apparent[pair].mean.max()),
        }
        for pair, found in nested.items()
    }


def _by_core(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    for name, table in tables.items():
        table.insert(0, "core", name)
    return pd.concat(tables.values(), ignore_index=True)


def _core_table(found: Mapping[str, tuple[Curves, Curves]]) -> pd.DataFrame:
    rows = []
    for pair in next(iter(found.values()))[0]:
        for core, (nested, apparent) in found.items():
            row: dict[str, Any] = {"pair": pair, "core": core}
            for name, curve in (("apparent", apparent[pair]), ("nested", nested[pair])):
                size = curve.count(Rule.MAXIMUM)
                row[f"{name}: sites"] = size
                row[f"{name}: AUROC"] = round(float(curve.mean[size - 1]), 3)
                row[f"{name}: accuracy"] = round(float(curve.accuracy[:, size - 1].mean()), 3)
            sites = set(apparent[pair].chosen(Rule.MAXIMUM))
            published = set(PUBLISHED_FEATURES[pair])
            row["published: sites"] = len(published)
            row["apparent set shares with the published"] = len(published & sites)
            rows.append(row)
    return pd.DataFrame(rows)


def _comparison(found: Mapping[str, tuple[Curves, Curves]], pair: str) -> str:
    told = "; ".join(
        f"{core} {apparent[pair].mean.max():.3f} with {apparent[pair].count(Rule.MAXIMUM)} sites "
        f"apparent, {nested[pair].mean.max():.3f} with {nested[pair].count(Rule.MAXIMUM)} nested"
        for core, (nested, apparent) in found.items()
    )
    return f"{pair}, core beside core: {told}; published {len(PUBLISHED_FEATURES[pair])} sites."


def _finding(core: str, pair: str, nested: Elimination, apparent: Elimination) -> str:
    size, small = nested.count(Rule.MAXIMUM), nested.count(Rule.ONE_STANDARD_ERROR)
    return (
        f"{pair} ({core}): nested AUROC is highest with {size} sites ({nested.mean[size - 1]:.3f}, "
        f"standard error {nested.standard_error[size - 1]:.3f}); {small} are within one standard "
        f"error; the apparent maximum is {apparent.mean.max():.3f} with "
        f"{apparent.count(Rule.MAXIMUM)}."
    )


def _left_out(small: Sequence[str]) -> tuple[str]:
    return (
        f"Without the pairs of {', '.join(small)}: fewer than {PUBLISHED_FOLDS} patients for the "
        "folds.",
    )


def _chosen(curves: Curves) -> pd.DataFrame:
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


def _frequency(curves: Curves) -> pd.DataFrame:
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
