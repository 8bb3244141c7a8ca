"""Which sites act together in the cohort, as a graph with its centres and communities."""

from network.build import build_network, run
from network.errors import GraphError, InvalidGraph, TooFewPatients
from network.export import write_graphml, write_network, write_tables
from network.figure import plot
from network.graph import Edge, InteractionNetwork, Node, NodePlace, locate

__all__ = [
    "Edge",
    "GraphError",
    "InteractionNetwork",
    "InvalidGraph",
    "Node",
    "NodePlace",
    "TooFewPatients",
    "build_network",
    "locate",
    "plot",
    "run",
    "write_graphml",
    "write_network",
    "write_tables",
]
