"""A notice as targets get it: JSON, and its words."""

import socket
import uuid
from datetime import UTC, datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from dicom_node.notices.notice_words import PAGES, words_of, words_of_test
from dicom_node.notices.observing import Condition
from dicom_node.settings.node import NodeSettings

__all__ = [
    "NOTICE_SCHEMA",
    "Notice",
    "NoticeState",
    "NoticedNode",
    "day_and_minute",
    "notice_of",
    "trial",
]

NOTICE_SCHEMA = "osteonode-notice/1"
"""Raised when a field changes its meaning or goes; fields may be added."""

NoticeState = Literal["began", "lasts", "over", "test"]


class NoticedNode(BaseModel):
    """The node that a notice is of."""

    model_config = ConfigDict(frozen=True)

    name: str
    ae_title: str
    host: str

    @classmethod
    def of(cls, settings: NodeSettings) -> "NoticedNode":
        """Describe this node; without a name of its own it is called by its AE title and host."""
        host = socket.gethostname()
        ae_title = settings.listener.ae_title
        given = None if settings.notices is None else settings.notices.node_name
        return cls(name=given or f"{ae_title} on {host}", ae_title=ae_title, host=host)


class Notice(BaseModel):
    """One notice; nothing in it is of a patient or a study.

    Parameters
    ----------
    schema_name
        `NOTICE_SCHEMA`, as ``schema``.
    id
        The same each time that the notice is sent.
    node
        Whom it is of.
    condition, subject, state
        What is the matter, of what, and whether it began, lasts or is over.
    since, moment
        Since when it holds, and when the notice was made.
    count, codes
        How many things it is about, and why.
    text
        The same in words.
    link
        The page that tells more.
    held_back
        Other notices that were not sent, since only so many are sent an hour.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    schema_name: str = Field(default=NOTICE_SCHEMA, alias="schema")
    id: str = Field(default_factory=lambda: uuid.uuid4().hex)
    node: NoticedNode
    condition: str
    subject: str = ""
    state: NoticeState
    since: AwareDatetime
    moment: AwareDatetime
    count: int = 1
    codes: dict[str, int] = {}
    text: str
    link: str | None = None
    held_back: int = 0

    @property
    def content(self) -> str:
        """As JSON."""
        return self.model_dump_json(by_alias=True)


def notice_of(
    settings: NodeSettings, condition: Condition, state: NoticeState, since: int, moment: int,
    held_back: int = 0,
) -> Notice:  # fmt: skip
    """The notice on a condition.

    Parameters
    ----------
    settings
        Of the node.
    condition
        As it was seen last.
    state
        What is told of it.
    since, moment
        Since when it holds, and now, UTC, ms since 1970.
    held_back
        As in `Notice`.
    """
    began = _moment(since)
    return Notice(
        node=NoticedNode.of(settings),
        condition=condition.kind,
        subject=condition.subject,
        state=state,
        since=began,
        moment=_moment(moment),
        count=condition.count,
        codes=dict(condition.codes),
        text=words_of(
            condition.kind, state, subject=condition.subject, count=condition.count,
            since=day_and_minute(began), details=condition.details, codes=condition.codes,
        ),
        link=_link(settings, condition.kind),
        held_back=held_back,
    )  # fmt: skip


def trial(settings: NodeSettings) -> Notice:
    """A notice that says that nothing is the matter."""
    node, now = NoticedNode.of(settings), datetime.now(UTC)
    return Notice(
        node=node, condition="test", state="test", since=now, moment=now,
        text=words_of_test(node.name), link=_link(settings, "test"),
    )  # fmt: skip


def day_and_minute(moment: datetime) -> str:
    """A moment in the zone of this machine, for people."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M %Z}"


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _link(settings: NodeSettings, kind: str) -> str | None:
    public = None if settings.web is None else settings.web.public_url
    return None if public is None else public + PAGES[kind]
