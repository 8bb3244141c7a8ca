"""The linear formulas as a step of a study."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import pandas as pd

from modeling.calibration import PAIRS, pair_name
from modeling.statistics import linear
from modeling.statistics.figures import linear_figure
from modeling.statistics.linear_fit import FORMULA_FOLDS
from modeling.statistics.wording import clipping, json_number
from modeling.study.step import Figure, StepResult, StudyInput, Table

__all__ = ["linear_step"]

HEADLINE = linear.FormulaKind(linear.Target.LOGISTIC, linear.Penalty.LASSO)
"""The kind whose formulas stand among the findings: probabilities, and the fewest sites."""

DRAWN = (HEADLINE, linear.FormulaKind(linear.Target.LOGISTIC, linear.Penalty.RIDGE))
"""Kinds whose coefficients are drawn; the table holds all."""


def linear_step(
    given: StudyInput,
    kinds: Sequence[linear.FormulaKind] = linear.KINDS,
    bootstraps: int = linear.COEFFICIENT_BOOTSTRAPS,
) -> StepResult:
    """Fit the formulas of every kind for every pair."""
    formulas: list[linear.Formula] = []
    missing = []
    for pair in PAIRS:
        try:
            formulas += [
                linear.fit_formula(given.cohort, pair, kind, given.seed, bootstraps)
                for kind in kinds
            ]
        except ValueError as error:
            missing.append(f"{error}: no formula.")
    return StepResult(
        method=_method(given.cohort, bootstraps),
        findings=(*map(_sentence, (f for f in formulas if f.kind == HEADLINE)), *missing),
        tables=(
            Table("formulas", "The formulas as text, in HU.", _formula_table(formulas)),
            Table("coefficients", "Coefficients with intervals.", _coefficient_table(formulas)),
        ),
        figures=_figures(formulas, kinds) if formulas else (),
        values={
            "formulas": {
                f"{pair_name(f.pair)}, {f.kind}": {
                    "intercept": f.intercept,
                    "per_hu": {t.site: t.per_hu for t in f.terms if t.per_hu != 0},
                    "median_hu": {t.site: t.median_hu for t in f.terms if t.per_hu != 0},
                    "auroc_apparent": json_number(f.apparent.auroc),
                    "auroc_nested": json_number(f.nested.auroc),
                }
                for f in formulas
            }
        },
        files={"formulas.txt": "\n\n".join(map(_headed, formulas)).encode()},
    )


def _method(cohort: pd.DataFrame, bootstraps: int) -> str:
    return (
        f"{clipping(cohort)} Two targets: logistic regression of the later against the "
        "earlier stage, and least squares on 0 and 100 as in the published toolkit; with "
        "lasso, elastic net (half L1) and ridge penalties, least squares also without. Sites "
        "are standardised (the toolkit penalises raw HU), medians stand in for missing "
        f"values, the penalty has the least loss over {FORMULA_FOLDS} inner folds. Intervals "
        f"are the middle 95 % of {bootstraps} resamples within the stages, at the "
        "chosen penalty: with a penalty they show how steady a coefficient is, not what an "
        "unpenalised effect would be. Nested areas are means of 5 outer folds with "
        "imputation, scaling and choice of the penalty inside (LeDell 2015, doi "
        "10.1214/15-EJS1035); apparent ones are those of the fitted patients. Sites "
        "that correlate share their weight by chance: a coefficient is no measure of "
        "importance, and a positive one need not mean that more HU are worse."
    )


def _sentence(formula: linear.Formula) -> str:
    used = sum(term.per_hu != 0 for term in formula.terms)
    nested = formula.nested
    return (
        f"{pair_name(formula.pair)} ({formula.kind}): {used} of {len(formula.terms)} sites, area "
        f"{formula.apparent.auroc:.3f} apparent, {nested.auroc:.3f} nested "
        f"({nested.auroc_low:.3f} to {nested.auroc_high:.3f}). {_one_line(formula)}"
    )


def _figures(
    formulas: Sequence[linear.Formula], kinds: Sequence[linear.FormulaKind]
) -> tuple[Figure, ...]:
    draw = linear_figure
    return (
        Figure(
            "formula-areas",
            "Areas under the ROC curve of every kind of formula, apparent and nested.",
            partial(draw.plot_areas, formulas),
        ),
        *(
            Figure(
                f"coefficients-{kind.target}-{kind.penalty}".replace(" ", "-"),
                f"Coefficients per standard deviation with their intervals: {kind}.",
                partial(draw.plot_coefficients, formulas, kind),
            )
            for kind in DRAWN
            if kind in kinds
        ),
    )


def _one_line(formula: linear.Formula) -> str:
    return ". ".join(line.rstrip(".") for line in formula.text().splitlines()) + "."


def _headed(formula: linear.Formula) -> str:
    return (
        f"{pair_name(formula.pair)}: {formula.kind}, area {formula.nested.auroc:.3f} nested\n"
        f"{formula.text()}\n"
    )


def _formula_table(formulas: list[linear.Formula]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "pair": pair_name(f.pair),
                "target": str(f.kind.target),
                "penalty": str(f.kind.penalty),
                "patients": f.patients,
                "strength": f.strength,
                "sites_used": sum(t.per_hu != 0 for t in f.terms),
                "auroc_apparent": f.apparent.auroc,
                "auroc_nested": f.nested.auroc,
                "auroc_nested_low": f.nested.auroc_low,
                "auroc_nested_high": f.nested.auroc_high,
                "formula": _one_line(f),
            }
            for f in formulas
        ]
    )


def _coefficient_table(formulas: list[linear.Formula]) -> pd.DataFrame:
    rows = []
    for f in formulas:
        named = {
            "pair": pair_name(f.pair),
            "target": str(f.kind.target),
            "penalty": str(f.kind.penalty),
        }
        bounds = {"per_hu_low": f.intercept_low, "per_hu_high": f.intercept_high}
        rows.append({**named, "site": "intercept", "per_hu": f.intercept, **bounds})
        rows += [{**named, **asdict(term)} for term in f.terms]
    return pd.DataFrame(rows)
