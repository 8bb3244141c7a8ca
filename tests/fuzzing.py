"""Hostile input: mutated instances and PDUs, from a seed, so that each case can be had again."""

import io
import os
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE

from tests.dicom_builders import plain_series

SHORT_COUNT, FULL_COUNT = 400, 5000

EXTREMES = (
    b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80",
    b"\xfe\xff\xff\xff", b"\x01\x00", b"\xff\xff", b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0",
    b"\xfe\xff\xdd\xe0", b"SQ\x00\x00\xff\xff\xff\xff", b"UN\x00\x00\xff\xff\xff\xff", b"UI", b"OW",
)  # fmt: skip
"""Lengths, delimiters and value representations at which readers stumble."""


def count() -> int:
    """How many cases: short unless OSTEONODE_FUZZ asks for the full number, or names one."""
    asked = os.environ.get("OSTEONODE_FUZZ", "")
    return FULL_COUNT if asked == "full" else int(asked or SHORT_COUNT)


def mutate(content: bytes, chance: random.Random, *, front: int = 4096) -> bytes:
    """Break some bytes, most of them near the front, where headers are."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        if not data:
            break
        reach = len(data) if chance.random() < 0.2 else min(front, len(data))
        at = chance.randrange(reach)
        kind = chance.randrange(7)
        if kind == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at] = chance.randrange(256)
        elif kind == 2:
            extreme = chance.choice(EXTREMES)
            data[at : at + len(extreme)] = extreme
        elif kind == 3:
            del data[at : at + chance.choice((1, 2, 4, 8, 100))]
        elif kind == 4:
            data[at:at] = chance.choice(EXTREMES) * chance.choice((1, 1, 100))
        elif kind == 5:
            piece = data[at : at + chance.choice((2, 8, 64, 512))]
            data[at:at] = piece * chance.choice((1, 1, 50))
        else:
            del data[at:]
    return bytes(data)


def instances(folder: Path) -> dict[UID, bytes]:
    """One CT slice as a file, by transfer syntax."""
    path = plain_series(folder, 1)[0]
    base = pydicom.dcmread(path)
    base.DerivationCodeSequence = [pydicom.Dataset()]
    base.DerivationCodeSequence[0].CodeValue = "1"
    base["DerivationCodeSequence"].is_undefined_length = True
    found = {}
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        base.file_meta.TransferSyntaxUID = syntax
        found[syntax] = written(base, syntax)
    for syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
        dataset = pydicom.dcmread(path)
        dataset.compress(syntax, generate_instance_uid=False)
        found[syntax] = written(dataset, syntax)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = encapsulate([b"\xff\xd8\xff\xc3" + bytes(200)])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    found[JPEGLosslessSV1] = written(dataset, JPEGLosslessSV1)
    return found


def written(dataset: pydicom.Dataset, syntax: UID) -> bytes:
    """A data set as the bytes of a file."""
    buffer = io.BytesIO()
    pydicom.dcmwrite(
        buffer,
        dataset,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=True,
        enforce_file_format=True,
    )
    return buffer.getvalue()


def body(file_content: bytes) -> bytes:
    """What follows the file meta information: a data set as it goes over the network."""
    length = struct.unpack_from("<L", file_content, 140)[0]
    return file_content[144 + length :]


def bomb(syntax: UID = DeflatedExplicitVRLittleEndian) -> bytes:
    """A small deflated data set that inflates to 512 MB."""
    assert syntax == DeflatedExplicitVRLittleEndian
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = struct.pack("<HH2sHL", 0x0008, 0x0005, b"UT", 0, 2**29)
    zeros = bytes(2**20)
    return b"".join(
        [packer.compress(head), *(packer.compress(zeros) for _ in range(512)), packer.flush()]
    )


def send_bomb(port: int) -> bool:
    """Offer deflated images, then send a bomb as what is accepted; whether it was stored."""
    ae = AE(ae_title="BOMBER")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10
    ae.add_requested_context(CTImageStorage, [DeflatedExplicitVRLittleEndian])
    ae.add_requested_context(CTImageStorage, [ExplicitVRLittleEndian])
    association = ae.associate("127.0.0.1", port, ae_title="OSTEONODE")
    if not association.is_established:
        return False
    request = C_STORE()
    request.MessageID = 1
    request.Priority = 2
    request.AffectedSOPClassUID = CTImageStorage
    request.AffectedSOPInstanceUID = generate_uid()
    request.DataSet = io.BytesIO(bomb())
    try:
        association.dimse.send_msg(request, association.accepted_contexts[0].context_id or 1)
        _, answer = association.dimse.get_msg(block=True)
    except (RuntimeError, OSError):
        answer = None
    if association.is_established:
        association.abort()
    return answer is not None and getattr(answer, "Status", None) == 0x0000


def conversation(port: int, folder: Path) -> list[bytes]:
    """What a sender says for an association with an echo-sized and a slice-sized message."""
    said: list[bytes] = []
    ae = AE(ae_title="FUZZ")
    ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    ae.add_requested_context("1.2.840.10008.1.1")
    association = ae.associate(
        "127.0.0.1",
        port,
        ae_title="OSTEONODE",
        evt_handlers=[(evt.EVT_DATA_SENT, lambda event: said.append(bytes(event.data)))],
    )
    assert association.is_established
    association.send_c_echo()
    dataset = pydicom.dcmread(plain_series(folder, 1)[0])
    dataset.Rows = dataset.Columns = 16
    dataset.PixelData = np.zeros((16, 16), np.int16).tobytes()
    association.send_c_store(dataset)
    association.release()
    return said
