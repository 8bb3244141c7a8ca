"""How a command ends."""

import sys
from typing import NoReturn

__all__ = ["EXIT_FAULT", "EXIT_REFUSED", "EXIT_REPORTED", "EXIT_USAGE", "fail"]

EXIT_REPORTED, EXIT_REFUSED, EXIT_USAGE, EXIT_FAULT = 0, 1, 2, 3
"""Done; refused with a reason; wrong use or settings; a fault of disk, peer or program."""


def fail(message: str, code: int) -> NoReturn:
    """Print one line to stderr and exit."""
    print(f"osteonode: {message}", file=sys.stderr)
    raise SystemExit(code)
