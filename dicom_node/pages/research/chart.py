"""A control chart as figures of an SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from modeling.drift.control_chart import ControlChart, Month

__all__ = ["Band", "ChartFigure", "Point", "chart_figure"]

WIDTH, HEIGHT = 760.0, 220.0
LEFT_MARGIN, RIGHT_MARGIN, TOP_MARGIN, BOTTOM_MARGIN = 56.0, 12.0, 12.0, 34.0
"""Margins for the labels."""

MOST_MONTH_LABELS = 12
"""Months that are named below a chart at most."""

TICKS = 4
"""Lines across a chart, about."""

LEAST_SPAN_HU = 10.0
"""A chart of values that are nearly equal shows at least so much."""


@dataclass(frozen=True)
class Point:
    """A month's median: where it is drawn, and the month."""

    x: float
    y: float
    month: Month


@dataclass(frozen=True)
class Band:
    """The control limits of a month, or the ground of a first one (``centre_y`` is None)."""

    x: float
    y: float
    width: float
    height: float
    centre_y: float | None


@dataclass(frozen=True)
class ChartFigure:
    """What is drawn.

    Parameters
    ----------
    points
        Medians.
    limits, firsts
        Control limits, and the ground behind the first months, which have none.
    levels, months
        Labels of the axes, with their places.
    step_x
        Where a step begins; None without one.
    """

    points: tuple[Point, ...]
    limits: tuple[Band, ...]
    firsts: tuple[Band, ...]
    levels: tuple[tuple[float, str], ...]
    months: tuple[tuple[float, str], ...]
    step_x: float | None
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT_MARGIN
    right: float = WIDTH - RIGHT_MARGIN
    top: float = TOP_MARGIN
    bottom: float = HEIGHT - BOTTOM_MARGIN

    @property
    def line(self) -> str:
        """Through the medians, as ``points`` of a polyline."""
        return " ".join(f"{point.x:.1f},{point.y:.1f}" for point in self.points)


def chart_figure(chart: ControlChart, months: Sequence[str]) -> ChartFigure:
    """Place a chart on its sheet.

    Parameters
    ----------
    chart
        Medians and limits of a measure.
    months
        All months of the scanner, YYYY-MM, so that its charts stand one below another.
    """
    slot = (WIDTH - LEFT_MARGIN - RIGHT_MARGIN) / max(len(months), 1)
    place = {name: LEFT_MARGIN + slot * index for index, name in enumerate(months)}
    low, high = _span(chart)

    def y(value: float) -> float:
        return TOP_MARGIN + (HEIGHT - TOP_MARGIN - BOTTOM_MARGIN) * (high - value) / (high - low)

    def limits_of(month: Month) -> Band | None:
        if month.centre is None or month.lower is None or month.upper is None:
            return None
        top = y(month.upper)
        return Band(place[month.month], top, slot, y(month.lower) - top, y(month.centre))

    every = max(1, -(-len(months) // MOST_MONTH_LABELS))
    drawn = [(month, place[month.month]) for month in chart.months]
    return ChartFigure(
        points=tuple(Point(x + slot / 2, y(month.median), month) for month, x in drawn),
        limits=tuple(band for month, _ in drawn if (band := limits_of(month)) is not None),
        firsts=tuple(
            Band(x, TOP_MARGIN, slot, HEIGHT - TOP_MARGIN - BOTTOM_MARGIN, None)
            for month, x in drawn
            if month.baseline
        ),
        levels=tuple((y(level), f"{level:g}") for level in _levels(low, high)),
        months=tuple((place[name] + slot / 2, name) for name in months[::every]),
        step_x=None if chart.step is None else place[chart.step.since],
    )


def _span(chart: ControlChart) -> tuple[float, float]:
    values = [month.median for month in chart.months]
    values += [limit for m in chart.months for limit in (m.lower, m.upper) if limit is not None]
    low, high = min(values), max(values)
    missing = max(LEAST_SPAN_HU - (high - low), 0.1 * (high - low)) / 2
    return low - missing, high + missing


def _levels(low: float, high: float) -> list[float]:
    """Round numbers within a span.

    >>> _levels(-3.0, 43.0)
    [0.0, 10.0, 20.0, 30.0, 40.0]
    """
    rough = (high - low) / TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.8)
    return [step * index for index in range(ceil(low / step), floor(high / step) + 1)]
