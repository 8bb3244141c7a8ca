"""The earlier reports of a patient that lie in a PACS: asked for, checked, and kept as files."""

import os
import re
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, KeyObjectSelectionDocumentStorage

from dicom_node.files import make_private_folder, write_atomically
from dicom_node.logs import log
from dicom_node.reporting.earlier_document import document_faults
from dicom_node.reporting.report_history import (
    ASK_AGAIN,
    IMAGE_FILE,
    REPORT_FILE,
    KeptReport,
    evidence_uids,
    kept_report,
    kept_reports,
    mark_withdrawn,
    standing_reports,
)
from dicom_node.reporting.structured_report import SERIES_NUMBER
from dicom_node.sending.allowance import Allowance
from dicom_node.sending.pacs_query import PacsQuery
from dicom_node.sending.retrieval import Retrieval, retrieval
from dicom_node.series.patients import differing, patient_of
from dicom_node.settings.work import Query
from dicom_node.spool.spool import spool_name

__all__ = ["PacsReports"]

MAX_STUDIES = 20
"""Studies of a patient that are looked into, the newest first."""

WILDCARDS = re.compile(r"[*?\\]")
"""What would match other patients in a C-FIND (PS3.4, C.2.2.2)."""

UID = re.compile(r"[0-9.]{1,64}")

REJECTIONS = frozenset({"113001", "113037", "113038", "113039"})
"""Titles of notes that reject what they name: for quality, patient safety, a wrong worklist entry,
an expired retention (PS3.16, CID 7011)."""


@dataclass(frozen=True)
class _Series:
    """A series of reports of ours, or of notes, in a PACS."""

    study_uid: str
    series_uid: str


class PacsReports:
    """The reports of this program in a PACS, kept in a folder for each study that asked for them.

    What the folder holds is the last complete answer: it stays where the PACS does not answer.
    Who may store in the PACS can put a report there, which counts if nothing in it is wrong.

    Parameters
    ----------
    settings
        The PACS.
    calling_ae
        AE title of this node.
    root
        Folder of what was fetched.
    """

    def __init__(self, settings: Query, calling_ae: str, root: Path) -> None:
        self._settings = settings
        self._calling_ae = calling_ae
        self._root = root

    def kept(self, study: str) -> list[KeptReport]:
        """What was fetched for a study.

        Parameters
        ----------
        study
            Key of the study that is assessed.
        """
        return kept_reports(self._root / study)

    def fetch(
        self, header: Dataset, study: str, known: Collection[str], *, repeated: bool = False
    ) -> None:
        """Ask for a patient's reports and keep them in place of those that were kept before.

        Takes at most ``query.total_seconds`` and 64 MB. A study of which the PACS does not send
        all reports and notes is left out: a report that was rejected could seem to stand.

        Parameters
        ----------
        header
            Of an image that is assessed.
        study
            Key of its study.
        known
            Study Instance UIDs that are not asked for: its own, and those of which the node has
            reports.
        repeated
            Whether the assessment's report was made before: then the PACS is asked only if
            `ASK_AGAIN` lies in the study's folder.

        Raises
        ------
        QueryFailed
            The PACS does not answer, or more than is allowed; nothing is changed.
        """
        if repeated and not (self._root / study / ASK_AGAIN).exists():
            return
        allowance = Allowance(self._settings)
        folder = self._root / f".{study}"
        shutil.rmtree(folder, ignore_errors=True)
        make_private_folder(folder)
        try:
            found = self._search(header, known, allowance)
            if found:
                with retrieval(self._settings, self._calling_ae, allowance) as source:
                    for study_uid in dict.fromkeys(series.study_uid for series in found):
                        _fetch_study([s for s in found if s.study_uid == study_uid], source, folder)
            _replace(folder, self._root / study)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _search(
        self, header: Dataset, known: Collection[str], allowance: Allowance
    ) -> list[_Series]:
        """The series of our reports, with the notes beside them."""
        query = PacsQuery(self._settings, self._calling_ae)
        found: list[_Series] = []
        for study_uid in _studies(query, header, known, allowance):
            asked = Dataset()
            asked.QueryRetrieveLevel = "SERIES"
            asked.StudyInstanceUID = study_uid
            for keyword in ("SeriesInstanceUID", "Modality", "SeriesNumber"):
                setattr(asked, keyword, "")
            answers = query.find(asked, allowance)
            ours = [a for a in answers if _text(a, "SeriesNumber") == str(SERIES_NUMBER)]
            reports = [a for a in ours if _text(a, "Modality") == "SR"]
            notes = [a for a in answers if _text(a, "Modality") == "KO"]
            if reports:
                uids = dict.fromkeys(_text(a, "SeriesInstanceUID") for a in (*reports, *notes))
                found += [_Series(study_uid, uid) for uid in uids if UID.fullmatch(uid)]
        return found


def _studies(
    query: PacsQuery, header: Dataset, known: Collection[str], allowance: Allowance
) -> list[str]:
    """Study Instance UIDs of a patient's studies that may have reports, the newest first.

    An archive that does not match or return Modalities in Study is asked for the series of each.
    """
    patient_id = header.get("PatientID")  # several values are a list
    if not isinstance(patient_id, str) or WILDCARDS.search(patient_id):
        return []
    if not patient_id or not header.get("PatientBirthDate"):
        return []
    asked = Dataset()
    if not patient_id.isascii():
        asked.SpecificCharacterSet = "ISO_IR 192"
    asked.QueryRetrieveLevel = "STUDY"
    asked.PatientID = patient_id
    asked.IssuerOfPatientID = str(header.get("IssuerOfPatientID") or "")
    asked.ModalitiesInStudy = "SR"
    for keyword in ("PatientBirthDate", "StudyDate", "StudyInstanceUID"):
        setattr(asked, keyword, "")
    patient, found = patient_of(header), {}
    for answer in query.find(asked, allowance):
        uid, modalities = _text(answer, "StudyInstanceUID"), _text(answer, "ModalitiesInStudy")
        if (
            UID.fullmatch(uid)
            and uid not in known
            and not differing(patient_of(answer), patient)
            and (not modalities or "SR" in modalities)
        ):
            found[uid] = _text(answer, "StudyDate")
    return sorted(found, key=lambda uid: (found[uid], uid), reverse=True)[:MAX_STUDIES]


def _fetch_study(series: Sequence[_Series], source: Retrieval, folder: Path) -> None:
    """Keep the reports of one study, marked where a note rejects them."""
    paths: list[Path] = []
    rejected: set[str] = set()
    for one in series:
        asked = Dataset()
        asked.QueryRetrieveLevel = "SERIES"
        asked.StudyInstanceUID, asked.SeriesInstanceUID = one.study_uid, one.series_uid
        files = source.get(asked)
        if not files:
            _leave_out("the PACS did not send all reports of a study")
            return
        for content in files:
            try:
                document = pydicom.dcmread(BytesIO(content))
                if document.SOPClassUID == KeyObjectSelectionDocumentStorage:
                    rejected |= _rejected(document)
                    continue
                place = folder / spool_name(f"{document.SOPInstanceUID}")
            except Exception as error:  # foreign documents fail in open-ended ways
                _leave_out(f"it cannot be read ({type(error).__name__})")
                continue
            make_private_folder(place)
            write_atomically(place / REPORT_FILE, content, durable=True)
            faults = _faults(document, place / REPORT_FILE, one)
            if faults:
                shutil.rmtree(place)
                _leave_out(", ".join(faults))
            else:
                paths.append(place / REPORT_FILE)
    reports = [report for path in paths if (report := kept_report(path)) is not None]
    for report in reports:
        if report.uid in rejected:
            mark_withdrawn(report.path, "PACS")
    for report in standing_reports([r for r in reports if r.uid not in rejected]):
        _fetch_image(report, source)


def _faults(document: Dataset, path: Path, series: _Series) -> tuple[str, ...]:
    """Why a document is no report of ours, or not one that was asked for."""
    if (document.get("StudyInstanceUID"), document.get("SeriesInstanceUID")) != (
        series.study_uid,
        series.series_uid,
    ):
        return ("report.wrong_study",)
    try:
        report = kept_report(path)
        return ("report.unreadable",) if report is None else document_faults(document, report)
    except Exception:  # foreign documents fail in open-ended ways
        return ("report.unreadable",)


def _rejected(note: Dataset) -> set[str]:
    """SOP Instance UIDs that a Key Object Selection rejects."""
    [title] = note.ConceptNameCodeSequence
    return set(evidence_uids(note)) if title.CodeValue in REJECTIONS else set()


def _fetch_image(report: KeptReport, source: Retrieval) -> None:
    """Keep one image that a report measured; without it the report is not compared."""
    image = next(_images(pydicom.dcmread(report.path)), None)
    if image is None:
        return
    asked = Dataset()
    asked.QueryRetrieveLevel = "IMAGE"
    asked.StudyInstanceUID, asked.SeriesInstanceUID = report.study_uid, image[0]
    asked.SOPInstanceUID = image[1]
    files = source.get(asked)
    if files:
        write_atomically(report.path.with_name(IMAGE_FILE), files[0], durable=True)


def _images(document: Dataset) -> Iterator[tuple[str, str]]:
    """(series UID, SOP Instance UID) of the CT slices that a report names as evidence."""
    for study in document.CurrentRequestedProcedureEvidenceSequence:
        for series in study.ReferencedSeriesSequence:
            for instance in series.ReferencedSOPSequence:
                if instance.ReferencedSOPClassUID == CTImageStorage:
                    yield str(series.SeriesInstanceUID), str(instance.ReferencedSOPInstanceUID)


def _replace(new: Path, old: Path) -> None:
    """Put a folder in the place of another one; a crash in between leaves none."""
    if old.exists():
        shutil.rmtree(old)
    os.rename(new, old)


def _leave_out(reason: str) -> None:
    log().warning("earlier report left out", reason=reason)


def _text(answer: Dataset, keyword: str) -> str:
    """An element of an answer as text; empty if it is missing or cannot be read."""
    with suppress(Exception):  # foreign values fail in open-ended ways
        value = answer.get(keyword)
        return "" if value is None else str(value).strip()
    return ""
