"""All words of the notices, in one place for whoever translates them.

In the braces stand ``count``, ``subject``, ``since`` (day and time), ``details`` (all of them, or
the ``first`` and the ``rest``), and ``codes`` with their numbers.
"""

from collections.abc import Mapping, Sequence

__all__ = ["PAGES", "STATES", "mail_subject", "mail_text", "title_of", "words_of", "words_of_test"]

BEGAN = {
    "not_ready": "The node cannot work since {since}: {details}.",
    "disk": "{first} are left on the disk with the spool, less than the {rest} that should be.",
    "destination_down": "Destination {subject} does not take what is sent to it since {since}; "
    "objects that wait for it or failed: {count}.",
    "stands_still": "Work stands still until somebody does something: {details}.",
    "failed_work": "Work failed for good and waits for somebody to look at it: {codes}.",
    "drift": "The HU of a scanner are not where they were: {subject} {details}.",
}
"""What holds, by the kind of the condition."""

OVER = {
    "not_ready": "The node can work again; it could not since {since}.",
    "disk": "There is room on the disk with the spool again; there was not since {since}.",
    "destination_down": "Destination {subject} takes again what is sent to it; it did not since "
    "{since}.",
    "stands_still": "No work stands still any more; some did since {since}.",
    "failed_work": "No failed work is left to be looked at; there was some since {since}.",
    "drift": "The HU of a scanner are where they were again: {subject}.",
}
"""What is over, by the kind of the condition."""

STATES = {"began": "", "lasts": "Still: ", "over": "Over: ", "test": "Test: "}
"""How each state of a notice begins."""

TITLES = {
    "not_ready": "cannot work",
    "disk": "disk is filling up",
    "destination_down": "destination {subject} takes nothing",
    "stands_still": "work stands still",
    "failed_work": "failed work",
    "drift": "scanner drift",
    "test": "test notice",
}
"""What is the matter, in a few words."""

PAGES = {
    "not_ready": "/work",
    "disk": "/work",
    "destination_down": "/destinations",
    "stands_still": "/work",
    "failed_work": "/work",
    "drift": "/scanners",
    "test": "/work",
}
"""The page that a notice leads to."""

TEST = "This is a test notice of {node}. Nothing is the matter."

HELD_BACK = "{held_back} more notices were held back, for only so many are sent an hour."

MAIL = """\
{text}

Node:  {node}
Since: {since}
{more}
This notice names no patient. osteonode is for research use, not a medical device.
"""

MAIL_SUBJECT = "[osteonode] {node}: {state}{title}"


def words_of(
    kind: str, state: str, *, subject: str, count: int, since: str, details: Sequence[str],
    codes: Mapping[str, int],
) -> str:  # fmt: skip
    """What a notice says, in one or two sentences."""
    form = OVER if state == "over" else BEGAN
    listed = ", ".join(f"{code} ({number})" for code, number in codes.items())
    first, rest = (*details, "", "")[:2]
    return STATES[state] + form[kind].format(
        subject=subject, count=count, since=since, details="; ".join(details), first=first,
        rest=rest, codes=listed,
    )  # fmt: skip


def words_of_test(node: str) -> str:
    """What a test notice says."""
    return STATES["test"] + TEST.format(node=node)


def title_of(kind: str, subject: str) -> str:
    """What is the matter, in a few words."""
    return TITLES[kind].format(subject=subject)


def mail_subject(kind: str, state: str, subject: str, node: str) -> str:
    """The subject of a notice by mail."""
    return MAIL_SUBJECT.format(node=node, state=STATES[state], title=title_of(kind, subject))


def mail_text(text: str, node: str, since: str, link: str | None, held_back: int) -> str:
    """The text of a notice by mail."""
    more = f"Page:  {link}\n" if link else ""
    if held_back:
        more += f"\n{HELD_BACK.format(held_back=held_back)}\n"
    return MAIL.format(text=text, node=node, since=since, more=more)
