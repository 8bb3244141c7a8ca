"""Limits of monthly medians, and the step that leaves them.

References
----------
Hawkins DM. Self-starting cusum charts for location and scale. The Statistician 1987,
doi 10.2307/2348827.
Page ES. Continuous inspection schemes. Biometrika 1954, doi 10.1093/biomet/41.1-2.100 (the
cumulative sum).
Rousseeuw PJ, Croux C. Alternatives to the median absolute deviation. J Am Stat Assoc 1993,
doi 10.1080/01621459.1993.10476408 (the factor 1.4826).
Shewhart WA. Economic control of quality of manufactured product. Van Nostrand, 1931 (limits of
three standard errors).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = [
    "CUSUM_LIMIT",
    "LIMIT_ERRORS",
    "MIN_BASELINE",
    "MIN_MONTH",
    "ControlChart",
    "Month",
    "Step",
    "control_chart",
]

MIN_MONTH = 5
"""A month with fewer values is drawn and never judged."""

MIN_BASELINE = 30
"""Values of the first months that are needed before a later one is judged."""

MIN_BASELINE_MONTHS = 2
"""Months that these must come from at least."""

LIMIT_ERRORS = 3.0
"""Control limits lie this many standard errors from the earlier median (Shewhart 1931)."""

CUSUM_SLACK = 0.5
"""Standard errors of a month that the cumulative sum forgives (Page 1954)."""

CUSUM_LIMIT = 5.0
"""Cumulative sum, in standard errors, beyond which a step is reported (Page 1954)."""

MEDIAN_ERROR = math.sqrt(math.pi / 2)
"""Standard error of a median over that of a mean, for normal values."""

MAD_TO_SD = 1.4826
"""Standard deviation of normal values over their median absolute deviation."""

LEAST_SD_HU = 1.0
"""Values that agree better than this are rounded, not steadier."""


@dataclass(frozen=True)
class Month:
    """One month of one measure.

    Parameters
    ----------
    month
        YYYY-MM.
    number
        Values in it.
    median
        HU.
    centre, lower, upper
        Median of what was before, and control limits of a median of so many values, HU; None for
        the first months.
    baseline
        Whether it is one of the first months that the others need.
    outside
        Whether the median lies outside its limits.
    """

    month: str
    number: int
    median: float
    centre: float | None
    lower: float | None
    upper: float | None
    baseline: bool
    outside: bool


@dataclass(frozen=True)
class Step:
    """A change of level.

    Parameters
    ----------
    since
        First month of it, YYYY-MM.
    seen
        Month in which it was certain enough.
    change
        Median of all values since then less that of all before, HU.
    """

    since: str
    seen: str
    change: float


@dataclass(frozen=True)
class ControlChart:
    """A measure of a scanner over time; ``centre``, the median of the first months, HU, is None
    where there are too few values yet.
    """

    months: tuple[Month, ...]
    centre: float | None
    step: Step | None


def control_chart(values: Mapping[str, Sequence[float]]) -> ControlChart:
    """Hold each month's median against all values before it.

    Limits are the median of the earlier values and `LIMIT_ERRORS` standard errors, of the month's
    median and of theirs. A step is reported where the median of at least `MIN_MONTH` values leaves
    its limits, or where the cumulative sum of the standardised medians passes `CUSUM_LIMIT`; being
    held against what was before each of them, these are nearly independent while nothing changes
    (Hawkins 1987). Months after a step are held against what was before it.

    Parameters
    ----------
    values
        The values of each month, HU; months as YYYY-MM.
    """
    names = sorted(month for month in values if len(values[month]))
    base = _baseline(names, values)
    months: list[Month] = []
    scores: dict[str, float] = {}
    step: Step | None = None
    sums = [0.0, 0.0]
    for place, name in enumerate(names):
        judged = bool(base) and place >= len(base)
        if not judged:
            months.append(_month(name, values[name], None, baseline=place < len(base)))
            continue
        reference = _Reference.of(
            [values[one] for one in names[:place] if step is None or one < step.since]
        )
        months.append(_month(name, values[name], reference, baseline=False))
        if step is not None or len(values[name]) < MIN_MONTH:
            continue
        scores[name] = reference.score(values[name])
        sums = [
            max(total + side * scores[name] - CUSUM_SLACK, 0.0)
            for total, side in zip(sums, (1, -1), strict=True)
        ]
        if months[-1].outside or max(sums) > CUSUM_LIMIT:
            step = _step(scores, name, names, values)
    centre = _Reference.of([values[name] for name in base]).centre if base else None
    return ControlChart(tuple(months), centre, step)


@dataclass(frozen=True)
class _Reference:
    """The values that a month is held against: their median, spread and number."""

    centre: float
    spread: float
    number: int

    @classmethod
    def of(cls, groups: Sequence[Sequence[float]]) -> "_Reference":
        values = np.concatenate([np.asarray(group, dtype=np.float64) for group in groups])
        centre = float(np.median(values))
        spread = MAD_TO_SD * float(np.median(np.abs(values - centre)))
        return cls(centre, max(spread, LEAST_SD_HU), len(values))

    def error(self, number: int) -> float:
        """Standard error of the difference to the median of so many values, HU."""
        return MEDIAN_ERROR * self.spread * math.sqrt(1 / number + 1 / self.number)

    def score(self, values: Sequence[float]) -> float:
        """Difference of a month's median, in standard errors."""
        return (float(np.median(values)) - self.centre) / self.error(len(values))


def _baseline(months: Sequence[str], values: Mapping[str, Sequence[float]]) -> tuple[str, ...]:
    total = 0
    for place, name in enumerate(months, start=1):
        total += len(values[name])
        if total >= MIN_BASELINE and place >= MIN_BASELINE_MONTHS:
            return tuple(months[:place])
    return ()


def _month(
    name: str, values: Sequence[float], reference: _Reference | None, *, baseline: bool
) -> Month:
    median, number = float(np.median(values)), len(values)
    if reference is None:
        return Month(name, number, median, None, None, None, baseline, outside=False)
    limit = LIMIT_ERRORS * reference.error(number)
    outside = number >= MIN_MONTH and abs(median - reference.centre) > limit
    centre = reference.centre
    return Month(name, number, median, centre, centre - limit, centre + limit, baseline, outside)


def _step(
    scores: Mapping[str, float],
    seen: str,
    names: Sequence[str],
    values: Mapping[str, Sequence[float]],
) -> Step:
    """The step that was seen in a month; it began where the scores since then are most unusual."""
    judged = list(scores)

    def unusual(first: str) -> float:
        after = [scores[name] for name in judged if name >= first]
        return abs(sum(after)) / math.sqrt(len(after))

    since = max(judged, key=unusual)
    before = _Reference.of([values[name] for name in names if name < since])
    after = _Reference.of([values[name] for name in names if since <= name <= seen])
    return Step(since, seen, after.centre - before.centre)
