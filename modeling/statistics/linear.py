"""Formulas that a reader can apply with a calculator: penalised linear scores of a stage pair."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from modeling.calibration import pair_name
from modeling.cohort import Stage
from modeling.design import CLIP_HU
from modeling.metrics import CONFIDENCE
from modeling.statistics.delong import Auroc, delong_auroc
from modeling.statistics.linear_fit import (
    FORMULA_FOLDS,
    FULL_SCORE,
    KINDS,
    FormulaKind,
    LinearFit,
    Penalty,
    Target,
    chosen_strength,
    fit_linear,
    nested_auroc,
)
from modeling.statistics.site_values import MAX_MISSING_SHARE, pair_rows, site_values, stages_of

__all__ = [
    "KINDS",
    "Formula",
    "FormulaKind",
    "Penalty",
    "Target",
    "Term",
    "fit_formula",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

COEFFICIENT_BOOTSTRAPS = 200
"""Resamples of the patients for the coefficients' intervals."""

FORMULA_DIGITS = 4
"""Significant digits in a formula's text: each term is off by at most .05 %."""


@dataclass(frozen=True)
class Term:
    """A site in a formula.

    Parameters
    ----------
    median_hu
        Stands in where the site was not measured.
    per_hu, per_hu_low, per_hu_high
        Coefficient of one HU, with the 95 % percentile interval over resampled patients.
    per_sd, per_sd_low, per_sd_high
        Coefficient of one standard deviation of the site, likewise.
    selected_share
        Share of resamples in which the coefficient is not 0.
    """

    site: str
    median_hu: float
    per_hu: float
    per_hu_low: float
    per_hu_high: float
    per_sd: float
    per_sd_low: float
    per_sd_high: float
    selected_share: float


@dataclass(frozen=True)
class Formula:
    """A linear formula between the stages of a pair.

    Parameters
    ----------
    strength
        The penalty that the inner cross-validation chose.
    intercept, intercept_low, intercept_high
        In raw units, with its percentile interval.
    terms
        Every site that was offered, in the cohort's order, also those with coefficient 0.
    apparent
        Area under the ROC curve in the patients that it was fitted to; DeLong's interval.
    nested
        Mean area of 5 held-out folds; imputation, scaling and choice of the penalty inside them;
        interval from the folds' DeLong variances.
    """

    pair: tuple[Stage, Stage]
    kind: FormulaKind
    patients: int
    strength: float
    intercept: float
    intercept_low: float
    intercept_high: float
    terms: tuple[Term, ...]
    apparent: Auroc
    nested: Auroc

    def text(self) -> str:
        """The formula in words and numbers, in HU."""
        used = [term for term in self.terms if term.per_hu != 0]
        parts = [_digits(self.intercept)]
        for term in used:
            sign = "-" if term.per_hu < 0 else "+"
            parts.append(f"{sign} {_digits(abs(term.per_hu))} * [{term.site}]")
        earlier, later = self.pair
        lines = [f"score = {' '.join(parts)}"]
        if self.kind.target is Target.LOGISTIC:
            lines.append(f"probability of {later} rather than {earlier} = 1 / (1 + exp(-score))")
        else:
            lines.append(f"score: towards 0 as in {earlier}, towards {FULL_SCORE:g} as in {later}")
        medians = ", ".join(f"{term.site} {term.median_hu:.1f}" for term in used)
        bounds = f"{CLIP_HU[0]:g} and {CLIP_HU[1]:g}"
        lines.append(f"HU beyond {bounds} are set to the nearer bound.")
        if used:
            lines.append(f"For a site that was not measured: {medians} HU.")
        return "\n".join(lines)

    def score(self, mean_hu: pd.DataFrame) -> FloatArray:
        """Score patients.

        Parameters
        ----------
        mean_hu
            The 36 sites' HU by name, NaN where missing.

        Returns
        -------
        ndarray
            float64, shape (n,): the logit, or the linear score.
        """
        total = np.full(len(mean_hu), self.intercept)
        for term in self.terms:
            total += term.per_hu * mean_hu[term.site].clip(*CLIP_HU).fillna(term.median_hu)
        return np.asarray(total, dtype=np.float64)


def fit_formula(
    cohort: pd.DataFrame,
    pair: tuple[Stage, Stage],
    kind: FormulaKind,
    seed: int,
    bootstraps: int = COEFFICIENT_BOOTSTRAPS,
) -> Formula:
    """Fit a formula between two stages, with intervals and honest areas.

    Medians stand in for missing values; medians and scales come from the training patients of
    each fold. The penalty has the least held-out deviance (logistic) or squared error over 5
    inner folds. Resamples keep each stage's size and the chosen penalty, so their intervals leave
    out the choice of the penalty; with a penalty they are shrunk with the coefficients and are no
    confidence intervals of unpenalised effects.

    Parameters
    ----------
    cohort
        As `modeling.read_cohort` gives it.
    pair
        The earlier and the later stage; each needs 10 patients.

    Raises
    ------
    ValueError
        A stage with fewer than 10 patients.

    References
    ----------
    Tibshirani 1996, doi 10.1111/j.2517-6161.1996.tb02080.x (lasso); Hoerl and Kennard 1970,
    doi 10.1080/00401706.1970.10488634 (ridge); Zou and Hastie 2005,
    doi 10.1111/j.1467-9868.2005.00503.x (elastic net).
    """
    values, stages = site_values(cohort), stages_of(cohort)
    rows = pair_rows(stages, pair)
    sites = tuple(values.columns[values[rows].isna().mean() <= MAX_MISSING_SHARE])
    x, y = values.loc[rows, list(sites)].to_numpy(), stages[rows] == pair[1].value
    if min(y.sum(), (~y).sum()) < 2 * FORMULA_FOLDS:
        raise ValueError(f"{pair_name(pair)}: a stage with fewer than {2 * FORMULA_FOLDS} patients")
    strength = chosen_strength(kind, x, y, seed)
    fitted = fit_linear(kind, strength, x, y, seed)
    again = _refitted(kind, strength, x, y, seed, bootstraps)
    low, high = _interval(np.array([fit.intercept for fit in again]))
    score = fitted.score(x)
    return Formula(
        pair,
        kind,
        len(y),
        strength,
        fitted.intercept,
        float(low),
        float(high),
        _terms(sites, fitted, again),
        delong_auroc(score[y], score[~y]),
        nested_auroc(kind, x, y, seed),
    )


def _refitted(
    kind: FormulaKind, strength: float, x: FloatArray, y: BoolArray, seed: int, bootstraps: int
) -> list[LinearFit]:
    """Fit the formula again to patients drawn within each stage, at the same penalty."""
    generator = np.random.default_rng(seed)
    groups = [np.flatnonzero(y == side) for side in (False, True)]
    again = []
    for _ in range(bootstraps):
        rows = np.concatenate([generator.choice(group, len(group)) for group in groups])
        again.append(fit_linear(kind, strength, x[rows], y[rows], seed))
    return again


def _terms(sites: Sequence[str], fitted: LinearFit, again: Sequence[LinearFit]) -> tuple[Term, ...]:
    per_sd = np.array([fit.per_sd for fit in again])
    per_hu = np.array([fit.per_hu for fit in again])
    bounds_sd, bounds_hu = _interval(per_sd), _interval(per_hu)
    return tuple(
        Term(
            site,
            float(fitted.medians[k]),
            float(fitted.per_hu[k]),
            float(bounds_hu[0][k]),
            float(bounds_hu[1][k]),
            float(fitted.per_sd[k]),
            float(bounds_sd[0][k]),
            float(bounds_sd[1][k]),
            float((per_sd[:, k] != 0).mean()),
        )
        for k, site in enumerate(sites)
    )


def _interval(drawn: FloatArray) -> tuple[Any, Any]:
    low, high = np.quantile(drawn, [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2], axis=0)
    return low, high


def _digits(value: float) -> str:
    return f"{value:.{FORMULA_DIGITS}g}"
