"""Figures of SHAP values: beeswarm, heat map, interaction matrix, waterfall."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.cohort import Sex, Stage
from modeling.design import AGE, SEX
from modeling.staging import Contribution
from modeling.study.palette import BLUE, VERMILION

__all__ = [
    "LOWERS",
    "MISSING",
    "RAISES",
    "new_axes",
    "plot_beeswarm",
    "plot_heat_map",
    "plot_interactions",
    "plot_waterfall",
]

FloatArray = npt.NDArray[np.float64]

RAISES, LOWERS = VERMILION, BLUE
"""Colours of shares that raise and lower what is explained."""

MISSING = "0.7"
"""Colour of patients without the value."""

BINS = 50
"""Bins along the axis in which a beeswarm's points are spread sideways."""


def plot_beeswarm(
    values: FloatArray,
    inputs: FloatArray,
    names: Sequence[str],
    unit: str,
    count: int = 8,
    ax: Any = None,
) -> Any:
    """Draw each patient's SHAP values of the features with the largest mean; gives the Axes.

    Colour says whether the patient's own value is low (dark) or high (bright) in the cohort, grey
    that it is missing.

    Parameters
    ----------
    values, inputs
        float64, shape (n, features): SHAP values, and the inputs that they explain.
    names
        Names of the features.
    unit
        Unit of the SHAP values.
    count
        Features to show.
    """
    ax = new_axes(ax, (6, 4))
    chosen = np.argsort(-np.abs(values).mean(axis=0), kind="stable")[:count]
    for height, feature in enumerate(chosen):
        own = inputs[:, feature]
        known = np.isfinite(own)
        shifts = _spread(values[:, feature])
        ax.scatter(
            values[~known, feature], height + shifts[~known], s=5, color=MISSING, linewidths=0
        )
        lower = np.searchsorted(np.sort(own[known]), own[known])
        ax.scatter(
            values[known, feature],
            height + shifts[known],
            c=lower / max(1, lower.max(initial=0)),
            cmap="plasma",
            vmin=0,
            vmax=1.1,
            s=6,
            linewidths=0,
        )
    ax.axvline(0, color="0.5", linewidth=0.8)
    ax.locator_params(axis="x", nbins=5)
    ax.set_yticks(range(len(chosen)), [names[i] for i in chosen], fontsize=9)
    ax.set_ylim(len(chosen) - 0.4, -0.6)
    ax.set_xlabel(f"SHAP value ({unit})", fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_heat_map(
    values: FloatArray,
    base: FloatArray,
    names: Sequence[str],
    unit: str,
    count: int = 10,
    ax: Any = None,
) -> Any:
    """Draw the SHAP values of all patients in the order of f(x), whose trace stands above.

    Parameters
    ----------
    values, names, unit, count
        As for `plot_beeswarm`.
    base
        float64, shape (n,): what is explained before anything is known; f(x) is this and the sum
        of the values.

    Returns
    -------
    Axes
        That of the heat map; the trace's is its child.
    """
    ax = new_axes(ax, (6, 4))
    chosen = np.argsort(-np.abs(values).mean(axis=0), kind="stable")[:count]
    explained = base + values.sum(axis=1)
    order = np.argsort(explained, kind="stable")
    trace = ax.inset_axes((0, 1.02, 1, 0.2))
    trace.plot(np.arange(len(order)), explained[order], color="0.15", linewidth=1)
    trace.axhline(float(base.mean()), color="0.5", linewidth=0.8, linestyle=":")
    trace.set_xlim(-0.5, len(order) - 0.5)
    trace.set_xticks([])
    trace.locator_params(axis="y", nbins=3)
    trace.tick_params(labelsize=7)
    trace.set_ylabel("f(x)", fontsize=8)
    trace.spines[["top", "right"]].set_visible(False)
    limit = float(np.quantile(np.abs(values[:, chosen]), 0.99)) or 1.0
    image = ax.imshow(
        values[np.ix_(order, chosen)].T,
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        aspect="auto",
        interpolation="nearest",
    )
    ax.set_yticks(range(len(chosen)), [names[i] for i in chosen], fontsize=8)
    ax.set_xlabel("patients, by f(x)", fontsize=9)
    bar = ax.figure.colorbar(image, ax=ax, pad=0.01)
    bar.set_label(f"SHAP value ({unit})", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return ax


def plot_interactions(
    means: FloatArray, names: Sequence[str], count: int = 14, ax: Any = None
) -> Any:
    """Draw mean absolute interactions; the diagonal is left blank.

    Parameters
    ----------
    means
        float64, shape (features, features): mean absolute interactions.
    names
        Names of the features.
    count
        Features to show: those with the largest sums, in the order given.

    Returns
    -------
    AxesImage
        For a colour bar.
    """
    ax = new_axes(ax, (7, 7))
    means = np.where(np.eye(len(means), dtype=bool), 0.0, means)
    chosen = np.sort(np.argsort(-means.sum(axis=0), kind="stable")[:count])
    names = [names[i] for i in chosen]
    shown = np.where(np.eye(len(chosen), dtype=bool), np.nan, means[np.ix_(chosen, chosen)])
    image = ax.imshow(shown, cmap="Greys", vmin=0, vmax=float(np.nanmax(shown)) or 1.0)
    ax.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
    ax.set_yticks(range(len(names)), names, fontsize=8)
    return image


def plot_waterfall(
    found: Sequence[Contribution],
    base: float,
    stage: Stage,
    count: int = 10,
    ax: Any = None,
) -> Any:
    """Draw how one patient's probability of a stage comes about; gives the Axes.

    Parameters
    ----------
    found
        As `Stager.explain` gives them, the largest first.
    base
        As `Stager.base_probability` gives it for the stage.
    stage
        The stage whose probability is drawn.
    count
        Inputs to show one by one; the others are taken together.
    """
    ax = new_axes(ax, (8, 4.5))
    rows = [(_words(item), item.shap) for item in found[:count]]
    rest = found[count:]
    if rest:
        rows.append((f"{len(rest)} other inputs", float(sum(item.shap for item in rest))))
    rows.reverse()
    at, edges = base, [base]
    for height, (_, share) in enumerate(rows):
        ax.barh(height, share, left=at, color=RAISES if share > 0 else LOWERS, height=0.62)
        if height + 1 < len(rows):
            ax.plot([at + share] * 2, [height - 0.31, height + 1.31], color="0.6", linewidth=0.8)
        at += share
        edges.append(at)
        ax.annotate(
            f"{share:+.3f}".replace("-", "\u2212"),
            (max(at, at - share), height),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    ax.axvline(base, color="0.6", linewidth=0.8, linestyle=":")
    ax.set_yticks(range(len(rows)), [words for words, _ in rows], fontsize=8)
    width = max(edges) - min(edges) or 1.0
    ax.set_xlim(min(edges) - 0.05 * width, max(edges) + 0.22 * width)
    ax.set_ylim(-0.6, len(rows) - 0.1)
    ax.set_xlabel(
        f"probability of stage {stage} ({stage.label}): {base:.2f} before, {at:.2f} after",
        fontsize=9,
    )
    ax.tick_params(axis="x", labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _words(item: Contribution) -> str:
    if item.value is None:
        return f"{item.feature}: missing"
    if item.feature == AGE:
        return f"age: {item.value:.0f} years"
    if item.feature == SEX:
        named = next((sex.value for sex in Sex if sex.cohort_code == item.value), "?")
        return f"sex: {named}"
    return f"{item.feature}: {item.value:.0f} HU"


def _spread(values: FloatArray) -> FloatArray:
    """Sideways places of points, so that those with like values stand beside each other."""
    low, high = float(values.min()), float(values.max())
    bins = np.floor((values - low) / ((high - low) or 1.0) * (BINS - 1e-9)).astype(int)
    found = np.zeros(len(values))
    most = max(1, int(np.bincount(bins).max()))
    for number in np.unique(bins):
        members = np.flatnonzero(bins == number)
        places = np.arange(len(members))
        found[members] = np.where(places % 2 == 0, 1, -1) * ((places + 1) // 2)
    return np.asarray(found * min(0.12, 0.8 / most))


def new_axes(ax: Any, size: tuple[float, float]) -> Any:
    """The given axes, or those of a new figure of a size in inches."""
    from matplotlib.figure import Figure as Drawing

    return Drawing(figsize=size, layout="constrained").subplots() if ax is None else ax
