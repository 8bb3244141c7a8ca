r"""Texts from outside, such as a header's, as they may stand in messages and logs, or on pages."""

import re
import unicodedata

__all__ = ["MOST_CHARACTERS", "cleaned", "legible"]

MOST_CHARACTERS = 64
"""The most that is shown of a text from outside: as long as a UID or a long string (LO) may be
(PS3.5, table 6.2-1)."""

OTHER_CHARACTERS = re.compile(r"[^A-Za-z0-9 ._^\\-]")
"""What could end a line, steer a terminal or leave quotation marks."""

MOST_MARKS = 4
"""Combining marks that one character carries at most: more would be drawn over other lines."""

SPACES = frozenset({"Cc", "Zs", "Zl", "Zp"})
NOT_SEEN = frozenset({"Cf"})
NOT_DRAWN = frozenset({"Cs", "Co", "Cn"})
"""General categories of Unicode: a space stands for the first; marks that turn the direction of
writing and others that are not seen are left out; U+FFFD stands for what has no picture."""


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
    'Br40____2J'
    >>> cleaned("x" * 300)[60:]
    'xxxx (cut, 300 characters)'
    """
    whole = str(text)
    shown = OTHER_CHARACTERS.sub("_", whole[:MOST_CHARACTERS])
    return shown if len(whole) <= MOST_CHARACTERS else f"{shown} (cut, {len(whole)} characters)"


def legible(text: object) -> str:
    r"""A text from outside in its own letters, for pages that escape it and people that read it.

    Not for logs, terminals or the audit trail: see `cleaned`.

    Parameters
    ----------
    text
        A header's value, decoded by its Specific Character Set.

    Returns
    -------
    str
        Its first `MOST_CHARACTERS` characters on one line, composed (NFC), without control
        characters, marks of direction and others that are not seen; where it was cut, with its
        length.

    Examples
    --------
    >>> legible("Mu\u0308ller^Jo\u0308rg"), legible("2026/17")
    ('Müller^Jörg', '2026/17')
    >>> legible("Roe\x1b[2J\n\u202eatiR")
    'Roe [2J atiR'
    """
    whole = unicodedata.normalize("NFC", str(text))
    drawn: list[str] = []
    marks = 0
    for character in whole[:MOST_CHARACTERS]:
        kind = unicodedata.category(character)
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        if kind in NOT_SEEN or marks > MOST_MARKS:
            continue
        drawn.append(" " if kind in SPACES else "\ufffd" if kind in NOT_DRAWN else character)
    shown = " ".join("".join(drawn).split())
    return shown if len(whole) <= MOST_CHARACTERS else f"{shown} (cut, {len(whole)} characters)"
