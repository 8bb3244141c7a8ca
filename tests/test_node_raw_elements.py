"""The header of a usual file is split as pydicom splits it; all else is left to pydicom."""

from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_node.decoding import raw_elements
from dicom_node.decoding.raw_elements import read_header, split_items
from dicom_node.decoding.recall import HeaderMemory
from tests.dicom_builders import plain_series


@pytest.fixture
def image(tmp_path: Path) -> Dataset:
    return pydicom.dcmread(plain_series(tmp_path)[0])


def written(dataset: Dataset) -> bytes:
    file = BytesIO()
    dataset.save_as(file)
    return file.getvalue()


def sequence_of(header: Dataset) -> RawDataElement:
    found: object = header.get_item("ContentSequence")
    assert isinstance(found, RawDataElement)
    return found


def assert_read_as_by_pydicom(content: bytes) -> None:
    ours, theirs = BytesIO(content), BytesIO(content)
    found = read_header(ours)
    expected = pydicom.dcmread(theirs, stop_before_pixels=True)
    assert ours.tell() == theirs.tell()
    assert [*found.values()] == [*expected.values()]
    assert str(found.file_meta) == str(expected.file_meta)
    assert found.original_encoding == expected.original_encoding
    assert found.original_character_set == expected.original_character_set
    assert found == expected


def test_a_usual_header_is_split_without_pydicom(
    image: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = written(image)
    assert_read_as_by_pydicom(content)
    monkeypatch.delattr(pydicom, "dcmread")
    assert read_header(BytesIO(content)).PatientID == image.PatientID


def test_implicit_value_representations_are_left_to_pydicom(image: Dataset) -> None:
    image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    file = BytesIO()
    image.save_as(file, implicit_vr=True)
    assert_read_as_by_pydicom(file.getvalue())


def test_texts_and_sequences_keep_their_character_set(image: Dataset) -> None:
    item = Dataset()
    item.CodeMeaning = "Wirbelsäule"
    image.SpecificCharacterSet = "ISO_IR 100"
    image.PatientName = "Müller^Jürgen"
    image.ProcedureCodeSequence = [item]
    content = written(image)
    found = read_header(BytesIO(content))
    assert found.PatientName == "Müller^Jürgen"
    assert found.ProcedureCodeSequence[0].CodeMeaning == "Wirbelsäule"


def test_a_sequence_without_stated_length_is_left_to_pydicom(image: Dataset) -> None:
    image.ProcedureCodeSequence = [Dataset()]
    image["ProcedureCodeSequence"].is_undefined_length = True
    assert_read_as_by_pydicom(written(image))


@pytest.mark.parametrize("length", [140, 200, 333, 600, 700])
def test_a_header_that_is_cut_off_is_left_to_pydicom(image: Dataset, length: int) -> None:
    assert_read_as_by_pydicom(written(image)[:length])


def test_a_header_longer_than_what_is_read_is_left_to_pydicom(image: Dataset) -> None:
    image.add_new(0x00091001, "OB", bytes(raw_elements.LONGEST_HEADER_BYTES))
    assert_read_as_by_pydicom(written(image))


def test_what_is_no_dicom_file_is_refused() -> None:
    with pytest.raises(InvalidDicomError):
        read_header(BytesIO(b"no image" * 100))


def test_items_of_a_sequence_are_split_as_by_pydicom(image: Dataset) -> None:
    outer, inner = Dataset(), Dataset()
    inner.CodeValue, inner.CodeMeaning = "1", "Grün"
    outer.ConceptNameCodeSequence = [inner, inner]
    image.SpecificCharacterSet = "ISO_IR 192"
    image.ContentSequence = [outer, Dataset()]
    header = read_header(BytesIO(written(image)))
    items = split_items(sequence_of(header), header.original_character_set)
    assert items == list(image.ContentSequence)
    assert items is not None
    assert items[0].ConceptNameCodeSequence[1].CodeMeaning == "Grün"


def test_a_damaged_sequence_is_left_to_pydicom(image: Dataset) -> None:
    image.ContentSequence = [Dataset()]
    found = sequence_of(read_header(BytesIO(written(image))))
    assert found.value is not None
    assert split_items(found._replace(value=found.value[:5]), "latin-1") is None
    assert split_items(found._replace(value=b"\0" * 16), "latin-1") is None


def test_what_elements_have_in_common_is_read_again_once_one_of_them_differs(
    image: Dataset,
) -> None:
    memory, reads = HeaderMemory(), []
    assert image.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian

    def read_of(content: bytes) -> str:
        recall = memory.of(read_header(BytesIO(content)))

        def read() -> str:
            reads.append(1)
            return recall.once("text", 0x00100020, lambda: "read")

        return recall.alike("some", read)

    first = written(image)
    image.InstanceNumber = 99
    other_number = written(image)
    image.PatientID = "another"
    other_patient = written(image)
    assert [read_of(content) for content in (first, other_number)] == ["read", "read"]
    assert len(reads) == 1
    read_of(other_patient)
    assert len(reads) == 2
    del image.PatientID
    read_of(written(image))
    assert len(reads) == 3
