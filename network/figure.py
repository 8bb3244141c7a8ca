"""The network drawn where its sites lie in the body."""

from collections.abc import Collection
from typing import Any

from modeling.study.palette import BLUE, GREEN, ORANGE, PURPLE, SKY_BLUE, VERMILION, YELLOW
from network.graph import InteractionNetwork
from roi_extraction.sites import SITES_BY_NAME, DiscLevel, Level, Muscle, Side

__all__ = ["MARKED", "place_of", "plot"]

MUSCLE_COLUMNS = {Muscle.TRANSVERSOSPINALIS: 1.0, Muscle.LONGISSIMUS: 2.0, Muscle.PSOAS_MAJOR: 3.0}
"""Distance of each muscle's column from the midline, in units of the drawing."""

BEND, COLUMN_BEND = 0.1, 0.35
"""Curvature of edges between columns and along one, where straight ones would hide each other."""

LABEL_DROP = 0.24
"""How far a muscle's name stands below its dot, in units of the drawing."""

COMMUNITY_COLOURS = (ORANGE, SKY_BLUE, GREEN, YELLOW, PURPLE, BLUE, "#bbbbbb")
"""Colours of communities, the strongest first; a further one starts again."""

MARKED = VERMILION
"""Colour of edges that are set apart; no community has it."""

MAX_EDGE_POINTS = 6.0
"""Width of the heaviest edge, in points."""

SMALL_SCALE = 0.45
"""Size of edges and dots in a panel of many, against those of a picture of its own."""


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
        A matplotlib Axes; that of a new figure if None.
    marked
        Edges to set apart, by source and target.
    marked_label
        Their name in the legend.
    small
        Whether it is one panel of many: smaller, without labels and legend.

    Returns
    -------
    Axes
        The Axes that was drawn on.
    """
    from matplotlib.figure import Figure

    if ax is None:
        ax = Figure(figsize=(9, 8), layout="constrained").subplots()
    scale = SMALL_SCALE if small else 1.0
    _draw_edges(ax, network, marked, scale)
    _draw_nodes(ax, network, scale, 6 if small else 7)
    if not small:
        _words(ax)
        _legend(ax, len(network.communities), marked_label if marked else None)
    ax.set_title(
        f"Bone-muscle interactions: {len(network.nodes)} sites, {len(network.edges)} edges "
        f"above {network.cutoff:g}",
        fontsize=9 if small else 10,
    )
    ax.set_xlim(-3.6, 3.6)
    ax.set_ylim(-6.3, 1.3)
    ax.set_axis_off()
    return ax


def _draw_edges(
    ax: Any, network: InteractionNetwork, marked: Collection[tuple[str, str]], scale: float
) -> None:
    """Draw the edges, the heaviest last and so on top."""
    from matplotlib.patches import FancyArrowPatch

    heaviest = max((edge.weight for edge in network.edges), default=1.0)
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


def _draw_nodes(ax: Any, network: InteractionNetwork, scale: float, font_points: int) -> None:
    strongest = max((node.strength for node in network.nodes), default=1.0)
    for node in network.nodes:
        x, y = place_of(node.name)
        area = (120 + 1500 * node.strength / strongest) * scale**2
        ax.scatter([x], [y], s=area, color=[_colour(node.community)], edgecolors="white", zorder=2)
        below = 0.0 if x == 0 else LABEL_DROP
        ax.annotate(
            node.name,
            (x, y - below),
            ha="center",
            va="center",
            fontsize=font_points,
            zorder=3,
            color="black",
        )


def _colour(community: int) -> str:
    return COMMUNITY_COLOURS[(community - 1) % len(COMMUNITY_COLOURS)]


def _legend(ax: Any, communities: int, marked_label: str | None) -> None:
    """Name the communities' colours, and the marked edges where there are any."""
    from matplotlib.lines import Line2D

    numbers = range(1, communities + 1)
    handles = [
        Line2D([], [], marker="o", linestyle="", color=_colour(number)) for number in numbers
    ]
    labels = [f"community {number}" for number in numbers]
    if marked_label is not None:
        handles.append(Line2D([], [], color=MARKED, linewidth=3))
        labels.append(marked_label)
    if handles:
        ax.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=5, fontsize=8)


def _words(ax: Any) -> None:
    for muscle, column in MUSCLE_COLUMNS.items():
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
    """Give where a site is drawn: right and up, in units of the drawing, L1 at the origin."""
    site = SITES_BY_NAME[name]
    if site.level is not None:
        return 0.0, -float(list(Level).index(site.level))
    assert site.disc is not None
    assert site.muscle is not None
    sign = -1.0 if site.side is Side.RIGHT else 1.0
    return sign * MUSCLE_COLUMNS[site.muscle], -0.5 - list(DiscLevel).index(site.disc)
