"""The values of a table of results by scanner, measure and month."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from modeling.cohort import SITE_NAMES
from modeling.cohort.reading import cell_value
from modeling.cohort.table import RawTable
from modeling.errors import CohortLayout

__all__ = [
    "MEASURES",
    "Measurement",
    "Scanner",
    "by_scanner",
    "measurement_of",
    "measurements_of",
]

MEASURES = {
    "l1": "L1",
    "aorta": "aorta",
    "muscle": "muscle",
    "noise": "noise (standard deviation)",
}
"""What is followed, and what it is called: mean HU of L1 and of the aorta's blood, median HU of the
muscle sites, and the noise near the spine."""

MUSCLE_SITES = tuple(name for name in SITE_NAMES if "_" in name)

SINGLE = {"l1": "L1", "aorta": "aorta_hu", "noise": "noise_sd_hu"}
"""Measures that are one column, and its name."""

FOLLOWED = (*SINGLE.values(), *MUSCLE_SITES)
"""Columns with what is followed."""

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
    stated = [name for name in (*NEEDED, "contrast") if name in places]
    kind_of = {name: name if name in SITE_NAMES else MUSCLE_SITES[0] for name in FOLLOWED}
    measured = {name: places[name] for name in FOLLOWED if name in places}
    for number, row in enumerate(table.rows, start=1):
        hu = {
            name: float(cell_value(number, name, text, kind_of[name]))
            for name, place in measured.items()
            if (text := row[place].strip())
        }
        found = measurement_of({name: row[places[name]].strip() for name in stated}, hu)
        if found is not None:
            yield found


def measurement_of(cells: Mapping[str, str], hu: Mapping[str, float]) -> Measurement | None:
    """What one series says; None for one without a date or any measure.

    Parameters
    ----------
    cells
        Of the columns `NEEDED`, and ``contrast``, ``yes`` or ``no``.
    hu
        HU by the columns `FOLLOWED`; what was not measured is not there.
    """
    month = _month_of(cells["study_date"])
    muscles = [hu[name] for name in MUSCLE_SITES if name in hu]
    values = {name: hu[column] for name, column in SINGLE.items() if column in hu}
    if muscles:
        values["muscle"] = median(muscles)
    if not month or not values:
        return None
    contrast = _contrast(cells.get("contrast", ""))
    scanner = Scanner(cells["manufacturer"], cells["model"], cells["kernel"], contrast)
    return Measurement(scanner, month, values)


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
