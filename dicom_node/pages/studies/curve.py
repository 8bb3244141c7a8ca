"""L1 before and now as a curve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError

from dicom_node.pages.rendering import iso_day
from dicom_node.records.listed_studies import ListedStudy, StudyFilter, studies_page
from dicom_node.reporting.report_model import Comparison
from dicom_node.reporting.words.comparison_words import comparison_words

__all__ = ["Curve", "Point", "change_lines", "curve", "l1_points"]

MOST_ON_CURVE = 200
"""Studies that are looked through for those of a patient."""

CURVE_WIDTH, CURVE_HEIGHT = 560, 220
CURVE_LEFT, CURVE_RIGHT, CURVE_TOP, CURVE_BOTTOM = 60, 20, 20, 40
"""Of the drawing, and of its margins."""

ROOM_HU = 15.0
"""Above the highest and below the lowest value."""


@dataclass(frozen=True)
class Point:
    """L1 of one study.

    Parameters
    ----------
    day
        ISO date of the study.
    hu
        Mean of L1, HU.
    study_uid
        Of the study; empty if it is not in the list.
    current
        Whether it is the study that is looked at.
    """

    day: str
    hu: float
    study_uid: str
    current: bool


@dataclass(frozen=True)
class Curve:
    """A drawing in units of its view box.

    Parameters
    ----------
    dots
        For each point where it is drawn, with the point.
    line
        Corners of the line.
    thresholds
        For each threshold in sight its height and its value, HU.
    """

    dots: tuple[tuple[float, float, Point], ...]
    line: str
    thresholds: tuple[tuple[float, float], ...]
    width: int = CURVE_WIDTH
    height: int = CURVE_HEIGHT
    left: int = CURVE_LEFT
    right: int = CURVE_WIDTH - CURVE_RIGHT
    base: int = CURVE_HEIGHT - CURVE_BOTTOM


def l1_points(
    engine: sa.Engine, row: ListedStudy, report: Mapping[str, Any]
) -> tuple[Point, ...]:  # fmt: skip
    """L1 of all listed studies of a patient, and of the one that the report is compared with.

    Parameters
    ----------
    engine
        Of the node's own tables.
    row
        The study that is looked at.
    report
        Its ``report.json``.
    """
    rows = [row]
    if row.patient_id:
        alike = studies_page(engine, StudyFilter(search=row.patient_id), limit=MOST_ON_CURVE)
        rows += [one for one in alike if one.study != row.study and _same_patient(one, row)]
    found = [
        Point(iso_day(one.study_date), one.l1_hu, one.study_uid, one is row)
        for one in rows
        if one.l1_hu is not None and _is_day(iso_day(one.study_date))
    ]
    earlier = (report.get("comparison") or {}).get("earlier")
    if earlier and earlier["study_uid"] not in {point.study_uid for point in found}:
        changes = report["comparison"]["changes"]
        values = [change["earlier_hu"] for change in changes if change["name"] == "L1"]
        found += [Point(earlier["study_date"], value, "", False) for value in values]
    return tuple(sorted(found, key=lambda point: (point.day, point.study_uid)))


def curve(points: Sequence[Point], report: Mapping[str, Any]) -> Curve | None:
    """The drawing of points in the order of time; None if there are fewer than two days."""
    days = [date.fromisoformat(point.day).toordinal() for point in points]
    if len(set(days)) < 2:
        return None
    limits = report.get("l1_threshold") or {}
    marks = [limits[name] for name in ("specific_hu", "sensitive_hu") if name in limits]
    values = [point.hu for point in points]
    low, high = min(values) - ROOM_HU, max(values) + ROOM_HU

    def height(hu: float) -> float:
        return round(
            CURVE_TOP + (high - hu) / (high - low) * (CURVE_HEIGHT - CURVE_TOP - CURVE_BOTTOM), 1
        )

    def across(day: int) -> float:
        share = (day - days[0]) / (days[-1] - days[0])
        return round(CURVE_LEFT + 30 + share * (CURVE_WIDTH - CURVE_LEFT - CURVE_RIGHT - 60), 1)

    dots = tuple(
        (across(day), height(p.hu), p) for day, p in zip(days, points, strict=True)
    )  # fmt: skip
    line = " ".join(f"{x},{y}" for x, y, _ in dots)
    return Curve(dots, line, tuple((height(hu), hu) for hu in marks if low <= hu <= high))


def change_lines(report: Mapping[str, Any]) -> tuple[str, ...]:
    """What changed since the earlier report, in the words of all outputs."""
    try:
        return comparison_words(Comparison.model_validate(report["comparison"]))
    except (KeyError, ValidationError):  # none, or of another version of the node
        return ()


def _same_patient(one: ListedStudy, other: ListedStudy) -> bool:
    born = {one.birth_date, other.birth_date} - {""}
    return one.patient_id == other.patient_id and len(born) < 2


def _is_day(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y-%m-%d")
    except ValueError:
        return False
    return True
