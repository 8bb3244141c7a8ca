"""Hashing and checking passwords in even time, few at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from dicom_node.pages.rendering import text

__all__ = ["LEAST_CHARACTERS", "Busy", "PasswordRefused", "Passwords", "check_password"]

LEAST_CHARACTERS = 12
LEAST_DIFFERENT = 5
"""Different characters of a password."""

LONGEST_PASSWORD = 1024
"""In characters; more would only cost time."""

HASHES_AT_ONCE = 2
"""Each takes 64 MB and a core for a while."""

WAIT_SECONDS = 5.0
"""How long a check waits for its turn."""

MOST_WAITING = 8
"""Checks that wait; each holds one of the threads that answer all visitors."""


class PasswordRefused(ValueError):
    """A new password that is too short, too long or easily found; ``key`` names it in the texts."""

    def __init__(self, key: str) -> None:
        super().__init__(text(key))
        self.key = key


class Busy(Exception):
    """Too many passwords are being checked; later is better."""


class Passwords:
    """Hashes passwords with Argon2id (RFC 9106).

    Parameters
    ----------
    hasher
        Its parameters decide on time and memory; stored hashes of others are made anew when their
        password is next given.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._places = threading.BoundedSemaphore(HASHES_AT_ONCE + MOST_WAITING)
        self._turns = threading.BoundedSemaphore(HASHES_AT_ONCE)

    def hashed(self, password: str) -> str:
        """The hash of a password, with its salt and parameters.

        Raises
        ------
        Busy
            Too many are being made or checked.
        """
        with self._turn():
            return self._hasher.hash(password)

    def matches(self, password: str, stored: str | None) -> bool:
        """Whether a password is the stored one; it takes as long where none is stored.

        Raises
        ------
        Busy
            Too many are being checked.
        """
        with self._turn():
            nobodys = self._nobodys
            try:
                self._hasher.verify(stored or nobodys, password[:LONGEST_PASSWORD])
            except (VerifyMismatchError, VerificationError, InvalidHashError):
                return False
        return stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    @cached_property
    def _nobodys(self) -> str:
        """A hash that is checked where there is no account, so that it takes as long."""
        return self._hasher.hash("nobody has this password")

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Busy
        try:
            if not self._turns.acquire(timeout=WAIT_SECONDS):
                raise Busy
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._places.release()


def check_password(name: str, password: str) -> None:
    """Refuse a new password that is too short or easily found.

    Raises
    ------
    PasswordRefused
        The message says what is wrong.
    """
    if len(password) < LEAST_CHARACTERS:
        raise PasswordRefused("passwords.short")
    if len(password) > LONGEST_PASSWORD:
        raise PasswordRefused("passwords.long")
    if name.casefold() in password.casefold() or len(set(password)) < LEAST_DIFFERENT:
        raise PasswordRefused("passwords.weak")
