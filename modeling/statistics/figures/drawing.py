"""What the figures of the statistics share: the stages' colours, new axes, heat maps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.cohort import Stage
from modeling.study.palette import BLUE, GREEN, ORANGE, PURPLE

__all__ = [
    "SEX_COLOURS",
    "STAGE_COLOURS",
    "STAGE_MARKERS",
    "heat_map",
    "new_axes",
    "new_figure",
    "stage_legend",
]

STAGE_COLOURS = {Stage.A: BLUE, Stage.B: GREEN, Stage.C: ORANGE, Stage.D: "#882255"}
"""One colour a stage, apart for colour-blind readers too (Okabe and Ito 2008, Tol 2021)."""

STAGE_MARKERS = {Stage.A: "o", Stage.B: "s", Stage.C: "^", Stage.D: "X"}
"""One marker a stage, so that no figure depends on colour alone."""

SEX_COLOURS = {"female": PURPLE, "male": BLUE}
"""One colour a sex."""


def new_axes(ax: Any, size_inches: tuple[float, float]) -> Any:
    """The given axes, or those of a new figure."""
    from matplotlib.figure import Figure

    if ax is not None:
        return ax
    return Figure(figsize=size_inches, layout="constrained").subplots()


def new_figure(size_inches: tuple[float, float]) -> Any:
    """A figure without a window."""
    from matplotlib.figure import Figure

    return Figure(figsize=size_inches, layout="constrained")


def stage_legend(ax: Any, **options: Any) -> None:
    """Name the stages' colours and markers."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="", marker=STAGE_MARKERS[s], color=STAGE_COLOURS[s]) for s in Stage
    ]
    ax.legend(handles, [f"{s} {s.label}" for s in Stage], fontsize=8, **options)


def heat_map(
    ax: Any,
    values: npt.NDArray[np.float64],
    rows: Sequence[str],
    columns: Sequence[str],
    texts: Sequence[Sequence[str]],
    limits: tuple[float, float],
    colours: str,
    label: str,
) -> Any:
    """Draw a table of numbers as coloured cells with a text in each; missing cells are grey.

    Parameters
    ----------
    values
        float64, shape (rows, columns), NaN where missing.
    texts
        What each cell says.
    limits
        The colour scale's ends.
    label
        What the colour scale shows, with its unit.
    """
    from matplotlib import colormaps

    scale = colormaps[colours].with_extremes(bad="0.85")
    image = ax.imshow(
        np.ma.masked_invalid(values), cmap=scale, vmin=limits[0], vmax=limits[1], aspect="auto"
    )
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            red, green, blue, _ = image.cmap(image.norm(values[row, column]))
            dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
            dark = dark and bool(np.isfinite(values[row, column]))
            ax.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                fontsize=7,
                color="white" if dark else "black",
            )
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows, fontsize=8)
    ax.tick_params(length=0)
    ax.figure.colorbar(image, ax=ax, label=label, shrink=0.6)
    return ax
