"""What the list of studies is asked for: filters and fixed views, as an address has them."""

import re
from dataclasses import dataclass, replace
from datetime import date, timedelta
from urllib.parse import urlencode

from starlette.exceptions import HTTPException

from dicom_node.records.listed_studies import StudyFilter, StudyState

__all__ = ["VIEWS", "Asked", "place_of", "place_text"]

VIEWS = ("to_read", "low_unread", "refused_week", "deliveries_failed")
"""Fixed views, in the order in which they are shown."""

DAYS_OF_A_WEEK = 7

PLACE = re.compile(r"(\d{1,15})-([0-9a-zA-Z]{1,64})")


@dataclass(frozen=True)
class Asked:
    """What a visitor asked the list for.

    Parameters
    ----------
    view
        One of `VIEWS`; empty for all studies.
    state
        As in `StudyFilter`; empty for each.
    search
        As in `StudyFilter`.
    after, before
        The row that the page follows, or precedes; see `place_text`.
    """

    view: str = ""
    state: str = ""
    search: str = ""
    after: str = ""
    before: str = ""

    def __post_init__(self) -> None:
        known = self.view in ("", *VIEWS) and self.state in ("", *StudyState)
        if not known or len(self.search) > 200:
            raise HTTPException(404)

    def wanted(self, *, by_patient: bool) -> StudyFilter:
        """The studies that fit.

        Parameters
        ----------
        by_patient
            Whether the visitor may see patients; else neither what was measured nor whose a study
            is decides.
        """
        chosen = StudyFilter(state=self.state, search=self.search, by_patient=by_patient)
        if self.view == "refused_week":
            since = date.today() - timedelta(days=DAYS_OF_A_WEEK)
            return replace(chosen, state="refused", since=f"{since:%Y%m%d}")
        if self.view == "deliveries_failed":
            return replace(chosen, delivery="failed")
        if not self.view:
            return chosen
        if not by_patient:
            raise HTTPException(403)
        chosen = replace(chosen, state="reported", verdict="none")
        return replace(chosen, l1_category="low") if self.view == "low_unread" else chosen

    def address(self, **changes: str) -> str:
        """The address of the list with something asked otherwise; the first page of it."""
        asked = {"view": self.view, "state": self.state, "search": self.search, **changes}
        query = urlencode({name: value for name, value in asked.items() if value})
        return f"/studies?{query}" if query else "/studies"


def place_text(changed: int, study: str) -> str:
    """A row's place in the list, for an address."""
    return f"{changed}-{study}"


def place_of(text: str) -> tuple[int, str] | None:
    """A row's place by its text; None for none.

    Raises
    ------
    HTTPException
        404: it is no place.
    """
    if not text:
        return None
    found = PLACE.fullmatch(text)
    if found is None:
        raise HTTPException(404)
    return int(found[1]), found[2]
