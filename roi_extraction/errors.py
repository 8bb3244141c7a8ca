"""Domain errors of ROI extraction.

RoiError
├── InvalidVolume          a volume that cannot be what it claims to be
├── FieldOfViewTooSmall    the scan lacks the surroundings that naming needs
├── SpineNotFound          no vertebral canal could be followed
├── LevelsNotCovered       the scan does not reach the levels that it must
├── LevelsAmbiguous        levels are there but cannot be named with confidence
├── InvalidSegmentation    labels that do not fit the volume or their own description
├── SegmenterUnavailable   a segmenter that could not run, or not to its end
├── CorrectionInvalid      a reader's correction that cannot be applied
└── NoSegmenterServed      every configured segmenter failed
"""

from collections.abc import Sequence

__all__ = [
    "CorrectionInvalid",
    "FieldOfViewTooSmall",
    "InvalidSegmentation",
    "InvalidVolume",
    "LevelsAmbiguous",
    "LevelsNotCovered",
    "NoSegmenterServed",
    "RoiError",
    "SegmenterUnavailable",
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
    """The scan does not reach the levels named in ``missing``; ``detail`` says more."""

    code = "roi.levels_not_covered"

    def __init__(self, missing: Sequence[str], detail: str = "") -> None:
        super().__init__(
            f"outside the scan: {', '.join(missing)}" + (f" ({detail})" if detail else "")
        )
        self.missing = tuple(missing)
        self.detail = detail


class LevelsAmbiguous(RoiError):
    """Vertebrae are visible but cannot be named with confidence."""

    code = "roi.levels_ambiguous"


class InvalidSegmentation(RoiError):
    """Labels that do not fit the volume, their numbering or their own description.

    Parameters
    ----------
    message
        What was found.
    code
        A narrower stable code than the class's own.
    """

    code = "roi.invalid_segmentation"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or type(self).code


class SegmenterUnavailable(RoiError):
    """A segmenter could not run, or not to its end; ``code`` says which and why."""

    code = "roi.segmenter_unavailable"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or type(self).code


class CorrectionInvalid(RoiError):
    """A reader's correction does not fit the scan."""

    code = "roi.correction_invalid"


class NoSegmenterServed(RoiError):
    """Every configured segmenter failed; ``code`` is the last one's.

    Parameters
    ----------
    failures
        Name and error of each, in the order in which they were tried.
    """

    code = "roi.no_segmenter"

    def __init__(self, failures: Sequence[tuple[str, RoiError]]) -> None:
        *earlier, (name, last) = failures
        before = "".join(f"; before it {n}: {error} [{error.code}]" for n, error in earlier)
        super().__init__(f"{name}: {last}{before}")
        self.failures = tuple(failures)
        self.code = last.code
