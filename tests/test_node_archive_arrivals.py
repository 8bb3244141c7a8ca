"""Bytes of an archive: read ahead from a connection, and the header of a file on its way."""

import socket
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from dicom_node.archive.arrivals import HEAD_BYTES, Arrivals
from dicom_node.archive.sources import ListedSeries
from dicom_node.receiving import pdu_reader
from dicom_node.receiving.pdu_reader import _ReadAhead

SERIES = "1.2.3"
INSTANCE = UID("1.2.3.4")


def ct_file(private_bytes: int) -> bytes:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = INSTANCE
    dataset.private_block(0x0009, "TEST", create=True).add_new(1, "OB", bytes(private_bytes))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2", SERIES
    dataset.add_new(0x7FE00010, "OW", bytes(2 * HEAD_BYTES))
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize("private_bytes", [10, HEAD_BYTES - 600, 2 * HEAD_BYTES])
@pytest.mark.parametrize("piece_bytes", [1000, 1_000_000])
def test_a_file_is_kept_wherever_its_uids_are(
    tmp_path: Path, private_bytes: int, piece_bytes: int
) -> None:
    content = ct_file(private_bytes)
    arrivals = Arrivals(ListedSeries("1.2", SERIES), [INSTANCE], tmp_path)
    file = arrivals.open()
    for start in range(0, len(content), piece_bytes):
        file.write(content[start : start + piece_bytes])
    assert file.finish()
    [path] = arrivals.files("")
    assert path.read_bytes() == content


def test_bytes_are_given_in_order_whatever_came_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdu_reader, "READ_AHEAD_BYTES", 7)
    sent = bytes(range(200))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        ahead = _ReadAhead(ours, 20)
        assert not ahead.holds_some()
        came = [bytes(ahead.exactly(count)) for count in (6, 20, 1, 0, 19) * 4]
        assert ahead.holds_some()
        assert b"".join(came) == sent[:184]
        assert bytes(ahead.exactly(20)) == sent[184:]
        assert not ahead.holds_some()


def test_nothing_is_held_after_a_pdu_that_is_too_long() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(bytes(100))
        ahead = _ReadAhead(ours, 20)
        ahead.exactly(6)
        assert ahead.holds_some()
        with pytest.raises(ConnectionError, match="longer"):
            ahead.exactly(21)
        assert not ahead.holds_some()
