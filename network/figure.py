"""The network drawn where its sites lie in the body."""

from collections.abc import Collection
from typing import Any

from network.graph import InteractionNetwork
from roi_extraction.sites import SITES_BY_NAME, DiscLevel, Level, Muscle, Side

__all__ = ["COLOURS", "place_of", "plot"]

COLUMNS = {Muscle.TRANSVERSOSPINALIS: 1.0, Muscle.LONGISSIMUS: 2.0, Muscle.PSOAS_MAJOR: 3.0}
"""Distance of each muscle's column from the midline, in units of the drawing."""

BEND, COLUMN_BEND = 0.1, 0.35
"""Curvature of edges between columns and along one, where straight ones would hide each other."""

LABEL_DROP = 0.24
"""How far a muscle's name stands below its dot, in units of the drawing."""

COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#0072b2", "#bbbbbb")
"""Of communities (Okabe M, Ito K. Color universal design, 2008); safe for the colour-blind."""

MARKED = "#d55e00"
"""Of edges that are set apart; the same scheme's vermilion, which no community has."""

MAX_EDGE_POINTS = 6.0
"""Width of the heaviest edge."""


def plot(
    network: InteractionNetwork,
    ax: Any = None,
    marked: Collection[tuple[str, str]] = (),
    marked_label: str = "",
    small: bool = False,
) -> Any:
    """Draw the network: vertebrae in the middle, muscles beside their disc.

    The patient's right is on the left, as on a CT image. Colour says the community, area the
    strength, width the edge's weight.

    Parameters
    ----------
    ax
        A matplotlib Axes; a new figure's if None.
    marked
        Edges to set apart, by source and target.
    marked_label
        What they are, for the legend.
    small
        Whether it is one panel of many: without words that are said once.

    Returns
    -------
    Axes
        What was drawn on.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import FancyArrowPatch

    if ax is None:
        ax = Figure(figsize=(9, 8), layout="constrained").subplots()
    palette, scale = COLOURS, 0.45 if small else 1.0
    heaviest = max((edge.weight for edge in network.edges), default=1.0)
    strongest = max((node.strength for node in network.nodes), default=1.0)
    for edge in reversed(network.edges):
        share = edge.weight / heaviest
        apart = (edge.source, edge.target) in marked or (edge.target, edge.source) in marked
        same_column = place_of(edge.source)[0] == place_of(edge.target)[0]
        line = FancyArrowPatch(
            place_of(edge.source),
            place_of(edge.target),
            arrowstyle="-",
            connectionstyle=f"arc3,rad={COLUMN_BEND if same_column else BEND}",
            linewidth=(0.3 + MAX_EDGE_POINTS * share) * scale + (1.0 if apart else 0.0),
            color=MARKED if apart else "0.35",
            alpha=0.95 if apart else 0.12 + 0.6 * share,
            zorder=1.5 if apart else 1,
        )
        ax.add_patch(line)
    for node in network.nodes:
        x, y = place_of(node.name)
        colour = palette[(node.community - 1) % len(palette)]
        area = (120 + 1500 * node.strength / strongest) * scale**2
        ax.scatter([x], [y], s=area, color=[colour], edgecolors="white", zorder=2)
        below = 0.0 if x == 0 else LABEL_DROP
        ax.annotate(
            node.name,
            (x, y - below),
            ha="center",
            va="center",
            fontsize=6 if small else 7,
            zorder=3,
            color="black",
        )
    if not small:
        _words(ax)
    handles = [
        Line2D([], [], marker="o", linestyle="", color=palette[i % len(palette)])
        for i in range(len(network.communities))
    ]
    labels = [f"community {i + 1}" for i in range(len(handles))]
    if marked and not small:
        handles.append(Line2D([], [], color=MARKED, linewidth=3))
        labels.append(marked_label)
    if handles and not small:
        ax.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=5, fontsize=8)
    ax.set_title(
        f"Bone-muscle interactions: {len(network.nodes)} sites, {len(network.edges)} edges "
        f"above {network.cutoff:g}",
        fontsize=9 if small else 10,
    )
    ax.set_xlim(-3.6, 3.6)
    ax.set_ylim(-6.3, 1.3)
    ax.set_axis_off()
    return ax


def _words(ax: Any) -> None:
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


def place_of(name: str) -> tuple[float, float]:
    """Where a site is drawn: right and up, in units of the drawing, L1 at the origin."""
    site = SITES_BY_NAME[name]
    if site.level is not None:
        return 0.0, -float(list(Level).index(site.level))
    assert site.disc is not None
    assert site.muscle is not None
    sign = -1.0 if site.side is Side.RIGHT else 1.0
    return sign * COLUMNS[site.muscle], -0.5 - list(DiscLevel).index(site.disc)
