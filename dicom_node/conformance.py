"""The tables of the DICOM conformance statement, made from what the code offers.

``python -m dicom_node.conformance docs/conformance.md`` writes them between their markers.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from highdicom.sr import CodedConcept
from pydicom.uid import (
    UID,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID, PYNETDICOM_IMPLEMENTATION_VERSION
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    Verification,
)

from dicom_node.receiving.limits import MAX_UNANSWERED
from dicom_node.receiving.listener import CLOSING_SECONDS, TRANSFER_SYNTAXES
from dicom_node.receiving.receiver import REFUSALS, STORAGE_CLASSES
from dicom_node.reporting import codes
from dicom_node.sending.retrieval import RETRIEVED_CLASSES
from dicom_node.series.selection import LOSSY_SYNTAXES
from dicom_node.settings.edge import Listener
from dicom_node.tls import CIPHERS

__all__ = ["fill", "tables"]

NEWER_NAMES = {"1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage"}
"""Names of UIDs in PS3.6 that pydicom does not know yet."""

MARKED = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def tables() -> dict[str, str]:
    """Each table as Markdown, by name."""
    return {
        "scp": _table(("SOP class", "UID", "Role"), _scp()),
        "scu": _table(("SOP class", "UID", "Role"), _scu()),
        "syntaxes": _table(("Transfer syntax", "UID", "Assessed"), _syntaxes()),
        "statuses": _table(("Status", "Code in log and metrics"), _statuses()),
        "association": _table(("Property", "Value"), _association()),
        "codes": _table(("Concept", "Code", "Scheme"), _codes()),
    }


def fill(text: str) -> str:
    """The document with its tables replaced by the present ones.

    Raises
    ------
    KeyError
        The document names a table that does not exist.
    """
    made = tables()
    return MARKED.sub(lambda found: f"{found[1]}{made[found[2]]}\n{found[3]}", text)


def _name(uid: str) -> str:
    return NEWER_NAMES.get(uid) or UID(uid).name


def _scp() -> Iterable[Sequence[str]]:
    for uid in (Verification, *STORAGE_CLASSES):
        yield _name(uid), uid, "SCP"
    yield StorageCommitmentPushModel.name, StorageCommitmentPushModel, "SCU (takes the answer)"


def _scu() -> Iterable[Sequence[str]]:
    for uid in (
        Verification,
        ComprehensiveSRStorage,
        SecondaryCaptureImageStorage,
        EncapsulatedPDFStorage,
        SegmentationStorage,
        KeyObjectSelectionDocumentStorage,
        StorageCommitmentPushModel,
        StudyRootQueryRetrieveInformationModelFind,
        StudyRootQueryRetrieveInformationModelGet,
    ):
        yield _name(uid), uid, "SCU"
    for uid in RETRIEVED_CLASSES:
        yield _name(uid), uid, "SCP on an association for C-GET (role selection)"


def _syntaxes() -> Iterable[Sequence[str]]:
    for uid in TRANSFER_SYNTAXES:
        yield _name(uid), uid, "no: lossy" if uid in LOSSY_SYNTAXES else "if it decodes"


def _statuses() -> Iterable[Sequence[str]]:
    yield "0x0000", 'kept, and with `durability = "fsync"` on the disk'
    for status in sorted(set(REFUSALS.values())):
        yield f"0x{status:04X}", ", ".join(f"`{c}`" for c, s in REFUSALS.items() if s == status)


def _association() -> Iterable[Sequence[str]]:
    listener = Listener()
    yield "Implementation Class UID", str(PYNETDICOM_IMPLEMENTATION_UID)
    yield "Implementation Version Name", PYNETDICOM_IMPLEMENTATION_VERSION
    yield "Maximum PDU offered", f"{listener.max_pdu_bytes} bytes"
    yield "Associations at the same time", f"{listener.max_associations}, each process"
    yield "Time until the association request", f"{listener.association_seconds:g} s"
    yield "Idle time, and time for one PDU", f"{listener.idle_seconds:g} s"
    yield "Time to close after a rejection or an abort", f"{CLOSING_SECONDS:g} s"
    yield "Asynchronous operations", f"not negotiated; at most {MAX_UNANSWERED} unanswered messages"
    yield "Instances on one association", f"{listener.max_instances_per_association}"
    yield "Largest instance", f"{listener.max_object_mb} MB"
    yield "TLS", f"1.2 ({', '.join(CIPHERS)}) and 1.3"


def _codes() -> Iterable[Sequence[str]]:
    for name in sorted(codes.__all__):
        value = getattr(codes, name)
        found = value.values() if isinstance(value, dict) else (value,)
        for concept in found:
            if isinstance(concept, CodedConcept):
                yield concept.meaning, concept.value, concept.scheme_designator


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(fill(document.read_text()))
