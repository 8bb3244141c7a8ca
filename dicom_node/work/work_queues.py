"""Names that the worker and the commands about its work share."""

__all__ = ["ASSESS_QUEUE", "WORKFLOW_VERSION", "commit_queue", "delivery_queue"]

WORKFLOW_VERSION = "2"
"""Raised when a workflow's steps change: recovery takes up work of the same version only."""

ASSESS_QUEUE = "assess"


def delivery_queue(destination: str) -> str:
    """Each destination has its own queue, so that a dead one never delays another."""
    return f"deliver-{destination}"


def commit_queue(destination: str) -> str:
    """The queue of looks for storage commitment."""
    return f"commit-{destination}"
