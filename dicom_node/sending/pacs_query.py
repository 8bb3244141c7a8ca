"""Ask a PACS by C-FIND how many instances of a study it holds, and of which patient."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from dicom_node.errors import DeliveryFailed, QueryFailed
from dicom_node.sending.delivery import associate
from dicom_node.series.patients import plain
from dicom_node.settings.work import Query
from dicom_node.statuses import PENDING, SUCCESS

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


class PacsQuery:
    """C-FIND at one PACS, with a pause after each failure.

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
        for answer in self._find(asked):
            uid = str(answer.get("SeriesInstanceUID") or "")
            count = str(answer.get("NumberOfSeriesRelatedInstances") or "")
            if uid:
                counts[uid] = int(count) if count.isdigit() else self._images(study_uid, uid)
        return counts

    def identity(self, study_uid: str) -> StudyIdentity | None:
        """The patient of a study; None if the PACS does not know the study.

        Raises
        ------
        QueryFailed
            The PACS does not answer, or answers with a failure.
        """
        asked = Dataset()
        asked.QueryRetrieveLevel = "STUDY"
        asked.StudyInstanceUID = study_uid
        for keyword in IDENTITY:
            setattr(asked, keyword, "")
        answers = [a for a in self._find(asked) if a.get("StudyInstanceUID") == study_uid]
        if not answers:
            return None
        answers[0].decode()
        return StudyIdentity({key: str(answers[0].get(key) or "") for key in IDENTITY})

    def _images(self, study_uid: str, series_uid: str) -> int:
        asked = Dataset()
        asked.QueryRetrieveLevel = "IMAGE"
        asked.StudyInstanceUID = study_uid
        asked.SeriesInstanceUID = series_uid
        asked.SOPInstanceUID = ""
        return len({str(a.get("SOPInstanceUID")) for a in self._find(asked)})

    def _find(self, asked: Dataset) -> list[Dataset]:
        if time.monotonic() < self._rests_until:
            raise QueryFailed("the PACS did not answer a moment ago")
        try:
            return self._ask(asked)
        except DeliveryFailed as error:
            self._rests_until = time.monotonic() + REST_SECONDS
            raise QueryFailed(str(error)) from error
        except QueryFailed:
            self._rests_until = time.monotonic() + REST_SECONDS
            raise

    def _ask(self, asked: Dataset) -> list[Dataset]:
        association = associate(
            self._calling_ae,
            self.settings.peer,
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
                if code in PENDING and answer is not None:
                    found.append(answer)
                elif code != SUCCESS:
                    said = "no answer" if code is None else f"status 0x{code:04X}"
                    raise QueryFailed(f"the PACS answered C-FIND with {said}")
        except (ValueError, RuntimeError) as error:
            raise QueryFailed(f"C-FIND failed ({type(error).__name__})") from error
        finally:
            if association.is_established:
                association.release()
        return found
