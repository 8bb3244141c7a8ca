"""What the list of studies is asked for: filters and fixed views, as an address has them."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from urllib.parse import urlencode

from starlette.exceptions import HTTPException

from dicom_node.records.listed_studies import StudyFilter, StudyState
from dicom_node.records.study_deliveries import DeliveryState
from modeling import Stage

__all__ = ["CHOICES", "OF_PATIENTS", "VIEWS", "Asked", "place_of", "place_text"]

VIEWS = ("to_read", "low_unread", "refused_week", "deliveries_failed")
"""Fixed views, in the order in which they are shown."""

CHOICES: dict[str, tuple[str, ...]] = {
    "verdict": ("none", "accepted", "corrected", "rejected"),
    "l1": ("low", "middle", "high"),
    "result": ("staged", "undetermined", "l1_alone", "measured"),
    "stage": tuple(Stage),
    "delivery": tuple(DeliveryState),
    "days": ("2", "7", "30", "365"),
}
"""Filters beside view, state and search, and what each can be; ``days`` goes by the study date."""

OF_PATIENTS = frozenset({"verdict", "l1", "result", "stage"})
"""Filters by what was measured and read, for those who see it."""

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
    verdict, l1, result, stage, delivery, days
        One of `CHOICES`; empty for each.
    search
        As in `StudyFilter`.
    after, before
        The row that the page follows, or precedes; see `place_text`.
    """

    view: str = ""
    state: str = ""
    verdict: str = ""
    l1: str = ""
    result: str = ""
    stage: str = ""
    delivery: str = ""
    days: str = ""
    search: str = ""
    after: str = ""
    before: str = ""

    def __post_init__(self) -> None:
        known = self.view in ("", *VIEWS) and self.state in ("", *StudyState)
        known = known and all(getattr(self, name) in ("", *CHOICES[name]) for name in CHOICES)
        if not known or len(self.search) > 200:
            raise HTTPException(404)

    @property
    def filters(self) -> dict[str, str]:
        """All that is asked but the search and the page, by name: it names no patient."""
        return {
            name: asked for name in ("view", "state", *CHOICES) if (asked := getattr(self, name))
        }

    @classmethod
    def with_filters(cls, filters: Mapping[str, str]) -> "Asked":
        """What these filters ask for.

        Raises
        ------
        HTTPException
            404: they are none.
        """
        if not {"view", "state", *CHOICES} >= filters.keys():
            raise HTTPException(404)
        return cls(**filters)

    @property
    def filter_text(self) -> str:
        """The filters as the query of an address."""
        return urlencode(self.filters)

    @property
    def chosen(self) -> bool:
        """Whether any of `CHOICES` is asked for."""
        return any(getattr(self, name) for name in CHOICES)

    def wanted(self, *, by_patient: bool) -> StudyFilter:
        """The studies that fit; what a fixed view asks for counts before other filters.

        Parameters
        ----------
        by_patient
            Whether the visitor may see patients; else neither what was measured nor whose a study
            is decides.

        Raises
        ------
        HTTPException
            403: the visitor may not ask so.
        """
        if not by_patient and any(getattr(self, name) for name in OF_PATIENTS):
            raise HTTPException(403)
        chosen = StudyFilter(
            state=self.state,
            verdict=self.verdict,
            result=self.result,
            stage=self.stage,
            l1_category=self.l1,
            delivery=self.delivery,
            since=_days_ago(int(self.days)) if self.days else "",
            search=self.search,
            by_patient=by_patient,
        )
        if self.view == "refused_week":
            return replace(chosen, state="refused", since=_days_ago(DAYS_OF_A_WEEK))
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
        asked = {**asdict(self), "after": "", "before": "", **changes}
        query = urlencode({name: value for name, value in asked.items() if value})
        return f"/studies?{query}" if query else "/studies"

    def view_address(self, view: str = "") -> str:
        """The address of a fixed view, or of all studies, with the same search."""
        return Asked(view=view, search=self.search).address()


def _days_ago(days: int) -> str:
    return f"{date.today() - timedelta(days=days):%Y%m%d}"


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
