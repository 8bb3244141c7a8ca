"""A bearer token in a file, as archives and webhooks ask for it."""

import re
from pathlib import Path

__all__ = ["read_bearer_token"]

BEARER_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")
"""Characters of a bearer token (RFC 6750, section 2.1)."""


def read_bearer_token(path: Path) -> str:
    """The token, read anew each time: whoever issues it replaces the file.

    Raises
    ------
    ValueError
        The file cannot be read, or holds something else; the message says so of ``token_file``.
    """
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"token_file cannot be read ({type(error).__name__})") from None
    if not BEARER_TOKEN.fullmatch(token):
        raise ValueError("token_file does not hold one bearer token")
    return token
