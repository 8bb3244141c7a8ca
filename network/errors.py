"""Domain errors of the interaction network.

GraphError
├── InvalidGraph           a node-link object that is no interaction network
└── StageTooSmall         a pair of stages too small to hold patients out for early stopping
"""

__all__ = ["GraphError", "InvalidGraph", "StageTooSmall"]


class GraphError(Exception):
    """Root of all errors of this package; ``code`` is stable, the message is for the reader."""

    code = "graph.error"


class InvalidGraph(GraphError):
    """A node-link object that lacks a part of an interaction network, or contradicts itself."""

    code = "graph.invalid"


class StageTooSmall(GraphError):
    """A pair of stages has too few patients to build on."""

    code = "graph.too_few_patients"
