"""Keyed pseudonyms in place of identifiers: the same key gives the same ones in every table."""

import hashlib
import hmac
import stat
from pathlib import Path

from dicom_node.errors import ScreeningInvalid

__all__ = ["Pseudonyms"]

LEAST_KEY_BYTES = 32
"""A key of fewer bytes could be found by trial; that of SHA-256 has as many."""

DIGITS = 20
"""Hexadecimal digits of a pseudonym, 80 bits: of a million patients two share one with a
probability below 1e-12."""

UID_DIGITS = 31
"""Hexadecimal digits of the number in a UID: 124 bits, within the 128 of a UUID."""


class Pseudonyms:
    """HMAC-SHA-256 of an identifier under a key, cut short.

    Who has no key can neither undo a pseudonym nor try identifiers. The kind of an identifier
    enters, so that an accession number and a Patient ID that are alike stay apart.

    Parameters
    ----------
    key
        At least `LEAST_KEY_BYTES` bytes.

    References
    ----------
    H. Krawczyk, M. Bellare, R. Canetti: HMAC: Keyed-Hashing for Message Authentication. RFC 2104
    (1997), doi 10.17487/RFC2104.

    Examples
    --------
    >>> names = Pseudonyms(bytes(32))
    >>> names.name("patient", "4711") == names.name("patient", "4711")
    True
    >>> names.name("patient", "4711") == names.name("accession", "4711")
    False
    >>> names.uid("study", "1.2.3").startswith("2.25.")
    True
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of(cls, path: Path) -> "Pseudonyms":
        """Read a key file.

        Raises
        ------
        ScreeningInvalid
            There is none, others may read it, or it holds too few bytes.
        """
        try:
            mode, key = path.stat().st_mode, path.read_bytes().strip()
        except OSError as error:
            raise ScreeningInvalid(f"key file {path}: {error.strerror}") from error
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ScreeningInvalid(f"others may read the key file {path}: chmod 600 it")
        if len(key) < LEAST_KEY_BYTES:
            raise ScreeningInvalid(
                f"the key file {path} holds {len(key)} bytes; at least {LEAST_KEY_BYTES} are "
                f"needed: head -c 48 /dev/urandom | base64 > {path}"
            )
        return cls(key)

    def name(self, kind: str, text: str) -> str:
        """The pseudonym of an accession number or Patient ID; empty stays empty."""
        return self._digest(kind, text)[:DIGITS] if text else ""

    def uid(self, kind: str, uid: str) -> str:
        """The pseudonym of a UID, itself a UID under 2.25 (PS3.5, annex B.2)."""
        return f"2.25.{int(self._digest(kind, uid)[:UID_DIGITS], 16)}" if uid else ""

    def _digest(self, kind: str, text: str) -> str:
        message = f"{kind}:{text.strip()}".encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()
