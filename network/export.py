"""The network as files: node-link JSON, two tables, GraphML and a picture."""

import csv
import json
from pathlib import Path

import networkx as nx

from modeling.calibration import PAIRS, pair_name
from network.figure import plot
from network.graph import InteractionNetwork

__all__ = ["write_graphml", "write_network", "write_tables"]

DPI = 150
"""Of the picture."""


def write_network(network: InteractionNetwork, folder: Path) -> None:
    """Write everything into ``folder``, which is made if absent."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(network.to_json(), indent=1) + "\n"
    (folder / "network.json").write_text(text, encoding="utf-8")
    write_tables(network, folder)
    write_graphml(network, folder / "network.graphml")
    figure = Figure(figsize=(9, 8), layout="constrained")
    FigureCanvasAgg(figure)
    plot(network, figure.subplots())
    figure.savefig(folder / "network.png", dpi=DPI, metadata={"Software": None})


def write_tables(network: InteractionNetwork, folder: Path) -> None:
    """Write ``nodes.csv`` and ``edges.csv``; a pair without the edge has an empty cell."""
    pairs = [pair_name(pair) for pair in PAIRS]
    with (folder / "nodes.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["name", "degree", "strength", "betweenness", "closeness", "community"])
        rows.writerows(vars(node).values() for node in network.nodes)
    with (folder / "edges.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["source", "target", "weight", *pairs])
        for edge in network.edges:
            cells = [edge.pairs.get(pair, "") for pair in pairs]
            rows.writerow([edge.source, edge.target, edge.weight, *cells])


def write_graphml(network: InteractionNetwork, path: Path) -> None:
    """Write GraphML; each pair's weight is an attribute of the edge, such as ``A/B``."""
    graph = network.to_graph()
    for _, _, attributes in graph.edges(data=True):
        attributes.update(attributes.pop("pairs"))
    nx.write_graphml(graph, path)
