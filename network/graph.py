"""The bone-muscle interaction network and where a site stands in it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from network.errors import InvalidGraph

if TYPE_CHECKING:
    import networkx as nx

__all__ = [
    "Edge",
    "InteractionNetwork",
    "NodePlace",
    "SiteNode",
    "clustering",
    "compose",
    "locate",
]

FORMAT = "osteonode.network/1"
"""Raised whenever the JSON's meaning changes."""


@dataclass(frozen=True)
class Edge:
    """Two sites that act together.

    Parameters
    ----------
    source, target
        Site names, in the cohort's order.
    weight
        The sum of ``pairs``.
    pairs
        By stage pair such as ``A/B``: the interaction, only where it exceeds the cutoff.
    """

    source: str
    target: str
    weight: float
    pairs: Mapping[str, float]


@dataclass(frozen=True)
class SiteNode:
    """A site in the network.

    Parameters
    ----------
    name
        The site's name.
    degree
        Number of its edges.
    strength
        Sum of its edges' weights.
    betweenness, closeness
        Centralities of the graph without weights, as published.
    community
        From 1, the strongest community first.
    """

    name: str
    degree: int
    strength: float
    betweenness: float
    closeness: float
    community: int


@dataclass(frozen=True)
class NodePlace:
    """Where a site stands in the network.

    Parameters
    ----------
    feature
        The site's name.
    community, strength, degree
        As in `SiteNode`.
    strength_rank
        1 for the strongest of ``node_count`` sites.
    node_count
        Sites in the network.
    """

    feature: str
    community: int
    strength: float
    strength_rank: int
    degree: int
    node_count: int


@dataclass(frozen=True)
class InteractionNetwork:
    """A cohort's network: nodes by falling strength, edges by falling weight.

    Parameters
    ----------
    seed, cutoff, repeats
        Seed, cutoff (log-odds summed over patients) and repeats that it was built with.
    edge_jaccard, community_agreement
        Its steadiness: the edges' Jaccard overlap, and the communities' adjusted Rand index,
        between networks of the even and the odd repeats; None with a single repeat.
    """

    nodes: tuple[SiteNode, ...]
    edges: tuple[Edge, ...]
    seed: int
    cutoff: float
    repeats: int
    edge_jaccard: float | None = None
    community_agreement: float | None = None

    @property
    def communities(self) -> tuple[tuple[str, ...], ...]:
        """The sites of each community, community 1 first."""
        count = max((node.community for node in self.nodes), default=0)
        return tuple(
            tuple(node.name for node in self.nodes if node.community == number)
            for number in range(1, count + 1)
        )

    def to_graph(self) -> "nx.Graph":
        """Make a `networkx.Graph` with all measures as attributes."""
        import networkx as nx

        graph = nx.Graph()
        for node in self.nodes:
            attributes = {name: value for name, value in vars(node).items() if name != "name"}
            graph.add_node(node.name, **attributes)
        for edge in self.edges:
            graph.add_edge(edge.source, edge.target, weight=edge.weight, pairs=dict(edge.pairs))
        nx.set_node_attributes(graph, clustering(self.edges), "clustering")
        return graph

    def to_json(self) -> dict[str, Any]:
        """Write in networkx's node-link form, JSON-ready."""
        return {
            "directed": False,
            "multigraph": False,
            "graph": {
                "format": FORMAT,
                "seed": self.seed,
                "cutoff": self.cutoff,
                "repeats": self.repeats,
                "edge_jaccard": self.edge_jaccard,
                "community_agreement": self.community_agreement,
            },
            "nodes": [
                {"id": node.name, **{k: v for k, v in vars(node).items() if k != "name"}}
                for node in self.nodes
            ],
            "edges": [{**vars(edge), "pairs": dict(edge.pairs)} for edge in self.edges],
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "InteractionNetwork":
        """Read what `to_json` wrote.

        Raises
        ------
        InvalidGraph
            Another format, a part missing, or an edge to a node that is not there.
        """
        try:
            about = dict(found["graph"])
            if about.pop("format", None) != FORMAT:
                raise InvalidGraph(f"not a network of format {FORMAT}")
            nodes = tuple(
                SiteNode(name=node["id"], **{k: v for k, v in node.items() if k != "id"})
                for node in found["nodes"]
            )
            edges = tuple(Edge(**edge) for edge in found["edges"])
            network = cls(nodes, edges, **about)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidGraph(f"the network lacks a part or has a wrong one: {error}") from error
        names = [node.name for node in nodes]
        loose = {name for edge in edges for name in (edge.source, edge.target)} - set(names)
        if loose or len(set(names)) != len(names):
            raise InvalidGraph(f"edges without their node, or nodes named twice: {sorted(loose)}")
        return network


def compose(
    interactions: Mapping[str, Mapping[tuple[str, str], float]], cutoff: float, seed: int
) -> tuple[tuple[SiteNode, ...], tuple[Edge, ...]]:
    """Compose the pairs' graphs into one and measure it.

    Parameters
    ----------
    interactions
        By stage pair, by two site names: the interaction. Only what exceeds the cutoff is an edge;
        sites without an edge are left out.
    cutoff
        In the interactions' unit.
    seed
        Seed of the Louvain method.

    References
    ----------
    Blondel VD et al. Fast unfolding of communities in large networks. J Stat Mech 2008,
    doi 10.1088/1742-5468/2008/10/P10008.
    """
    import networkx as nx

    kept: dict[tuple[str, str], dict[str, float]] = {}
    for pair, values in interactions.items():
        for ends, value in values.items():
            if value > cutoff:
                kept.setdefault(ends, {})[pair] = _rounded(value)
    edges = [Edge(a, b, _rounded(sum(pairs.values())), pairs) for (a, b), pairs in kept.items()]
    edges.sort(key=lambda edge: (-edge.weight, edge.source, edge.target))
    graph = nx.Graph()
    for edge in edges:
        graph.add_edge(edge.source, edge.target, weight=edge.weight)
    if not edges:
        return (), ()
    strength = dict(graph.degree(weight="weight"))
    found = nx.community.louvain_communities(graph, weight="weight", seed=seed)
    found.sort(key=lambda members: (-sum(strength[name] for name in members), min(members)))
    community = {name: i for i, members in enumerate(found, start=1) for name in members}
    betweenness = nx.betweenness_centrality(graph)
    closeness = nx.closeness_centrality(graph)
    nodes = [
        SiteNode(
            name,
            int(graph.degree(name)),
            _rounded(strength[name]),
            _rounded(betweenness[name]),
            _rounded(closeness[name]),
            community[name],
        )
        for name in graph
    ]
    nodes.sort(key=lambda node: (-node.strength, node.name))
    return tuple(nodes), tuple(edges)


def clustering(edges: Iterable[Edge]) -> dict[str, float]:
    """Give each site's weighted clustering coefficient.

    The mean over all pairs of a site's neighbours of the cube root of their triangle's three
    weights, each as a share of the heaviest; 0 where there is no triangle.

    References
    ----------
    Onnela JP et al. Intensity and coherence of motifs in weighted complex networks. Phys Rev E
    2005, doi 10.1103/PhysRevE.71.065103.
    """
    import networkx as nx

    graph = nx.Graph()
    graph.add_weighted_edges_from((edge.source, edge.target, edge.weight) for edge in edges)
    if not graph:
        return {}
    return {name: _rounded(value) for name, value in nx.clustering(graph, weight="weight").items()}


def locate(network: InteractionNetwork, features: Iterable[str]) -> tuple[NodePlace, ...]:
    """Find where sites stand in a network, in the order asked for, each once.

    Names that are not in the network (sites without an edge, age, sex) are passed over.
    """
    places = {
        node.name: NodePlace(
            node.name, node.community, node.strength, rank, node.degree, len(network.nodes)
        )
        for rank, node in enumerate(network.nodes, start=1)
    }
    return tuple(places[name] for name in dict.fromkeys(features) if name in places)


def _rounded(value: float) -> float:
    """Round to six significant digits, which any CPU reproduces."""
    return float(f"{float(value):.6g}")
