"""What a reader has entered in the form, before it is a word."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from pydantic import ValidationError
from starlette.datastructures import FormData

from dicom_node.pages.access.visitor import Visitor
from dicom_node.pages.reading.level_names import renamed
from dicom_node.pages.reading.shown_report import ShownReport
from dicom_node.records.reading import MovedRegion, Reading, Rejection
from roi_extraction import CorrectionInvalid
from roi_extraction.correction import MAX_MOVE_MM

__all__ = ["Draft", "DraftInvalid", "Region", "Word", "draft_of_form", "draft_of_report", "said"]

Word = Literal["accept", "correct", "reject"]

Region = tuple[str, str]
"""A site by the name that is shown, and the SOP Instance UID of the image."""

MOST_FIGURES = 12
"""Characters of a number in the form."""

MOST_REASON = 500
"""Characters of the reason of a rejection."""


class DraftInvalid(Exception):
    """The form holds what cannot be a word; ``key`` names the text that says why."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(frozen=True)
class Draft:
    """The fields of the form.

    Parameters
    ----------
    word
        What the reader wants to say; empty before they chose.
    reason
        Of a rejection.
    levels_down
        How many levels lower than the program the reader names every level.
    left_out
        Sites by the names that are shown.
    moved
        How far each moved region is to the right and down of where the program put it, mm.
    """

    word: Word | Literal[""] = ""
    reason: str = ""
    levels_down: int = 0
    left_out: frozenset[str] = frozenset()
    moved: Mapping[Region, tuple[float, float]] = field(default_factory=dict)


def draft_of_report(shown: ShownReport) -> Draft:
    """The form as it begins: with the corrections that the report carries out already."""
    reading = shown.reading
    if reading is None:
        return Draft()
    moved = {
        (region.site, region.sop_instance_uid): (region.right_mm, region.down_mm)
        for region in reading.moved
    }
    return Draft("", "", reading.levels_down, frozenset(reading.left_out), moved)


def draft_of_form(shown: ShownReport, form: FormData) -> Draft:
    """The fields as they were sent.

    Parameters
    ----------
    shown
        The report that the form was made for: other sites and regions are not looked for.
    form
        What was sent.

    Raises
    ------
    DraftInvalid
        A field holds no number, or no choice that the form has.
    """
    word = _text(form, "word")
    levels = _text(form, "levels_down") or "0"
    if word not in get_args(Word) or levels not in ("-1", "0", "1"):
        raise DraftInvalid("reading.no_word")
    chosen = frozenset(value for value in form.getlist("left_out") if isinstance(value, str))
    moved = {}
    for site in shown.content.sites:
        for number, roi in enumerate(site.rois):
            place = f"{site.name}.{number}"
            by = (_millimetres(form, f"right.{place}"), _millimetres(form, f"down.{place}"))
            if any(by):
                moved[site.name, roi.sop_instance_uid] = by
    return Draft(
        word,  # type: ignore[arg-type]
        _one_line(_text(form, "reason")),
        int(levels),
        chosen & {site.name for site in shown.content.sites},
        moved,
    )


def said(
    draft: Draft, shown: ShownReport, visitor: Visitor, moment: datetime
) -> Reading | Rejection:
    """The word that a form asks for, in the name of its visitor.

    Parameters
    ----------
    draft
        The form.
    shown
        The report that it is about.
    visitor
        Who has a person and an organization.
    moment
        When it is said, with its zone.

    Raises
    ------
    DraftInvalid
        There is nothing to be corrected, no reason, or no such correction.
    """
    reader = visitor.identity.person
    try:
        if draft.word == "reject":
            if not draft.reason or len(draft.reason) > MOST_REASON:
                raise DraftInvalid("reading.no_reason")
            return Rejection(
                report_uid=shown.uid, reader=reader, reason=draft.reason, moment=moment
            )
        begin = draft_of_report(shown)
        kept = begin if draft.word == "accept" else draft
        if draft.word == "correct" and _without_words(kept) == begin:
            raise DraftInvalid("reading.nothing_corrected")
        if any(math.hypot(*by) > MAX_MOVE_MM for by in kept.moved.values()):
            raise DraftInvalid("reading.too_far")
        corrects = bool(kept.levels_down or kept.left_out or kept.moved)
        reading = Reading(
            verdict="corrected" if draft.word == "correct" and corrects else "accepted",
            reader=reader,
            organization=visitor.identity.organization,
            moment=moment,
            report_uid=shown.uid,
            series_uid=shown.content.series_uid,
            **_as_named_anew(kept, shown),
        )
        reading.correction([region.sop_instance_uid for region in reading.moved])
    except (ValidationError, CorrectionInvalid) as error:
        raise DraftInvalid("reading.cannot_be_said") from error
    return reading


def _without_words(draft: Draft) -> Draft:
    return Draft("", "", draft.levels_down, draft.left_out, draft.moved)


def _as_named_anew(draft: Draft, shown: ShownReport) -> dict[str, Any]:
    """The corrections with the sites as they are named after them; what has no name then is not
    measured anyway.
    """
    further = draft.levels_down - shown.levels_down
    left = [
        renamed(site.name, further) for site in shown.content.sites if site.name in draft.left_out
    ]
    left_out = tuple(name for name in left if name is not None)
    moved = tuple(
        MovedRegion(site=name, sop_instance_uid=image, right_mm=right, down_mm=down)
        for (site, image), (right, down) in draft.moved.items()
        if (name := renamed(site, further)) is not None and name not in left_out
    )
    return {"levels_down": draft.levels_down, "left_out": left_out, "moved": moved}


def _one_line(text: str) -> str:
    """A text without line breaks and without what cannot be seen, as it is kept and shown."""
    words = " ".join(text.split())
    return "".join(character for character in words if character.isprintable())


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def _millimetres(form: FormData, name: str) -> float:
    """A length to the tenth, as the form shows it; 0 for an empty field."""
    text = _text(form, name).replace(",", ".")
    if not text:
        return 0.0
    try:
        value = float(text) if len(text) <= MOST_FIGURES else math.nan
    except ValueError as error:
        raise DraftInvalid("reading.no_number") from error
    if not math.isfinite(value):
        raise DraftInvalid("reading.no_number")
    return round(value, 1) + 0.0
