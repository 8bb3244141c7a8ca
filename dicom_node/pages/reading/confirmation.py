"""What a reader is asked to confirm, bound to their session.

The word with its moment is written into the page that asks. So the same word comes back however
often the button is pressed, and nobody else's page can have made it.
"""

import hashlib
import hmac

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from dicom_node.pages.access.gate import gate_of
from dicom_node.pages.reading.shown_report import ShownReport
from dicom_node.records.listed_studies import ListedStudy
from dicom_node.records.reading import Reading, Rejection

__all__ = ["Asked", "asked", "confirmed", "seal_of"]


class Asked(BaseModel):
    """A word, and what was known of the study when it was asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    study: str
    """Key of the study in the spool."""
    assessment: str
    """Identity of its newest assessment."""
    folder: str
    """Of the report that was read."""
    verdict: str
    """Of another reader on it, before."""
    read_at: int | None
    """When that was said, UTC, ms since the epoch."""
    reading: Reading | None = None
    """The report is accepted or corrected."""
    rejection: Rejection | None = None
    """Or it is rejected."""

    @property
    def word(self) -> Reading | Rejection:
        """The one of both that there is."""
        found = self.reading or self.rejection
        assert found is not None
        return found

    def still_holds(self, study: ListedStudy) -> bool:
        """Whether a study is as it was."""
        known = (study.study, study.folder, study.verdict, study.read_at)
        return known == (self.study, self.folder, self.verdict, self.read_at)


def asked(shown: ShownReport, word: Reading | Rejection) -> Asked:
    """What the reader of a report is asked to confirm."""
    study = shown.study
    return Asked(
        study=study.study,
        assessment=study.assessment,
        folder=study.folder,
        verdict=study.verdict,
        read_at=study.read_at,
        reading=word if isinstance(word, Reading) else None,
        rejection=word if isinstance(word, Rejection) else None,
    )


def seal_of(request: Request, content: str) -> str:
    """Proof that a page of this session asked for the confirmation of ``content``."""
    session = request.cookies[gate_of(request).cookie]
    return hmac.new(
        session.encode(), b"osteonode word " + content.encode(), hashlib.sha256
    ).hexdigest()


def confirmed(request: Request, content: str, seal: str) -> Asked | None:
    """What a reader confirms; None if no page of this session asked for it.

    Parameters
    ----------
    request
        Of the session.
    content
        As the page that asked holds it.
    seal
        As `seal_of` gave it.
    """
    if not hmac.compare_digest(seal_of(request, content).encode(), seal.encode()):
        return None
    try:
        return Asked.model_validate_json(content)
    except ValidationError:
        return None
