"""Intervals of any measure over patients drawn again."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from modeling.metrics import CONFIDENCE

__all__ = ["Estimate", "Measure", "PatientDraws", "wilson"]

FloatArray = npt.NDArray[np.float64]

Measure = Callable[[FloatArray], FloatArray]
"""From weights of the patients, float64, shape (b, n), to the measure of each row, shape (b,)."""

LARGEST_CHUNK = 2_000_000
"""Weights held at once: 16 MB."""

LEAST_DEFINED = 0.9
"""Share of draws that must give a value for an interval."""


@dataclass(frozen=True)
class Estimate:
    """A measure with its 95 % interval; NaN where there is none, as where no draw varies."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def to_json(self) -> dict[str, float | list[float] | None]:
        """Write as ``value`` and ``ci``, rounded to four places, None for NaN."""
        low, high = _stated(self.low), _stated(self.high)
        return {"value": _stated(self.value), "ci": None if None in (low, high) else [low, high]}  # type: ignore[list-item]

    def __str__(self) -> str:
        """Write for reading.

        >>> str(Estimate(0.8123, 0.75, 0.87)), str(Estimate(0.5)), str(Estimate(math.nan))
        ('0.812 [0.750, 0.870]', '0.500 [no interval]', 'none')
        """
        if math.isnan(self.value):
            return "none"
        if math.isnan(self.low) or math.isnan(self.high):
            return f"{self.value:.3f} [no interval]"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class PatientDraws:
    """Patients drawn again with replacement; the same seed gives the same draws.

    Parameters
    ----------
    patients
        How many there are, and are drawn each time.
    count
        How often.
    seed
        Seed of the draws.
    """

    patients: int
    count: int
    seed: int

    def __iter__(self) -> Iterator[FloatArray]:
        """Give weights, float64, shape (b, patients), in chunks of draws."""
        if self.patients * self.count <= LARGEST_CHUNK:
            yield from self._all_at_once
        else:
            yield from self._drawn(max(1, LARGEST_CHUNK // self.patients))

    @cached_property
    def _all_at_once(self) -> tuple[FloatArray, ...]:
        return tuple(self._drawn(max(1, self.count)))

    def _drawn(self, size: int) -> Iterator[FloatArray]:
        generator = np.random.default_rng(self.seed)
        shares = np.full(self.patients, 1 / self.patients)
        for start in range(0, self.count, size):
            drawn = generator.multinomial(self.patients, shares, size=min(size, self.count - start))
            yield drawn.astype(np.float64)

    def estimates(self, measures: Mapping[str, Measure]) -> dict[str, Estimate]:
        """Estimate measures, all on the same draws: percentile intervals.

        References
        ----------
        Efron B, Tibshirani RJ. An Introduction to the Bootstrap. 1993, section 13.3.
        """
        once = np.ones((1, self.patients))
        values = {name: float(measure(once)[0]) for name, measure in measures.items()}
        drawn: dict[str, list[FloatArray]] = {name: [] for name in measures}
        for weights in self:
            for name, measure in measures.items():
                drawn[name].append(measure(weights))
        return {
            name: Estimate(values[name], *_interval(np.concatenate(drawn[name])))
            if drawn[name]
            else Estimate(values[name])
            for name in measures
        }


def wilson(successes: int, trials: int) -> Estimate:
    """Estimate a share with its score interval, which holds for shares near 0 and 1 too.

    References
    ----------
    Wilson EB. J Am Stat Assoc 1927, doi 10.1080/01621459.1927.10502953.

    Examples
    --------
    >>> str(wilson(10, 10))
    '1.000 [0.722, 1.000]'
    """
    from scipy.stats import norm

    if not trials:
        return Estimate(math.nan)
    z = float(norm.ppf(0.5 + CONFIDENCE / 2))
    share = successes / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    half /= 1 + z * z / trials
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def _interval(values: FloatArray) -> tuple[float, float]:
    defined = values[np.isfinite(values)]
    if len(defined) < LEAST_DEFINED * len(values) or np.ptp(defined) == 0:
        return math.nan, math.nan
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, (tail, 1 - tail))
    return float(low), float(high)


def _stated(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
