"""Random tokens by which browsers are known; kept is their digest alone."""

import hashlib
import re
import secrets

__all__ = ["is_token", "new_token", "token_digest"]

TOKEN_BYTES = 32
"""Of a token: 256 bits."""

TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
"""A token as it is written: 32 bytes in base64 for addresses."""


def new_token() -> str:
    """A token that nobody can guess."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def is_token(text: str) -> bool:
    """Whether a text has the form of a token."""
    return TOKEN.fullmatch(text) is not None


def token_digest(token: str) -> str:
    """What is kept of a token: its SHA-256."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
