"""The end of a workflow that is taken up again."""

__all__ = ["Interrupted"]


class Interrupted(BaseException):
    """Ends a workflow without any record of it, so that it is taken up after the next start."""
