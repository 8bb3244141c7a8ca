"""The node's files are, byte for byte, what pydicom writes."""

import struct
from collections.abc import Callable
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_node.reporting.objects import encoding
from dicom_node.reporting.objects.encoding import encoded_file


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue = value
    code.CodingSchemeDesignator = "SCT"
    code.CodeMeaning = meaning
    return code


def _document() -> Dataset:
    document = Dataset()
    document.file_meta = FileMetaDataset()
    document.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    document.SpecificCharacterSet = "ISO_IR 192"
    document.SOPClassUID = ComprehensiveSRStorage
    document.SOPInstanceUID = "2.25.12345"
    document.PatientName = "Müller^Jörg"
    document.StudyDate = "20260101"
    document.StudyDescription = "Lendenwirbelsäule"
    document.StudyID = ""
    document.SoftwareVersions = ["0.1", "highdicom 0.28"]
    document.PatientWeight = "71.5"
    unit = _code("[hnsf'U]", "Hounsfield unit")
    measured = Dataset()
    measured.NumericValue = "137.25"
    measured.FloatingPointValue = 137.25
    measured.MeasurementUnitsCodeSequence = [unit]
    for number in range(3):
        item = Dataset()
        item.ValueType = "SCOORD"
        item.ConceptNameCodeSequence = [_code("111030", f"Image Region {number}")]
        item.MeasuredValueSequence = [measured]
        item.GraphicData = [1.5, 2.25, 3.0, 4.0]
        item.TextValue = "x" * 70_001
        item.ReferencedContentItemIdentifier = [1, 2, number]
        if number:
            item.ContentSequence = [document.ContentSequence[number - 1]]
            document.ContentSequence.append(item)
        else:
            document.ContentSequence = [item]
    document.PredecessorDocumentsSequence = []
    block = document.private_block(0x0011, "osteonode test", create=True)
    block.add_new(1, "LO", "private")
    return document


def _implicit(document: Dataset) -> None:
    document.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian


def _latin(document: Dataset) -> None:
    document.SpecificCharacterSet = "ISO_IR 100"


def _latin_item(document: Dataset) -> None:
    document.ContentSequence[0].SpecificCharacterSet = "ISO_IR 100"


def _undefined_sequence(document: Dataset) -> None:
    document["ContentSequence"].is_undefined_length = True


def _undefined_item(document: Dataset) -> None:
    document.ContentSequence[0].is_undefined_length_sequence_item = True


def _ambiguous(document: Dataset) -> None:
    document.PixelRepresentation = 1
    document.SmallestImagePixelValue = -5


def _ambiguous_item(document: Dataset) -> None:
    document.PixelRepresentation = 1
    item = Dataset()
    item.SmallestImagePixelValue = -5
    document.ReferencedImageSequence = [item]


def _group_length(document: Dataset) -> None:
    document.add_new(0x00100000, "UL", 12)


def _preamble(document: Dataset) -> None:
    document.preamble = b"II" + bytes(126)


def _nothing(document: Dataset) -> None:
    pass


@pytest.mark.parametrize(
    "change",
    [
        _nothing, _implicit, _latin, _latin_item, _undefined_sequence, _undefined_item, _ambiguous,
        _ambiguous_item, _group_length, _preamble,
    ],
)  # fmt: skip
def test_a_file_is_byte_for_byte_what_pydicom_writes(change: Callable[[Dataset], None]) -> None:
    ours, theirs = _document(), _document()  # writing settles what was ambiguous
    change(ours)
    change(theirs)
    expected = BytesIO()
    theirs.save_as(expected, enforce_file_format=True)
    assert encoded_file(ours) == expected.getvalue()


def test_what_was_read_and_not_looked_at_is_written_as_it_was() -> None:
    content = encoded_file(_document())
    assert encoded_file(dcmread(BytesIO(content))) == content


def test_a_usual_report_is_not_left_to_pydicom(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[object] = []

    def counted(buffer: DicomBytesIO, element: object, charset: str) -> None:
        left.append(element)
        write_data_element(buffer, element, charset)  # type: ignore[arg-type]

    monkeypatch.setattr(encoding, "write_data_element", counted)
    encoded_file(_document())
    assert len(left) < 25


def test_a_text_beyond_64_kilobytes_is_left_to_pydicom() -> None:
    document = _document()
    with pytest.warns(UserWarning, match="exceeds the maximum length"):
        document.ImageComments = "x" * 70_000
    with pytest.warns(UserWarning, match="exceeds the size of 64 kByte"):
        content = encoded_file(document)
    assert struct.pack("<HH2s", 0x0020, 0x4000, b"UN") in content


def test_without_identification_there_is_no_file() -> None:
    document = _document()
    del document.SOPInstanceUID
    with pytest.raises(AttributeError, match="Media Storage SOP Instance UID"):
        encoded_file(document)
