"""Domain errors of the interaction network.

GraphError
├── InvalidGraph     a node-link object that is not an interaction network
└── StageTooSmall    a stage with too few patients to hold some out for early stopping
"""

__all__ = ["GraphError", "InvalidGraph", "StageTooSmall"]


class GraphError(Exception):
    """Root of all errors of this package; ``code`` is stable, the message is for the reader."""

    code = "graph.error"


class InvalidGraph(GraphError):
    """A node-link object that lacks a part of an interaction network, or contradicts itself."""

    code = "graph.invalid"


class StageTooSmall(GraphError):
    """A stage of a pair has too few patients for its models.

    Not `modeling.errors.TooFewPatients`, which speaks of the folds of an evaluation.
    """

    code = "graph.too_few_patients"
