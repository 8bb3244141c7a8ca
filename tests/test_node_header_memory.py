"""Headers and pixels that are read once are what reading each file by itself gives."""

import os
import zlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_node.decoding.inflation import plain_file
from dicom_node.decoding.pixel_format import PixelFormat, Rescaling
from dicom_node.decoding.plane_reader import read_plane
from dicom_node.decoding.prepared import prepared_dataset, same_tag
from dicom_node.series.instances import Instance, read_instance, scan_folder
from tests.dicom_builders import edit, plain_series


def as_implicit(path: Path) -> None:
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.save_as(path, implicit_vr=True, little_endian=True)


def with_padding(path: Path, value: int) -> None:
    dataset = pydicom.dcmread(path)
    dataset.add_new("PixelPaddingValue", "SS", value)
    dataset.save_as(path)


def alike(one: Instance, other: Instance) -> bool:
    return all(
        np.array_equal(getattr(one, f.name), getattr(other, f.name))
        if f.name in ("orientation", "position_mm")
        else getattr(one, f.name) == getattr(other, f.name)
        for f in fields(Instance)
    )


def test_headers_of_a_folder_are_those_of_each_file_alone(tmp_path: Path) -> None:
    paths = plain_series(tmp_path, 6)
    edit(paths[0], SpecificCharacterSet="ISO_IR 100", PatientName="GrÃ¼n")
    edit(paths[1], SpecificCharacterSet="ISO_IR 192", PatientName="Grün")  # the same bytes
    edit(paths[2], ConvolutionKernel=["a", "b"])
    edit(paths[3], PatientSex="W", ContrastBolusAgent="iodine")
    with_padding(paths[4], -2000)
    as_implicit(paths[5])
    together, unreadable = scan_folder(paths)
    assert not unreadable
    for instance in together:
        assert alike(instance, read_instance(instance.path)), instance.path.name


@pytest.mark.parametrize("implicit", [False, True])
def test_pixels_at_their_stored_place_are_those_of_the_decoder(
    tmp_path: Path, implicit: bool
) -> None:
    [path, *_] = plain_series(tmp_path, 4)
    with_padding(path, int(pydicom.dcmread(path).pixel_array[3, 3]))
    if implicit:
        as_implicit(path)
    stored = read_instance(path).stored
    assert stored is not None
    at_place = stored.read(path)
    assert at_place is not None
    np.testing.assert_array_equal(at_place, read_plane(path, 0))


def test_another_file_at_the_same_path_is_read_anew(tmp_path: Path) -> None:
    one, other, *_ = plain_series(tmp_path, 4)
    stored = read_instance(one).stored
    dataset = pydicom.dcmread(other)
    dataset.PixelData = bytes(len(dataset.PixelData))
    dataset.save_as(other)
    os.replace(other, one)
    assert stored is not None
    assert stored.read(one) is None
    assert len(np.unique(read_plane(one, 0, stored))) == 1


@pytest.mark.parametrize(
    "changes",
    [{"NumberOfFrames": 2}, {"SamplesPerPixel": 3}, {"BitsAllocated": 8}, {"Rows": 31}],
    ids=lambda changes: next(iter(changes)),
)
def test_pixels_that_the_header_does_not_describe_have_no_stored_place(
    tmp_path: Path, changes: dict[str, int]
) -> None:
    [path, *_] = plain_series(tmp_path, 4)
    edit(path, **changes)
    assert read_instance(path).stored is None


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("bits", "high_bit"), [(12, 11), (12, 15), (16, 15), (10, 12), (1, 0)])
def test_significant_bits_are_those_of_the_standard(bits: int, high_bit: int, signed: bool) -> None:
    container = np.arange(2**16, dtype=np.uint16)
    expected = (container.astype(np.int64) >> (high_bit + 1 - bits)) % 2**bits
    if signed:
        expected = np.where(expected >= 2 ** (bits - 1), expected - 2**bits, expected)
    for native in (container, container.view(np.int16)):
        for stored in (native, native.astype(native.dtype.newbyteorder(">"))):
            found = PixelFormat(bits, high_bit, signed).significant(stored)
            np.testing.assert_array_equal(found, expected)
            hu = Rescaling(1.0, 0.0, None).hu(stored, found)
            np.testing.assert_array_equal(hu, np.clip(expected, -1024, 32767))


@pytest.mark.parametrize(
    ("slope", "intercept"), [(1.0, -1024.0), (1.0, -1024.5), (0.5, 3.0), (1.0, 1e9)]
)
def test_hu_are_slope_and_intercept_in_floating_point(slope: float, intercept: float) -> None:
    stored = np.arange(-(2**15), 2**16, 7, dtype=np.int32)
    expected = np.clip(np.rint(stored.astype(np.float64) * slope + intercept), -1024, 32767)
    found = Rescaling(slope, intercept, None).hu(stored, stored)
    np.testing.assert_array_equal(found, expected.astype(np.int16))


@pytest.mark.parametrize("intercept", [-1024.0, 0.0, 1000.0, -32767.0, 32767.0, -40000.0, 70000.0])
@pytest.mark.parametrize("kind", [np.int16, np.uint16])
def test_hu_of_sixteen_bits_are_those_of_floating_point(kind: type, intercept: float) -> None:
    stored: npt.NDArray[Any] = np.arange(2**16, dtype=np.uint16).view(kind)
    expected = np.clip(stored.astype(np.float64) + intercept, -1024, 32767).astype(np.int16)
    np.testing.assert_array_equal(Rescaling(1.0, intercept, None).hu(stored, stored), expected)
    memory = stored.view(np.int16).copy()
    found = Rescaling(1.0, intercept, None).hu(memory.view(kind), memory.view(kind), memory)
    np.testing.assert_array_equal(found, expected)
    assert (found is memory) == (abs(intercept) < 2**15)


def test_prepared_data_set_is_as_pydicom_makes_it() -> None:
    elements: dict[BaseTag, DataElement | RawDataElement] = {
        same_tag(0x00100010): DataElement(0x00100010, "PN", "A^B")
    }
    assert vars(prepared_dataset(elements)) == vars(Dataset(elements))
    read = Dataset(elements, parent_encoding=["iso8859"])
    read.set_original_encoding(False, True, ["utf8"])
    first, second = (prepared_dataset(elements, (["iso8859"], ["utf8"])) for _ in range(2))
    assert vars(first) == vars(read)
    held = [value for value in vars(first).values() if isinstance(value, dict)]
    theirs = [id(value) for value in vars(second).values()]
    assert [value for value in held if id(value) in theirs] == [elements]


def test_deflated_file_is_known_whatever_its_group_length_says(tmp_path: Path) -> None:
    [path, *_] = plain_series(tmp_path, 4)
    dataset = pydicom.dcmread(path)
    dataset.file_meta["TransferSyntaxUID"].value = DeflatedExplicitVRLittleEndian
    dataset.save_as(path, implicit_vr=False, little_endian=True)
    content = path.read_bytes()
    for length in (4, 30, 2**31):
        path.write_bytes(content[:140] + length.to_bytes(4, "little") + content[144:])
        try:
            found = plain_file(path)
        except zlib.error:  # its start was looked for where the length says
            continue
        assert not isinstance(found, Path)
