"""Which sites act together in the cohort, as a graph with its centres and communities.

What builds, tests and draws a network is imported from its own module: it needs libraries that take
seconds to import, and that nothing which only reads one should wait for.
"""

from network.errors import GraphError, InvalidGraph, StageTooSmall
from network.graph import Edge, InteractionNetwork, NodePlace, SiteNode, clustering, locate

__all__ = [
    "Edge",
    "GraphError",
    "InteractionNetwork",
    "InvalidGraph",
    "NodePlace",
    "SiteNode",
    "StageTooSmall",
    "clustering",
    "locate",
]
