"""The PDF as a DICOM object: valid, filed with its study, and the same each time."""

import subprocess
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_node.reporting.objects.encapsulated_pdf import encapsulated_pdf
from dicom_node.reporting.objects.kinds import ObjectKind, object_uids
from dicom_node.reporting.structured_report import evidence_header
from dicom_node.series.instances import PATIENT_AND_STUDY
from tests.dicom_builders import edit, plain_series

PDF = b"%PDF-1.4 any\n%%EOF\n"
NAME = "Müller^Jörg=山田^太郎"


@pytest.fixture
def header(tmp_path: Path) -> Dataset:
    path = plain_series(tmp_path / "series", 1)[0]
    edit(path, SpecificCharacterSet="ISO_IR 192", PatientName=NAME, AccessionNumber="A1")
    return evidence_header(path)


def as_bytes(document: Dataset) -> bytes:
    written = BytesIO()
    pydicom.dcmwrite(written, document, enforce_file_format=True)
    return written.getvalue()


def read_back(document: Dataset) -> Dataset:
    return pydicom.dcmread(BytesIO(as_bytes(document)))


@pytest.mark.parametrize("pdf", [PDF, PDF + b"\n"], ids=["even", "odd"])
def test_document_comes_back_as_it_was(pdf: bytes, header: Dataset) -> None:
    found = read_back(encapsulated_pdf(pdf, header, "id-1"))
    assert len(found.EncapsulatedDocument) % 2 == 0
    assert found.EncapsulatedDocument[: found.EncapsulatedDocumentLength] == pdf
    assert found.MIMETypeOfEncapsulatedDocument == "application/pdf"


def test_patient_and_study_are_those_of_the_images(header: Dataset) -> None:
    found = read_back(encapsulated_pdf(PDF, header, "id-1"))
    for keyword in (*PATIENT_AND_STUDY, "StudyInstanceUID", "PatientAge"):
        assert found[keyword].value == header[keyword].value
    assert str(found.PatientName) == NAME
    assert found.SeriesInstanceUID != header.SeriesInstanceUID
    assert found.SourceInstanceSequence[0].ReferencedSOPInstanceUID == header.SOPInstanceUID
    assert (found.Modality, found.SeriesNumber) == ("DOC", ObjectKind.PDF.series_number)


def test_same_arguments_give_the_same_bytes_and_another_identity_other_uids(
    header: Dataset,
) -> None:
    made = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    one, same, other = (encapsulated_pdf(PDF, header, i, made) for i in ("id-1", "id-1", "id-2"))
    assert as_bytes(one) == as_bytes(same)
    assert (one.SeriesInstanceUID, one.SOPInstanceUID) == object_uids(ObjectKind.PDF, "id-1")
    assert other.SOPInstanceUID != one.SOPInstanceUID


def test_dates_are_those_given_or_empty(header: Dataset) -> None:
    made = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    dated = encapsulated_pdf(PDF, header, "id-1", made)
    local = made.astimezone()
    assert dated.ContentDate == local.strftime("%Y%m%d")
    assert dated.ContentTime == local.strftime("%H%M%S")
    assert encapsulated_pdf(PDF, header, "id-1").ContentDate == ""


@pytest.mark.peers
@pytest.mark.parametrize("made", [None, datetime(2026, 1, 2, tzinfo=UTC)], ids=["undated", "dated"])
def test_dciodvfy_reports_no_error(made: datetime | None, header: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf.dcm"
    path.write_bytes(as_bytes(encapsulated_pdf(PDF, header, "id-1", made)))
    result = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True)
    assert "EncapsulatedPDF" in result.stdout + result.stderr
    assert not [line for line in result.stderr.splitlines() if line.startswith("Error")]
