"""The network drawn where its sites lie in the body."""

from typing import Any

from network.graph import InteractionNetwork
from roi_extraction.sites import SITES_BY_NAME, DiscLevel, Level, Muscle, Side

__all__ = ["plot"]

COLUMNS = {Muscle.TRANSVERSOSPINALIS: 1.0, Muscle.LONGISSIMUS: 2.0, Muscle.PSOAS_MAJOR: 3.0}
"""Distance of each muscle's column from the midline, in units of the drawing."""

BEND, COLUMN_BEND = 0.1, 0.35
"""Curvature of edges between columns and along one, where straight ones would hide each other."""

LABEL_DROP = 0.24
"""How far a muscle's name stands below its dot, in units of the drawing."""

MAX_EDGE_POINTS = 6.0
"""Width of the heaviest edge."""


def plot(network: InteractionNetwork, ax: Any = None) -> Any:
    """Draw the network: vertebrae in the middle, muscles beside their disc.

    The patient's right is on the left, as on a CT image. Colour says the community, area the
    strength, width the edge's weight.

    Parameters
    ----------
    ax
        A matplotlib Axes; a new figure's if None.

    Returns
    -------
    Axes
        What was drawn on.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import FancyArrowPatch

    if ax is None:
        ax = Figure(figsize=(9, 8), layout="constrained").subplots()
    palette = [colormaps["tab10"](i) for i in range(10)]
    heaviest = max((edge.weight for edge in network.edges), default=1.0)
    strongest = max((node.strength for node in network.nodes), default=1.0)
    for edge in reversed(network.edges):
        share = edge.weight / heaviest
        same_column = _place(edge.source)[0] == _place(edge.target)[0]
        line = FancyArrowPatch(
            _place(edge.source),
            _place(edge.target),
            arrowstyle="-",
            connectionstyle=f"arc3,rad={COLUMN_BEND if same_column else BEND}",
            linewidth=0.3 + MAX_EDGE_POINTS * share,
            color="0.35",
            alpha=0.12 + 0.6 * share,
            zorder=1,
        )
        ax.add_patch(line)
    for node in network.nodes:
        x, y = _place(node.name)
        colour = palette[(node.community - 1) % len(palette)]
        area = 120 + 1500 * node.strength / strongest
        ax.scatter([x], [y], s=area, color=[colour], edgecolors="white", zorder=2)
        below = 0.0 if x == 0 else LABEL_DROP
        ax.annotate(
            node.name, (x, y - below), ha="center", va="center", fontsize=7, zorder=3, color="black"
        )
    for muscle, column in COLUMNS.items():
        for sign in (-1, 1):
            ax.annotate(
                muscle.replace("spinalis", "-\nspinalis"),
                (sign * column, 0.75),
                ha="center",
                va="bottom",
                fontsize=8,
            )
    ax.annotate("vertebrae", (0, 0.75), ha="center", va="bottom", fontsize=8)
    ax.annotate("patient's right", (-2, -6.1), ha="center", fontsize=9)
    ax.annotate("patient's left", (2, -6.1), ha="center", fontsize=9)
    handles = [
        Line2D([], [], marker="o", linestyle="", color=palette[i % len(palette)])
        for i in range(len(network.communities))
    ]
    labels = [f"community {i + 1}" for i in range(len(handles))]
    if handles:
        ax.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=6, fontsize=8)
    ax.set_title(
        f"Bone-muscle interactions: {len(network.nodes)} sites, {len(network.edges)} edges "
        f"above {network.cutoff:g}",
        fontsize=10,
    )
    ax.set_xlim(-3.6, 3.6)
    ax.set_ylim(-6.3, 1.3)
    ax.set_axis_off()
    return ax


def _place(name: str) -> tuple[float, float]:
    site = SITES_BY_NAME[name]
    if site.level is not None:
        return 0.0, -float(list(Level).index(site.level))
    assert site.disc is not None
    assert site.muscle is not None
    sign = -1.0 if site.side is Side.RIGHT else 1.0
    return sign * COLUMNS[site.muscle], -0.5 - list(DiscLevel).index(site.disc)
