"""The cohort in few dimensions: principal components and PLS-DA, with what imputation does."""

import math
import warnings
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.cross_decomposition import PLSRegression
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import KNNImputer
from sklearn.model_selection import StratifiedKFold

from modeling.cohort import Stage
from modeling.errors import StepNotPossible
from modeling.statistics.site_values import MAX_MISSING_SHARE, site_values, stages_of

__all__ = [
    "Imputation",
    "PlsDa",
    "PrincipalComponents",
    "group_mean_imputed",
    "knn_imputed",
    "pls_da",
    "principal_components",
]

FloatArray = npt.NDArray[np.float64]

NEIGHBOURS = 5
"""Patients whose mean stands in for a missing value (the published toolkit's number)."""

COMPONENTS = 2
"""Components of PLS-DA: as many as are drawn."""

Q2_FOLDS = 7
"""Folds of the cross-validation of Q2: the custom of the method's programs (Eriksson 2013)."""

PLS_PERMUTATIONS = 300
"""Permutations of the stages for the null distribution of Q2 and R2Y."""

VIP_BOUND = 1.0
"""Sites above it matter more than the average one: the mean of squared VIP scores is 1."""


class Imputation(StrEnum):
    """What stands in for a missing value.

    GROUP_MEAN is the mean of the patient's own stage, as in the publication: the stage that the
    analysis is to show is thereby written into the data. KNN is the mean of the 5 patients with
    the most similar values, as in the published toolkit, and knows no stage.
    """

    GROUP_MEAN = "group mean"
    KNN = "KNN"

    @property
    def leaks_stage(self) -> bool:
        """Whether imputed values tell the stage."""
        return self is Imputation.GROUP_MEAN


def group_mean_imputed(values: FloatArray, stages: npt.NDArray[Any]) -> FloatArray:
    """Fill each gap with the mean of the patient's stage, which leaks the stage.

    Parameters
    ----------
    values
        float64, shape (n, p): HU, NaN where missing. A site that a stage lacks altogether gets
        the mean of all; every site needs one value.
    stages
        str, shape (n,).
    """
    filled = values.copy()
    overall = np.nanmean(values, axis=0)
    for stage in np.unique(stages):
        rows = np.flatnonzero(stages == stage)
        known = ~np.isnan(values[rows])
        counts = known.sum(axis=0)
        sums = np.where(known, values[rows], 0.0).sum(axis=0)
        means = np.where(counts > 0, sums / np.maximum(counts, 1), overall)
        filled[rows] = np.where(known, values[rows], means)
    return filled


def knn_imputed(train: FloatArray, *others: FloatArray) -> tuple[FloatArray, ...]:
    """Fill each gap with the mean of the nearest training patients that have the site.

    Returns
    -------
    tuple of ndarray
        ``train`` and each of ``others``, filled from ``train`` alone.
    """
    imputer = KNNImputer(n_neighbors=NEIGHBOURS, keep_empty_features=True).fit(train)
    return tuple(imputer.transform(rows) for rows in (train, *others))


@dataclass(frozen=True)
class PrincipalComponents:
    """Principal components of the standardised sites.

    Parameters
    ----------
    imputation
        How gaps were filled.
    sites
        The columns, p of them.
    stages
        str, shape (n,).
    scores
        float64, shape (n, k), in standard deviations of a site.
    loadings
        float64, shape (p, k), of unit length; each component's sum is positive.
    explained
        float64, shape (k,): share of the variance.
    """

    imputation: Imputation
    sites: tuple[str, ...]
    stages: npt.NDArray[Any]
    scores: FloatArray
    loadings: FloatArray
    explained: FloatArray


def principal_components(cohort: pd.DataFrame, imputation: Imputation) -> PrincipalComponents:
    """Project the patients on the components of largest variance; every site weighs the same."""
    sites, values, stages = _used(cohort, imputation)
    filled = (
        group_mean_imputed(values, stages)
        if imputation is Imputation.GROUP_MEAN
        else knn_imputed(values)[0]
    )
    scaled = _Scale.of(filled)(filled)
    u, s, vt = np.linalg.svd(scaled, full_matrices=False)
    signs = np.where(vt.sum(axis=1) < 0, -1.0, 1.0)
    return PrincipalComponents(
        imputation, sites, stages, u * s * signs, (vt * signs[:, None]).T, s**2 / (s**2).sum()
    )


@dataclass(frozen=True)
class PlsDa:
    """Partial least squares discriminant analysis of the four stages.

    Parameters
    ----------
    imputation, sites, stages
        As in `PrincipalComponents`.
    scores
        float64, shape (n, components).
    r2x, r2y
        Shares of the sites' and of the stages' variance that the fit explains, apparent.
    q2
        Share of the held-out patients' stage variance that is predicted. With group means the
        held-out patients were filled by their own stage, so it is too high.
    vip
        float64, shape (p,): variable importance in projection.
    null_r2y, null_q2
        float64, shape (permutations,): the same with the stages permuted and everything,
        imputation too, done again.
    p_r2y, p_q2
        Share of permutations that reach the real figure, counting it as one of them.
    """

    imputation: Imputation
    sites: tuple[str, ...]
    stages: npt.NDArray[Any]
    scores: FloatArray
    r2x: float
    r2y: float
    q2: float
    vip: FloatArray
    null_r2y: FloatArray
    null_q2: FloatArray
    p_r2y: float
    p_q2: float


def pls_da(
    cohort: pd.DataFrame,
    imputation: Imputation,
    seed: int,
    components: int = COMPONENTS,
    permutations: int = PLS_PERMUTATIONS,
) -> PlsDa:
    """Fit PLS on the one-hot stages, cross-validate it and permute the stages.

    KNN imputation and all scaling are fitted inside the folds. Group means cannot be fitted
    there, for a held-out patient has no known stage; they are filled beforehand, as published.

    References
    ----------
    Barker and Rayens 2003, doi 10.1002/cem.785; Wold, Sjostrom and Eriksson 2001,
    doi 10.1016/S0169-7439(01)00155-1 (VIP, Q2); Phipson and Smyth 2010,
    doi 10.2202/1544-6115.1585 (p-values of permutations).

    Raises
    ------
    StepNotPossible
        One stage alone, or a stage with fewer patients than folds.
    """
    sites, values, stages = _used(cohort, imputation)
    counts = {s.value: int((stages == s).sum()) for s in Stage}
    few = [f"{name} ({count})" for name, count in counts.items() if 0 < count < Q2_FOLDS]
    if few or sum(map(bool, counts.values())) < 2:
        said = f"stage {', '.join(few)}" if few else "one stage alone"
        raise StepNotPossible(
            f"projection needs two stages, and {Q2_FOLDS} patients of each for the folds; found "
            f"{said}"
        )
    folds = list(StratifiedKFold(Q2_FOLDS, shuffle=True, random_state=seed).split(values, stages))
    if imputation is Imputation.KNN:
        whole = knn_imputed(values)[0]
        parts = [knn_imputed(values[seen], values[unseen]) for seen, unseen in folds]

    def scored(labels: npt.NDArray[Any]) -> tuple[float, float, float, FloatArray, FloatArray]:
        if imputation is Imputation.KNN:
            x, pieces = whole, parts
        else:
            x = group_mean_imputed(values, labels)
            pieces = [(x[seen], x[unseen]) for seen, unseen in folds]
        y = _one_hot(labels)
        press = total = 0.0
        for (seen, unseen), (train, test) in zip(folds, pieces, strict=True):
            scale_x, scale_y = _Scale.of(train), _Scale.of(y[seen])
            fitted = _fit(scale_x(train), scale_y(y[seen]), components)
            held_out = scale_y(y[unseen])
            press += float(((held_out - scale_x(test) @ fitted.coef_.T) ** 2).sum())
            total += float((held_out**2).sum())
        fit_x, fit_y = _Scale.of(x)(x), _Scale.of(y)(y)
        r2x, r2y, vip, scores = _described(fit_x, fit_y, components)
        return r2x, r2y, 1 - press / total, vip, scores

    r2x, r2y, q2, vip, scores = scored(stages)
    generator = np.random.default_rng(seed)
    null = np.array([scored(generator.permutation(stages))[1:3] for _ in range(permutations)])
    null = null.reshape(-1, 2)
    return PlsDa(
        imputation,
        sites,
        stages,
        scores,
        r2x,
        r2y,
        q2,
        vip,
        null[:, 0],
        null[:, 1],
        float((1 + (null[:, 0] >= r2y).sum()) / (1 + permutations)),
        float((1 + (null[:, 1] >= q2).sum()) / (1 + permutations)),
    )


@dataclass(frozen=True)
class _Scale:
    mean: FloatArray
    sd: FloatArray

    @classmethod
    def of(cls, x: FloatArray) -> "_Scale":
        sd = x.std(axis=0, ddof=1)
        return cls(x.mean(axis=0), np.where(sd > 0, sd, 1.0))

    def __call__(self, x: FloatArray) -> FloatArray:
        return (x - self.mean) / self.sd


def _used(
    cohort: pd.DataFrame, imputation: Imputation
) -> tuple[tuple[str, ...], FloatArray, npt.NDArray[Any]]:
    values = site_values(cohort)
    missing = values.isna().mean()
    bound = 1.0 if imputation is Imputation.GROUP_MEAN else math.nextafter(MAX_MISSING_SHARE, 1)
    sites = tuple(missing.index[missing < bound])
    return sites, values[list(sites)].to_numpy(), stages_of(cohort)


def _one_hot(stages: npt.NDArray[Any]) -> FloatArray:
    present = [stage.value for stage in Stage if (stages == stage.value).any()]
    return (stages[:, None] == np.array(present)[None, :]).astype(np.float64)


def _fit(x: FloatArray, y: FloatArray, components: int) -> PLSRegression:
    with warnings.catch_warnings():
        # Power iterations stop at their limit where two directions are nearly as good.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return PLSRegression(n_components=components, scale=False).fit(x, y)


def _described(
    x: FloatArray, y: FloatArray, components: int
) -> tuple[float, float, FloatArray, FloatArray]:
    fitted = _fit(x, y, components)
    t, w = fitted.x_scores_, fitted.x_weights_
    r2x = 1 - ((x - t @ fitted.x_loadings_.T) ** 2).sum() / (x**2).sum()
    r2y = 1 - ((y - t @ fitted.y_loadings_.T) ** 2).sum() / (y**2).sum()
    explained = (fitted.y_loadings_**2).sum(axis=0) * (t**2).sum(axis=0)
    shares = (w / np.linalg.norm(w, axis=0)) ** 2
    vip = np.sqrt(x.shape[1] * (shares @ explained) / explained.sum())
    signs = np.where(fitted.x_loadings_.sum(axis=0) < 0, -1.0, 1.0)
    return float(r2x), float(r2y), vip, t * signs
