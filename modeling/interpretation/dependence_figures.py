"""Figures of one input's SHAP values against its own value."""

from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.interpretation.share_figures import LOWERS, MISSING, RAISES, new_axes

__all__ = ["plot_dependence", "plot_dependence_by_partner"]

FloatArray = npt.NDArray[np.float64]


def plot_dependence(
    values: FloatArray,
    inputs: FloatArray,
    name: str,
    unit: str,
    later: npt.NDArray[np.bool_] | None = None,
    labels: tuple[str, str] = ("", ""),
    ax: Any = None,
) -> Any:
    """Draw one feature's SHAP values against its own value; gives the Axes.

    Parameters
    ----------
    values, inputs
        float64, shape (n,): SHAP values, and the feature; patients without it stand at the left.
    name, unit
        The feature with its unit, and the unit of the SHAP values.
    later
        bool, shape (n,): told apart by colour; None for one colour.
    labels
        Labels of the patients who are not ``later`` and of those who are.
    """
    ax = new_axes(ax, (4, 3.2))
    x = _places(ax, inputs)
    groups = [(np.ones(len(values), dtype=bool), "0.3", "o", "")]
    if later is not None:
        groups = [(~later, LOWERS, "o", labels[0]), (later, RAISES, "^", labels[1])]
    for chosen, colour, marker, label in groups:
        ax.scatter(
            x[chosen],
            values[chosen],
            s=11,
            color=colour,
            marker=marker,
            alpha=0.65,
            linewidths=0,
            label=label or None,
        )
    _name_dependence(ax, name, unit)
    if later is not None:
        ax.legend(fontsize=8, frameon=False, handletextpad=0.1)
    return ax


def plot_dependence_by_partner(
    values: FloatArray,
    inputs: FloatArray,
    partner: FloatArray,
    names: tuple[str, str],
    unit: str,
    ax: Any = None,
) -> Any:
    """Draw one site's SHAP values against its HU, coloured by those of the partner site.

    Parameters
    ----------
    values, inputs
        float64, shape (n,): SHAP values and HU of the site; patients without it stand at the left.
    partner
        float64, shape (n,): HU of the partner; patients without it are grey.
    names
        The site and its partner.
    unit
        Unit of the SHAP values.

    Returns
    -------
    Axes
        With a colour bar beside it, from the 5th to the 95th percentile of the partner's HU.
    """
    ax = new_axes(ax, (4, 3.2))
    x = _places(ax, inputs)
    told = np.isfinite(partner)
    ax.scatter(x[~told], values[~told], s=12, color=MISSING, linewidths=0)
    low, high = np.nanquantile(partner, (0.05, 0.95)) if told.any() else (0.0, 1.0)
    drawn = ax.scatter(
        x[told],
        values[told],
        c=partner[told],
        cmap="plasma",
        vmin=low,
        vmax=high,
        s=12,
        linewidths=0,
    )
    bar = ax.figure.colorbar(drawn, ax=ax, pad=0.02, extend="both")
    bar.set_label(f"{names[1]} (HU)", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    _name_dependence(ax, f"{names[0]} (HU)", unit)
    return ax


def _places(ax: Any, inputs: FloatArray) -> FloatArray:
    """Where each patient stands, those without the value apart at the left."""
    known = np.isfinite(inputs)
    low, high = (float(f(inputs[known])) if known.any() else 0.0 for f in (np.min, np.max))
    aside = low - 0.08 * max(1.0, high - low)
    if not known.all():
        ax.axvline(aside / 2 + low / 2, color="0.8", linewidth=0.8)
        ax.annotate(
            f"missing ({int((~known).sum())})",
            (aside, 0.98),
            xycoords=("data", "axes fraction"),
            rotation=90,
            ha="right",
            va="top",
            fontsize=7,
        )
    return np.where(known, inputs, aside)


def _name_dependence(ax: Any, name: str, unit: str) -> None:
    ax.axhline(0, color="0.5", linewidth=0.8)
    ax.set_xlabel(name, fontsize=9)
    ax.set_ylabel(f"SHAP value\n({unit})", fontsize=9)
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)
