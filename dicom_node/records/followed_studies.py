"""What was measured on each study, for following a scanner's HU over time.

A row has the key of the study in the spool, its date and the scanner: nothing else of a patient. It
stays when the report goes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from dicom_node.foreign_text import cleaned
from dicom_node.records.database import followed_studies

__all__ = ["STATED", "follow_study", "followed_values"]

STATED = ("study_date", "manufacturer", "model", "kernel", "contrast")
"""What is kept of a study beside HU, as the columns of a table of results are called."""

STUDIES_AT_ONCE = 1000


def follow_study(
    connection: sa.Connection, study: str, study_date: str, report: Mapping[str, Any]
) -> None:
    """Keep what a report measured, in place of what was kept of its study before.

    Parameters
    ----------
    connection
        To the node's own tables.
    study
        Key of the study in the spool.
    study_date
        YYYYMMDD; empty where it is not stated.
    report
        Content of ``report.json``, not of a refusal.
    """
    acquisition = report["acquisition"]
    row = {
        "study": study,
        "study_date": cleaned(study_date),
        **{name: cleaned(acquisition[name]) for name in ("manufacturer", "model", "kernel")},
        "contrast": "yes" if acquisition["contrast"] else "no",
        "hu": {
            **{site["name"]: site["mean_hu"] for site in report["sites"]},
            **{name: acquisition[name] for name in ("aorta_hu", "noise_sd_hu")},
        },
    }
    connection.execute(sa.delete(followed_studies).where(followed_studies.c.study == study))
    connection.execute(sa.insert(followed_studies).values(row))


def followed_values(engine: sa.Engine) -> Iterator[tuple[dict[str, str], dict[str, float]]]:
    """Give of each study `STATED`, and its HU by site, ``aorta_hu`` and ``noise_sd_hu``."""
    last = ""
    columns = [followed_studies.c[name] for name in ("study", "hu", *STATED)]
    while True:
        asked = sa.select(*columns).where(followed_studies.c.study > last)
        with engine.connect() as connection:
            found = connection.execute(
                asked.order_by(followed_studies.c.study).limit(STUDIES_AT_ONCE)
            ).all()
        for _, hu, *stated in found:
            measured = {name: value for name, value in hu.items() if value is not None}
            yield dict(zip(STATED, stated, strict=True)), measured
        if len(found) < STUDIES_AT_ONCE:
            return
        last = found[-1].study
