"""Domain errors of ROI extraction.

RoiError
├── InvalidVolume          a volume that cannot be what it claims to be
├── FieldOfViewTooSmall    the scan lacks the surroundings that naming needs
├── SpineNotFound          no vertebral canal could be followed
├── LevelsNotCovered       the scan does not reach the levels that it must
├── LevelsAmbiguous        levels are there but cannot be named with confidence
└── InvalidSegmentation    a label map that does not fit the volume or its numbering
"""

from collections.abc import Sequence

__all__ = [
    "FieldOfViewTooSmall",
    "InvalidSegmentation",
    "InvalidVolume",
    "LevelsAmbiguous",
    "LevelsNotCovered",
    "RoiError",
    "SpineNotFound",
]


class RoiError(Exception):
    """Root of all errors of this package; ``code`` is stable, the message is for the reader."""

    code = "roi.error"


class InvalidVolume(RoiError):
    """The volume's array or geometry is not a usable axial CT."""

    code = "roi.invalid_volume"


class FieldOfViewTooSmall(RoiError):
    """The scan does not show the surroundings that localisation relies on."""

    code = "roi.field_of_view_too_small"


class SpineNotFound(RoiError):
    """No vertebral canal could be followed through the scan."""

    code = "roi.spine_not_found"


class LevelsNotCovered(RoiError):
    """The scan does not reach the levels named in ``missing``."""

    code = "roi.levels_not_covered"

    def __init__(self, missing: Sequence[str], detail: str = "") -> None:
        super().__init__(
            f"outside the scan: {', '.join(missing)}" + (f" ({detail})" if detail else "")
        )
        self.missing = tuple(missing)


class LevelsAmbiguous(RoiError):
    """Vertebrae are visible but cannot be named with confidence."""

    code = "roi.levels_ambiguous"


class InvalidSegmentation(RoiError):
    """A label map that does not fit the volume or the expected numbering."""

    code = "roi.invalid_segmentation"
