"""The flow chart of a screening: how many came how far, and why others did not."""

from collections import Counter
from dataclasses import dataclass

from dicom_node.archive.bookkeeping.series_rows import Outcome, Stage
from dicom_node.archive.results.rows import OPEN

__all__ = ["FlowLoss", "FlowStep", "flow_of"]

MOST_CODES = 4
"""Codes that a box of the flow chart names; the table beside it has all."""


@dataclass(frozen=True)
class FlowLoss:
    """Why some did not come further, how many, and the commonest codes of it."""

    words: str
    count: int
    codes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class FlowStep:
    """A box of the flow chart: how many came so far, and why others did not come further."""

    title: str
    count: int
    left: tuple[FlowLoss, ...]


def flow_of(
    states: Counter[tuple[str, Stage]], codes: Counter[tuple[str, str]], *, sends: bool
) -> tuple[FlowStep, ...]:
    """The way from listed to reported; each count is the former less those that were left.

    Parameters
    ----------
    states
        Rows by outcome, or `rows.OPEN`, and stage.
    codes
        Rows by outcome and code of the reason, of those that were not measured.
    sends
        Whether reports go to a destination.

    References
    ----------
    P. M. Bossuyt et al.: STARD 2015. BMJ 351 (2015) h5527, doi 10.1136/bmj.h5527.
    """

    def count(outcome: str, *stages: Stage) -> int:
        return sum(n for (o, s), n in states.items() if o == outcome and s in (stages or Stage))

    def coded(words: str, outcome: Outcome) -> FlowLoss:
        found = [(c, n) for (o, c), n in codes.most_common() if o == outcome]
        return FlowLoss(words, count(outcome), tuple(found[:MOST_CODES]))

    unfetched, fetched = (Stage.LISTED, Stage.SCREENED), (Stage.FETCHED, Stage.ASSESSED)
    unlisted = count(Outcome.INCOMPLETE, Stage.LISTED)
    incomplete = count(Outcome.INCOMPLETE) - unlisted
    rows = (
        FlowLoss("unknown to the source", count(Outcome.UNKNOWN)),
        FlowLoss("accession number of several patients", count(Outcome.AMBIGUOUS)),
        FlowLoss("days or rows not listed whole", unlisted),
    )
    parts: list[tuple[str, tuple[FlowLoss, ...]]] = [
        (
            "Series listed",
            (
                coded("excluded by their headers", Outcome.EXCLUDED),
                FlowLoss("not looked at yet", count(OPEN, Stage.LISTED)),
            ),
        ),
        (
            "Eligible by their headers",
            (
                FlowLoss("incomplete transfers", incomplete),
                FlowLoss("failed before they were fetched", count(Outcome.FAILED, *unfetched)),
                FlowLoss("not fetched yet", count(OPEN, Stage.SCREENED)),
            ),
        ),
        (
            "Fetched",
            (
                FlowLoss("assessment failed", count(Outcome.FAILED, *fetched)),
                FlowLoss("not assessed yet", count(OPEN, Stage.FETCHED)),
            ),
        ),
        ("Assessed", (coded("refused by the node's rules", Outcome.REFUSED),)),
    ]
    if any(loss.count for loss in rows):
        parts.insert(0, ("Series listed, and rows of the list without one", rows))
    end = "Measured, reports kept on the node"
    if sends:
        end = "Reports delivered"
        late = (
            coded("not taken by the destination", Outcome.UNDELIVERED),
            FlowLoss("not sent yet", count(OPEN, Stage.ASSESSED)),
        )
        parts.append(("Measured", late))
    steps, left = [], states.total()
    for title, losses in (*parts, (end, ())):
        steps.append(FlowStep(title, left, tuple(loss for loss in losses if loss.count)))
        left -= sum(loss.count for loss in losses)
    return tuple(steps)
