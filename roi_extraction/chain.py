"""An ordered list of segmenters, of which the first that succeeds serves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from roi_extraction.anatomy import Anatomy, Finding, Segmenter, SegmenterIdentity
from roi_extraction.errors import NoSegmenterServed, RoiError
from roi_extraction.volume import CtVolume

__all__ = ["Candidate", "SegmenterChain"]

PASSED_OVER = "segmenter.passed_over"
"""Code of the finding that a segmenter which was tried before failed."""


@dataclass(frozen=True)
class Candidate:
    """A segmenter that may serve: its name, and what makes it for a volume.

    ``make`` may raise a `RoiError`, as the segmenter itself may: then the next one is tried.
    """

    name: str
    make: Callable[[CtVolume], Segmenter]


class SegmenterChain:
    """Tries segmenters in order; each that failed is named in the findings with its reason.

    Parameters
    ----------
    candidates
        At least one, the preferred first.
    """

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        if not candidates:
            raise ValueError("a chain needs at least one segmenter")
        self.candidates = tuple(candidates)

    @property
    def identity(self) -> SegmenterIdentity:
        """The chain's own name; the anatomy names the segmenter that served."""
        return SegmenterIdentity("first of " + ", ".join(c.name for c in self.candidates), "1")

    def segment(self, volume: CtVolume) -> Anatomy:
        """Localise the 36 sites by the first segmenter that can.

        Raises
        ------
        RoiError
            The only segmenter's own error.
        NoSegmenterServed
            All of several failed: the last reason and those before it.
        """
        failures: list[tuple[str, RoiError]] = []
        for candidate in self.candidates:
            try:
                anatomy = candidate.make(volume).segment(volume)
            except RoiError as error:
                if len(self.candidates) == 1:
                    raise
                failures.append((candidate.name, error))
                continue
            served = anatomy.segmenter.name
            findings = tuple(
                Finding(PASSED_OVER, f"{name} did not serve, {served} did: {error} [{error.code}]")
                for name, error in failures
            )
            return replace(anatomy, findings=(*findings, *anatomy.findings))
        raise NoSegmenterServed(failures) from failures[-1][1]
