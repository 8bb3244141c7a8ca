"""Sends a report to an archive by STOW-RS."""

import json
import secrets
from collections.abc import Mapping
from typing import Any

from dicom_node.archive.answers import Answer, answer_of_json, stated
from dicom_node.archive.http_session import ArchiveSession, HttpRefused
from dicom_node.archive.sources import SourceUnavailable
from dicom_node.errors import DeliveryFailed
from dicom_node.foreign_text import cleaned
from dicom_node.settings.archives import Archive

__all__ = ["stow"]

FAILED_SOP_SEQUENCE = "00081198"
REFERENCED_SOP_SEQUENCE = "00081199"
"""What an archive did not store, and what it did (PS3.18, table 10.5.3-1)."""

MAX_REASON_BYTES = 4096
"""Most of an answer with an error that is read for its reason."""


def stow(content: bytes, archive: Archive) -> None:
    """Send a DICOM file by STOW-RS as it is; an archive that holds it already takes it.

    Parameters
    ----------
    content
        The file's bytes.
    archive
        With a section ``dicomweb``.

    Raises
    ------
    DeliveryFailed
        The archive cannot be reached, or does not take it; the message holds its reason.
    SettingsInvalid
        A certificate, key or CA cannot be used.
    """
    if archive.dicomweb is None:
        raise DeliveryFailed(f"{archive.name} has no section dicomweb")
    boundary = secrets.token_hex(16)
    body = b"".join(
        (
            f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode(),
            content,
            f"\r\n--{boundary}--\r\n".encode(),
        )
    )
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    with ArchiveSession(archive, archive.dicomweb) as session:
        try:
            response = session.post(
                f"{archive.dicomweb.url.rstrip('/')}/studies",
                data=body,
                headers={"Content-Type": kind, "Accept": "application/dicom+json"},
            )
        except SourceUnavailable as error:
            raise DeliveryFailed(str(error)) from error
        except HttpRefused as refused:
            said = _failure(refused.content[:MAX_REASON_BYTES])
            raise DeliveryFailed(f"{archive.name} refused with {refused}{said}") from None
    failed = _failure(response.content)
    if failed:
        raise DeliveryFailed(f"{archive.name} refused with HTTP {response.status_code}{failed}")
    if not _items(response.content, REFERENCED_SOP_SEQUENCE):
        raise DeliveryFailed(f"{archive.name} does not say that it stored the report")


def _failure(content: bytes) -> str:
    """The reason that an answer gives for what was not stored; empty if there is none."""
    failed = _items(content, FAILED_SOP_SEQUENCE)
    if not failed:
        return ""
    reason = stated(failed[0], "FailureReason") or ""
    number = f"0x{int(reason):04X}" if reason.isascii() and reason.isdecimal() else "unknown"
    return f", failure reason {cleaned(number)}"


def _items(content: bytes, sequence: str) -> list[Answer]:
    """The items of a sequence in an answer."""
    try:
        answer: Any = json.loads(content)
        if isinstance(answer, list):
            [answer] = answer
        items = answer.get(sequence, {}).get("Value", [])
        return [answer_of_json(item) for item in items if isinstance(item, Mapping)]
    except (AttributeError, TypeError, ValueError):
        return []
