"""The bytes of a file of the node: what pydicom writes, of deep content in a tenth of its time."""

import struct
from collections.abc import Mapping
from io import BytesIO
from types import MappingProxyType

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import correct_ambiguous_vr_element, write_data_element
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.decoding.recall import ENCODING_TAG

__all__ = ["encoded_file"]

UNICODE = "ISO_IR 192"
"""Specific Character Set of all that the node writes: UTF-8."""

ASCII_PADDING: Mapping[str, str] = MappingProxyType(
    {"AE": " ", "AS": " ", "CS": " ", "DA": " ", "TM": " ", "UI": "\0"}
)
"""Padding of the value representations that are written in the default character set."""

UNICODE_TEXTS = frozenset(("LO", "LT", "SH", "ST"))
"""Short value representations that are written in the specific character set."""

LONGEST_SHORT = 0xFFFF
"""Most bytes of a value whose length takes two bytes."""


class _Unusual(Exception):
    """Something that is left to pydicom."""


def encoded_file(dataset: Dataset) -> bytes:
    """Encode a data set as a DICOM file, byte for byte as ``Dataset.save_as`` does.

    pydicom takes 70 microseconds for an element; a report has ten thousand, most of them in code
    sequences that occur many times. Text and sequences of the encoding that the node uses
    (Explicit VR Little Endian, UTF-8) are written here, an item that occurs again only once.

    Parameters
    ----------
    dataset
        With ``file_meta``, as for ``save_as``.

    Raises
    ------
    ValueError, AttributeError
        It cannot be written in the DICOM File Format.
    """
    meta = getattr(dataset, "file_meta", None)
    usual = meta is not None and meta.get("TransferSyntaxUID") == ExplicitVRLittleEndian
    if usual and dataset.get("SpecificCharacterSet") == UNICODE:
        try:
            content = _Encoder(dataset).encoded()
        except _Unusual:
            return _as_pydicom_does(dataset)
        return _head(dataset) + content
    return _as_pydicom_does(dataset)


def _as_pydicom_does(dataset: Dataset) -> bytes:
    written = BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()


def _head(dataset: Dataset) -> bytes:
    """Preamble, prefix and file meta information: a file of the identification alone, without it.

    Raises
    ------
    ValueError, AttributeError
        As of `encoded_file`.
    """
    identified = Dataset()
    identified.file_meta = dataset.file_meta
    if getattr(dataset, "preamble", None):
        identified.preamble = dataset.preamble
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        if keyword in dataset:
            identified[keyword] = dataset[keyword]
    behind = len(_Encoder(identified).encoded())
    file = _as_pydicom_does(identified)
    return file[: len(file) - behind]


class _Encoder:
    """Encodes one data set; an item of it that occurs again is encoded once."""

    def __init__(self, root: Dataset) -> None:
        self._root = root
        self._known: dict[int, bytes] = {}

    def encoded(self) -> bytes:
        """The elements of the data set."""
        return self.dataset(self._root)

    def dataset(self, dataset: Dataset) -> bytes:
        """The elements of a data set in the order of their tags."""
        elements = [(int(element.tag), element) for element in dataset.values()]
        elements.sort(key=_first)
        return b"".join([
            self._element(dataset, tag, element)
            for tag, element in elements
            if tag & 0xFFFF or tag >> 16 <= 6
        ])  # fmt: skip

    def _element(self, dataset: Dataset, tag: int, element: DataElement | RawDataElement) -> bytes:
        if isinstance(element, RawDataElement):
            element = dataset[tag]
        if tag >> 16 in (0, 2) or (tag == ENCODING_TAG and element.value != UNICODE):
            raise _Unusual
        if len(element.VR) != 2 and dataset is self._root:  # such as "US or SS"
            correct_ambiguous_vr_element(element, dataset, True)
        vr = element.VR
        if len(vr) != 2:  # of an item, for which the data sets above it decide
            raise _Unusual
        if vr == "SQ" and not element.is_undefined_length:
            content = b"".join([self._item(item) for item in element.value])
            return struct.pack("<HH4sL", tag >> 16, tag & 0xFFFF, b"SQ\0\0", len(content)) + content
        value = element.value
        if vr == "FD" and type(value) is float:
            return struct.pack("<HH2sHd", tag >> 16, tag & 0xFFFF, b"FD", 8, value)
        if type(value) is str or vr == "UI":
            text = self._text(vr, str(value)) if value and isinstance(value, str) else None
            if text is not None:
                return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(text)) + text
        return _by_pydicom(element)

    def _text(self, vr: str, value: str) -> bytes | None:
        """A text, padded; None if it is of another kind, or too long."""
        if vr in ASCII_PADDING and value.isascii():
            text = (value + ASCII_PADDING[vr] if len(value) % 2 else value).encode()
        elif vr in UNICODE_TEXTS:
            text = value.encode()
            text += b" " * (len(text) % 2)
        else:
            return None
        return text if len(text) <= LONGEST_SHORT else None

    def _item(self, item: Dataset) -> bytes:
        known = self._known.get(id(item))
        if known is None:
            if item.is_undefined_length_sequence_item:
                raise _Unusual
            content = self.dataset(item)
            known = b"\xfe\xff\x00\xe0" + struct.pack("<L", len(content)) + content
            self._known[id(item)] = known
        return known


def _first(pair: tuple[int, object]) -> int:
    return pair[0]


def _by_pydicom(element: DataElement) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_data_element(buffer, element, UNICODE)
    return buffer.getvalue()
