r"""Texts from outside, such as a header's, as they may stand in messages, logs and audit trail."""

import re

__all__ = ["MOST_CHARACTERS", "cleaned"]

MOST_CHARACTERS = 64
"""The most that is shown of a text from outside: as long as a UID or a long string (LO) may be
(PS3.5, table 6.2-1)."""

OTHER_CHARACTERS = re.compile(r"[^A-Za-z0-9 ._^\\-]")
"""What could end a line, steer a terminal or leave quotation marks."""


def cleaned(text: object) -> str:
    r"""A text from outside without anything but plain characters, and not longer than is read.

    Anyone who may send images decides what their headers say; a message that quotes one goes into
    logs and onto terminals. Reports keep such texts as they are.

    Parameters
    ----------
    text
        A header's value, an AE title, a name of a certificate; anything else by its ``str``.

    Returns
    -------
    str
        Its first `MOST_CHARACTERS` characters, ``_`` in place of each that is not a letter of
        ASCII, a digit, a space or one of ``._^\-``; where it was cut, with its length.

    Examples
    --------
    >>> cleaned("ORIGINAL\\PRIMARY")
    'ORIGINAL\\PRIMARY'
    >>> cleaned('Br40"\n\x1b[2J')
    'Br40___2J'
    >>> cleaned("x" * 300)[60:]
    'xxxx (cut, 300 characters)'
    """
    whole = str(text)
    shown = OTHER_CHARACTERS.sub("_", whole[:MOST_CHARACTERS])
    return shown if len(whole) <= MOST_CHARACTERS else f"{shown} (cut, {len(whole)} characters)"
