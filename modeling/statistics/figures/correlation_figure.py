"""The clustered heat map of the sites' correlations."""

from typing import Any

import numpy as np
from scipy.cluster.hierarchy import dendrogram

from modeling.statistics.correlation import Correlations, Distance, SiteClusters
from modeling.statistics.figures.drawing import new_figure
from modeling.study.palette import VERMILION

__all__ = ["plot"]

AXES = {
    Distance.CORRELATION: "1 - Spearman's rho",
    Distance.ROWS: "distance between\nrows of 1 - rho",
}
"""What the tree's heights are."""


def plot(found: Correlations, clusters: SiteClusters) -> Any:
    """Correlations in the dendrogram's order, the tree above, the clusters framed; a figure."""
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Rectangle

    figure = new_figure((9, 10))
    tree_ax, ax = figure.subplots(2, 1, height_ratios=(1, 5.2))
    drawn = dendrogram(clusters.tree, no_plot=True)
    order = drawn["leaves"]
    sites = [clusters.sites[k] for k in order]
    places = [found.sites.index(site) for site in sites]
    image = ax.imshow(
        found.rho[np.ix_(places, places)], cmap="PuOr_r", vmin=-1, vmax=1, aspect="auto"
    )
    lines = [
        list(zip((np.array(x) - 5) / 10, y, strict=True))
        for x, y in zip(drawn["icoord"], drawn["dcoord"], strict=True)
    ]
    tree_ax.add_collection(LineCollection(lines, colors="0.2", linewidths=1.2))
    tree_ax.axhline(clusters.cut_height, color=VERMILION, linestyle="--", linewidth=1.2)
    tree_ax.set_xlim(-0.5, len(sites) - 0.5)
    tree_ax.set_ylim(0, float(clusters.tree[:, 2].max()) * 1.05)
    tree_ax.set_xticks([])
    tree_ax.set_ylabel(AXES[clusters.distance], fontsize=9)
    tree_ax.set_title(
        f"complete linkage, cut at {clusters.cut_height:.2f} (dashed): "
        f"{len(clusters.clusters)} clusters, numbered on the right",
        fontsize=10,
    )
    for cluster in clusters.clusters:
        inside = [place for place, site in enumerate(sites) if site in cluster.sites]
        start, size = min(inside) - 0.5, len(inside)
        ax.add_patch(
            Rectangle((start, start), size, size, fill=False, edgecolor="black", linewidth=2)
        )
        ax.text(len(sites) - 0.2, start + size / 2, f"{cluster.number}", va="center", fontsize=11)
    ax.set_xticks(range(len(sites)), sites, rotation=90, fontsize=8)
    ax.set_yticks(range(len(sites)), sites, fontsize=8)
    ax.set_ylabel("site, in the order of the tree")
    figure.colorbar(image, ax=ax, label="Spearman's rho", location="bottom", shrink=0.5, aspect=40)
    return figure
