"""The fonts of pictures and pages: DejaVu Sans, which matplotlib brings."""

from importlib.util import find_spec
from pathlib import Path

__all__ = ["BOLD", "REGULAR", "font_file"]

REGULAR, BOLD = "DejaVuSans", "DejaVuSans-Bold"
"""Names of the fonts."""


def font_file(name: str) -> Path:
    """The file of one of the fonts `REGULAR` and `BOLD`.

    Raises
    ------
    FileNotFoundError
        matplotlib is not installed.
    """
    found = find_spec("matplotlib")  # not imported, which takes longer than a page
    if found is None or found.origin is None:
        raise FileNotFoundError("the fonts that matplotlib brings are not installed")
    return Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / f"{name}.ttf"
