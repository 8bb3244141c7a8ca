"""The values of a table of results by scanner, measure and month."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from modeling.cohort import SITE_NAMES
from modeling.cohort.reading import cell_value
from modeling.cohort.table import RawTable
from modeling.errors import CohortLayout

__all__ = ["MEASURES", "Measurement", "Scanner", "by_scanner", "measurements_of"]

MEASURES = {
    "l1": "L1",
    "aorta": "aorta",
    "muscle": "muscle",
    "noise": "noise (standard deviation)",
}
"""What is followed, and what it is called: mean HU of L1 and of the aorta's blood, median HU of the
muscle sites, and the noise near the spine."""

MUSCLE_SITES = tuple(name for name in SITE_NAMES if "_" in name)

NEEDED = ("study_date", "manufacturer", "model", "kernel")

REMEDY = "use the table that osteonode screen results writes"

DATE_DIGITS = 8
LAST_MONTH = 12


@dataclass(frozen=True, order=True)
class Scanner:
    """A way of scanning: what has its own level of HU.

    Parameters
    ----------
    manufacturer, model, kernel
        As the header states them; empty where it does not.
    contrast
        ``with``, ``without`` or ``unknown``: whether the scans state a contrast agent.
    """

    manufacturer: str
    model: str
    kernel: str
    contrast: str

    @property
    def words(self) -> str:
        """For reading."""
        name = " ".join(part for part in (self.manufacturer, self.model) if part)
        agent = {"with": "contrast", "without": "no contrast"}.get(
            self.contrast, "contrast not stated"
        )
        return f"{name or 'scanner not stated'}, kernel {self.kernel or 'not stated'}, {agent}"


@dataclass(frozen=True)
class Measurement:
    """What one series says in a month, YYYY-MM; a missing measure is not in ``values``."""

    scanner: Scanner
    month: str
    values: Mapping[str, float]


def measurements_of(table: RawTable) -> Iterator[Measurement]:
    """Read the rows of a table of results; rows without a date or any measure are left out.

    Parameters
    ----------
    table
        With the columns of the node's results; ``aorta_hu`` and ``noise_sd_hu`` may be absent.

    Raises
    ------
    CohortLayout
        A column that is needed is missing.
    CohortValue
        A cell that is no number.
    """
    missing = [name for name in NEEDED if name not in table.header]
    if missing:
        raise CohortLayout(f"no column {', '.join(map(repr, missing))}: {REMEDY}", missing)
    places = {name: place for place, name in enumerate(table.header)}
    for number, row in enumerate(table.rows, start=1):
        cells = {name: row[place].strip() for name, place in places.items()}
        month = _month_of(cells["study_date"])
        values = _values(number, cells)
        if month and values:
            scanner = Scanner(
                cells["manufacturer"],
                cells["model"],
                cells["kernel"],
                _contrast(cells.get("contrast", "")),
            )
            yield Measurement(scanner, month, values)


def by_scanner(
    found: Iterable[Measurement],
) -> dict[Scanner, dict[str, dict[str, list[float]]]]:
    """Part the values by scanner, measure and month, in that order."""
    parted: dict[Scanner, dict[str, dict[str, list[float]]]] = {}
    for one in found:
        measures = parted.setdefault(one.scanner, {})
        for name, value in one.values.items():
            measures.setdefault(name, {}).setdefault(one.month, []).append(value)
    return dict(sorted(parted.items()))


def _values(number: int, cells: Mapping[str, str]) -> dict[str, float]:
    def read(name: str, kind: str) -> float:
        text = cells.get(name, "")
        return float(cell_value(number, name, text, kind)) if text else math.nan

    muscles = [read(name, name) for name in MUSCLE_SITES]
    measured = [value for value in muscles if math.isfinite(value)]
    values = {
        "l1": read("L1", "L1"),
        "aorta": read("aorta_hu", MUSCLE_SITES[0]),
        "muscle": median(measured) if measured else math.nan,
        "noise": read("noise_sd_hu", MUSCLE_SITES[0]),
    }
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _month_of(date: str) -> str:
    """YYYY-MM of a date as DICOM or ISO 8601 writes it; empty where it is none.

    >>> _month_of("20260305"), _month_of("2026-03-05"), _month_of("05.03.26")
    ('2026-03', '2026-03', '')
    """
    digits = date.replace("-", "")
    if len(digits) != DATE_DIGITS or not digits.isdigit():
        return ""
    month = digits[4:6]
    return f"{digits[:4]}-{month}" if 1 <= int(month) <= LAST_MONTH else ""


def _contrast(text: str) -> str:
    return {"yes": "with", "no": "without"}.get(text.casefold(), "unknown")
