"""Ask a PACS by C-FIND how many instances of a study it holds, and of which patient."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from dicom_node.errors import DeliveryFailed, IdentityUnclear, OperationalError, QueryFailed
from dicom_node.sending.allowance import Allowance
from dicom_node.sending.delivery import associate
from dicom_node.sending.statuses import PENDING, SUCCESS
from dicom_node.series.patients import plain
from dicom_node.settings.work import Query

__all__ = ["PacsQuery", "StudyIdentity"]

REST_SECONDS = 30.0
"""Pause after a failure, in which nothing is asked: a dead PACS must not hold up the node."""

IDENTITY = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber")


@dataclass(frozen=True)
class StudyIdentity:
    """The patient and accession number that the PACS has for a study.

    Parameters
    ----------
    values
        By the keywords of `IDENTITY`; elements that the PACS leaves out are empty.
    """

    values: Mapping[str, str]

    def differs(self, document: Dataset) -> tuple[str, ...]:
        """Keywords whose values differ between the PACS and a document.

        Case, diacritics, carets and further spaces are not compared, as archives change them; an
        element that is empty on one side does not differ.
        """
        found = []
        for keyword in IDENTITY:
            theirs = plain(self.values.get(keyword, ""))
            ours = plain(str(document.get(keyword) or ""))
            if theirs and ours and theirs != ours:
                found.append(keyword)
        return tuple(found)

    def require_patient_id(self, document: Dataset) -> None:
        """Check that there is a Patient ID on both sides: without it no patient is compared.

        Raises
        ------
        IdentityUnclear
            The PACS or the document has none (``query.no_patient_id``).
        """
        if not plain(self.values.get("PatientID", "")):
            raise IdentityUnclear("query.no_patient_id", "the PACS has no Patient ID for the study")
        if not plain(str(document.get("PatientID") or "")):
            raise IdentityUnclear("query.no_patient_id", "the report has no Patient ID")


class PacsQuery:
    """C-FIND at one PACS, with a pause after each failure.

    A PACS whose answers are more than ``query.max_answers``, or are not complete within
    ``query.total_seconds``, counts as one that does not answer.

    Parameters
    ----------
    settings
        The PACS.
    calling_ae
        AE title of this node.
    """

    def __init__(self, settings: Query, calling_ae: str) -> None:
        self.settings = settings
        self._calling_ae = calling_ae
        self._rests_until = 0.0

    def holds(self, error: OperationalError) -> bool:
        """Whether the settings hold a report back for this outcome of `identity`."""
        chosen = {
            "query.unknown": self.settings.unknown,
            "query.ambiguous": self.settings.ambiguous,
            "query.no_patient_id": self.settings.no_patient_id,
        }
        return chosen.get(error.code, self.settings.unanswered) == "hold"

    def instance_counts(self, study_uid: str) -> dict[str, int]:
        """Number of instances of each series of a study; empty if the PACS does not know it.

        The PACS is asked at series level (0020,1209). For a series that it does not count there it
        is asked for the images, which are counted here.

        Parameters
        ----------
        study_uid
            Study Instance UID.

        Returns
        -------
        dict
            Numbers of instances by Series Instance UID.

        Raises
        ------
        QueryFailed
            The PACS does not answer, or answers with a failure.
        """
        asked = Dataset()
        asked.QueryRetrieveLevel = "SERIES"
        asked.StudyInstanceUID = study_uid
        asked.SeriesInstanceUID = ""
        asked.NumberOfSeriesRelatedInstances = ""
        counts = {}
        allowance = Allowance(self.settings)
        for answer in self.find(asked, allowance):
            uid = str(answer.get("SeriesInstanceUID") or "")
            count = str(answer.get("NumberOfSeriesRelatedInstances") or "")
            if uid:
                counts[uid] = (
                    int(count) if count.isdigit() else self._images(study_uid, uid, allowance)
                )
        return counts

    def identity(self, study_uid: str) -> StudyIdentity:
        """The patient of a study.

        Raises
        ------
        QueryFailed
            The PACS does not answer, or answers with a failure.
        IdentityUnclear
            It does not know the study (``query.unknown``), or gives answers that differ
            (``query.ambiguous``).
        """
        asked = Dataset()
        asked.QueryRetrieveLevel = "STUDY"
        asked.StudyInstanceUID = study_uid
        for keyword in IDENTITY:
            setattr(asked, keyword, "")
        found: dict[tuple[str, ...], StudyIdentity] = {}
        for answer in self.find(asked, Allowance(self.settings)):
            if answer.get("StudyInstanceUID") == study_uid:
                answer.decode()
                values = {key: str(answer.get(key) or "") for key in IDENTITY}
                found[tuple(plain(value) for value in values.values())] = StudyIdentity(values)
        if not found:
            raise IdentityUnclear("query.unknown", "the PACS does not know the study")
        if len(found) > 1:
            raise IdentityUnclear(
                "query.ambiguous", f"the PACS gives {len(found)} patients or orders for the study"
            )
        return next(iter(found.values()))

    def find(self, asked: Dataset, allowance: Allowance) -> list[Dataset]:
        """Ask by C-FIND (Study Root).

        Parameters
        ----------
        asked
            The identifier, with its level.
        allowance
            What this question, and others that count as one with it, may still cost.

        Raises
        ------
        QueryFailed
            The PACS does not answer, goes on for ever, or answers with a failure.
        """
        if time.monotonic() < self._rests_until:
            raise QueryFailed("the PACS did not answer a moment ago")
        try:
            return self._ask(asked, allowance)
        except DeliveryFailed as error:
            self._rests_until = time.monotonic() + REST_SECONDS
            raise allowance.failure(str(error)) from error
        except QueryFailed:
            self._rests_until = time.monotonic() + REST_SECONDS
            raise

    def _images(self, study_uid: str, series_uid: str, allowance: Allowance) -> int:
        asked = Dataset()
        asked.QueryRetrieveLevel = "IMAGE"
        asked.StudyInstanceUID = study_uid
        asked.SeriesInstanceUID = series_uid
        asked.SOPInstanceUID = ""
        return len({str(a.get("SOPInstanceUID")) for a in self.find(asked, allowance)})

    def _ask(self, asked: Dataset, allowance: Allowance) -> list[Dataset]:
        association = associate(
            self._calling_ae,
            self.settings.peer.model_copy(update={"timeout_seconds": allowance.seconds_left}),
            [StudyRootQueryRetrieveInformationModelFind],
        )
        found: list[Dataset] = []
        try:
            if not association.accepted_contexts:
                raise QueryFailed("the PACS does not accept C-FIND (Study Root)")
            for status, answer in association.send_c_find(
                asked, StudyRootQueryRetrieveInformationModelFind
            ):
                code = status.get("Status")
                if code in PENDING:
                    allowance.count()
                    association.dimse_timeout = allowance.seconds_left
                    if answer is not None:
                        found.append(answer)
                elif code is None:
                    raise allowance.failure("the PACS answered C-FIND with no answer")
                elif code != SUCCESS:
                    raise QueryFailed(f"the PACS answered C-FIND with status 0x{code:04X}")
        except (ValueError, RuntimeError) as error:
            association.abort()
            raise allowance.failure(f"C-FIND failed ({type(error).__name__})") from error
        except QueryFailed:  # more answers may be on their way, for which a release would wait
            association.abort()
            raise
        if association.is_established:
            association.release()
        return found
