"""Before and now in words: a line for each vertebra, or why nothing is compared."""

from dicom_node.reporting.report_model import Comparison, SiteChange

__all__ = ["comparison_words"]

NOT_COMPARED_LINES = 3
"""Reasons that are written out; the others are counted."""


def comparison_words(comparison: Comparison | None) -> tuple[str, ...]:
    """The lines that every output shows; none if the node has no other report of the patient.

    First a line for each vertebra that was compared, or else the reasons why none was.
    """
    if comparison is None:
        return ()
    if comparison.earlier is not None:
        on = comparison.earlier.study_date.isoformat()
        return tuple(_change_words(change, on) for change in comparison.changes)
    reasons = [
        f"Not compared with {item.study_date or 'a study without date'}: {item.message}"
        for item in comparison.not_compared
    ]
    more = len(reasons) - NOT_COMPARED_LINES
    if more > 0:
        reasons = [*reasons[:NOT_COMPARED_LINES], f"and {more} more that are not compared"]
    return tuple(reasons)


def _change_words(change: SiteChange, on: str) -> str:
    side = "beyond" if change.significant else "within"
    return (
        f"{change.name} {change.mean_hu:.0f} HU, {change.earlier_hu:.0f} HU on {on}: "
        f"{_signed(change.change_hu, 0)} HU, {_signed(change.per_year_hu, 1)} a year; {side} the "
        f"least significant change of {change.least_significant_hu:g} HU"
    )


def _signed(value: float, digits: int) -> str:
    """A number with its sign, none before what rounds to zero."""
    text = f"{value:+.{digits}f}"
    return text if float(text) else f"{0:.{digits}f}"
