"""Identities and UIDs that follow from content: the same content always gives the same ones."""

import hashlib
import uuid

__all__ = ["content_id", "derived_uid"]

NAMESPACE = uuid.UUID("6f0f5a8e-2c59-5d0c-9a0e-6f737465006f")
"""Name space of all UIDs derived here (RFC 9562, version 5)."""


def derived_uid(*parts: str) -> str:
    """A UID under 2.25 (DICOM PS3.5, annex B.2) derived from ``parts`` and their order.

    >>> derived_uid("series", "1.2.3") == derived_uid("series", "1.2.3")
    True
    >>> derived_uid("a", "bc") == derived_uid("ab", "c")
    False
    """
    return f"2.25.{uuid.uuid5(NAMESPACE, '|'.join(f'{len(p)}:{p}' for p in parts)).int}"


def content_id(*parts: str) -> str:
    """The identity of work or of a report: 40 hexadecimal digits that depend on all of ``parts``.

    >>> content_id("a", "bc") == content_id("ab", "c")
    False
    """
    text = "|".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:40]
