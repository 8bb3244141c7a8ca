"""Deterministic UIDs: the same series, instances and model always give the same ones."""

import hashlib
import uuid
from collections.abc import Iterable

__all__ = ["assessment_id", "derived_uid", "instances_digest"]

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


def instances_digest(names: Iterable[str]) -> str:
    """SHA-256 (hexadecimal) of a set of instance names; order and repetition do not matter."""
    return hashlib.sha256("\n".join(sorted(set(names))).encode()).hexdigest()


def assessment_id(series: str, digest: str, model_id: str) -> str:
    """The identity of one assessment: its workflow's id, from which the report's UIDs are derived.

    Parameters
    ----------
    series
        Series Instance UID.
    digest
        Of the series' instances.
    model_id
        Of the model that stages.

    Returns
    -------
    str
        40 hexadecimal digits.
    """
    return hashlib.sha256(f"{series}\n{digest}\n{model_id}".encode()).hexdigest()[:40]
