"""The columns of a screening's results, in their order, and what each of them holds."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from modeling.cohort.patients import AGE_NAMES, IDENTIFIER_NAMES, SEX_NAMES, SITE_LIKE
from modeling.cohort.reading import STAGE_COLUMN
from roi_extraction.sites import SITES

__all__ = ["COLUMNS", "Column", "data_dictionary", "own_column_names"]

OWN_PREFIX = "list_"
"""Begins the name of a list's own column whose name means something else in the results."""


@dataclass(frozen=True)
class Column:
    """A column: whether it holds numbers, in which unit, and what in words."""

    name: str
    holds: str
    unit: str = ""
    number: bool = False


_IDENTITY = (
    Column("accession", "Accession Number; a pseudonym with --pseudonyms"),
    Column("patient", "Patient ID; a pseudonym with --pseudonyms"),
    Column("study_uid", "Study Instance UID; a pseudonym with --pseudonyms"),
    Column(
        "series_uid",
        "Series Instance UID, which tells the rows apart; a pseudonym with --pseudonyms; empty for "
        "a row of the list that the source has no series for",
    ),
    Column("study_date", "Study Date, YYYYMMDD"),
    Column("age", "age at the study; empty if unknown", "years", number=True),
    Column("sex", "F, M or O as in DICOM; empty if unknown"),
    Column("manufacturer", "of the scanner"),
    Column("model", "Manufacturer's Model Name"),
    Column("kernel", "Convolution Kernel; several values joined by backslashes"),
    Column("kvp", "tube voltage", "kV", number=True),
    Column("slice_thickness_mm", "slice thickness", "mm", number=True),
    Column(
        "contrast",
        "yes or no: a header states a contrast agent; empty if none was read; what was seen in the "
        "images is the warning acquisition.contrast_seen",
    ),
    Column(
        "outcome",
        "reported: measured; undelivered: measured, but the destination did not take the report; "
        "excluded by its header; refused by the node's rules; incomplete: not all instances came; "
        "failed: assessment failed as often as it is tried; unknown or ambiguous: row of the list "
        "without a series, or with two patients; open: not finished",
    ),
    Column("code", "stable code of the reason (docs/refusals.md, docs/screening.md)"),
    Column("reason", "the reason in words"),
    Column("route", "how the levels were named: sacrum, ribs_pair or ribs_count"),
)

_STAGING = (
    Column("stage", "most probable stage, A to D; empty if not staged"),
    *(
        Column(f"p_{letter}", f"probability of stage {letter}", "0 to 1", number=True)
        for letter in "ABCD"
    ),
    Column("prediction_set", "stages that cannot be ruled out, such as CD"),
    Column("osteoporosis", "yes, no or undetermined: whether it is stage C or D"),
    Column("l1_category", "L1 against its thresholds: low, middle or high"),
    Column("warnings", "codes of the report's warnings, separated by spaces"),
    Column("software", "version of osteonode, and name and version of the segmenter"),
    Column("model_id", "identity of the model that staged"),
    Column("aorta_hu", "mean of the blood in the abdominal aorta", "HU", number=True),
    Column("noise_sd_hu", "standard deviation of the noise near the spine", "HU", number=True),
)

COLUMNS: tuple[Column, ...] = (
    *_IDENTITY,
    *(Column(s.name, f"mean of the site {s.name}", "HU", number=True) for s in SITES),
    *(
        Column(f"{s.name}_sd", f"standard deviation within {s.name}", "HU", number=True)
        for s in SITES
    ),
    *(Column(f"{s.name}_reason", f"why {s.name} has no value; empty if it has one") for s in SITES),
    *_STAGING,
)
"""All columns but the list's own, which follow."""

READABLE_AS_THEY_ARE = (STAGE_COLUMN, "id")
"""Names of own columns that mean to `stage`, `validate` and `study` what they say."""


def own_column_names(names: Sequence[str]) -> dict[str, str]:
    """Name a list's own columns in the results.

    A name that a column of the results has, or that `stage`, `validate` and `study` would take for
    one of theirs, gets `OWN_PREFIX`.

    Examples
    --------
    >>> own_column_names(["site of scan", "age", "L1 HU", "Disease"])
    {'site of scan': 'site of scan', 'age': 'list_age', 'L1 HU': 'list_L1 HU', 'Disease': 'Disease'}
    """
    taken = {column.name for column in COLUMNS}
    found: dict[str, str] = {}
    for name in names:
        own = name
        while own in taken or _is_mistakable(own):
            own = OWN_PREFIX + own
        taken.add(own)
        found[name] = own
    return found


def data_dictionary(own_columns: Sequence[str]) -> str:
    """Describe every column in a CSV: its name, kind, unit and what it holds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("column", "kind", "unit", "holds"))
    for column in COLUMNS:
        kind = "number" if column.number else "text"
        writer.writerow((column.name, kind, column.unit, column.holds))
    for name in own_columns:
        writer.writerow((name, "text", "", "the list's own column, as it stood there"))
    return text.getvalue()


def _is_mistakable(name: str) -> bool:
    if name in READABLE_AS_THEY_ARE:
        return False
    known = (*AGE_NAMES, *SEX_NAMES, *IDENTIFIER_NAMES, STAGE_COLUMN)
    plain = re.sub(r"(mean)?hu$", "", _plain(name))
    meant = {_plain(word) for word in (*known, *(column.name for column in COLUMNS))}
    return plain in meant or bool(SITE_LIKE.fullmatch(name.strip()))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
