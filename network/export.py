"""The network as files: node-link JSON, two tables, GraphML and a picture."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import networkx as nx

from modeling.calibration import PAIRS, pair_name
from network.figure import place_of, plot
from network.graph import InteractionNetwork, clustering

__all__ = ["cytoscape_json", "flat_graph", "write_graphml", "write_network", "write_tables"]

DPI = 150
"""Resolution of the picture, in dots per inch."""

CYTOSCAPE_UNIT = 120.0
"""Pixels of Cytoscape's canvas for one unit of the picture."""


def write_network(network: InteractionNetwork, folder: Path) -> None:
    """Write JSON, tables, GraphML and the picture into ``folder``, which is made if absent."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(network.to_json(), indent=1) + "\n"
    (folder / "network.json").write_text(text, encoding="utf-8")
    write_tables(network, folder)
    write_graphml(network, folder / "network.graphml")
    text = json.dumps(cytoscape_json(flat_graph(network)), indent=1) + "\n"
    (folder / "network.cyjs").write_text(text, encoding="utf-8")
    figure = Figure(figsize=(9, 8), layout="constrained")
    FigureCanvasAgg(figure)
    plot(network, figure.subplots())
    figure.savefig(folder / "network.png", dpi=DPI, metadata={"Software": None})


def write_tables(network: InteractionNetwork, folder: Path) -> None:
    """Write ``nodes.csv`` and ``edges.csv``; a pair without the edge has an empty cell."""
    pairs = [pair_name(pair) for pair in PAIRS]
    with (folder / "nodes.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(
            ["name", "degree", "strength", "betweenness", "closeness", "community", "clustering"]
        )
        clustered = clustering(network.edges)
        rows.writerows([*vars(node).values(), clustered[node.name]] for node in network.nodes)
    with (folder / "edges.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["source", "target", "weight", *pairs])
        for edge in network.edges:
            cells = [edge.pairs.get(pair, "") for pair in pairs]
            rows.writerow([edge.source, edge.target, edge.weight, *cells])


def write_graphml(network: InteractionNetwork, path: Path) -> None:
    """Write GraphML; each pair's weight is an attribute of the edge, such as ``A/B``."""
    nx.write_graphml(flat_graph(network), path)


def flat_graph(
    network: InteractionNetwork,
    further: Mapping[tuple[str, str], Mapping[str, Any]] | None = None,
) -> nx.Graph:
    """Make a graph whose attributes are plain numbers, text and truth values.

    Parameters
    ----------
    network
        The network to convert.
    further
        More attributes of edges, by source and target.
    """
    graph = network.to_graph()
    for source, target, attributes in graph.edges(data=True):
        attributes.update(attributes.pop("pairs"))
        given = (further or {}).get((source, target)) or (further or {}).get((target, source))
        attributes.update(given or {})
    return graph


def cytoscape_json(graph: nx.Graph, name: str = "bone-muscle network") -> dict[str, Any]:
    """Write a graph as Cytoscape.js JSON, which Cytoscape opens as a network (``.cyjs``).

    Sites stand where the picture has them. Read back by `networkx.cytoscape_graph`.
    """
    nodes = []
    for node, attributes in graph.nodes(data=True):
        x, y = place_of(node)
        data = {"id": node, "name": node, "shared_name": node, "value": node, **attributes}
        nodes.append(
            {"data": data, "position": {"x": CYTOSCAPE_UNIT * x, "y": -CYTOSCAPE_UNIT * y}}
        )
    edges = []
    for number, (source, target, attributes) in enumerate(graph.edges(data=True), start=1):
        edges.append(
            {
                "data": {
                    "id": f"e{number}",
                    "source": source,
                    "target": target,
                    "name": f"{source} (interacts with) {target}",
                    "interaction": "interacts with",
                    **attributes,
                }
            }
        )
    return {
        "format_version": "1.0",
        "generated_by": "osteonode",
        "target_cytoscapejs_version": "~2.1",
        "directed": False,
        "multigraph": False,
        "data": {"name": name, "shared_name": name},
        "elements": {"nodes": nodes, "edges": edges},
    }
