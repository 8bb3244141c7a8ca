"""Whom the settings name, and a test notice to each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from dicom_node.notices.answers import NotTaken, trusting
from dicom_node.notices.mail import send_mail
from dicom_node.notices.notice import Notice, trial
from dicom_node.notices.webhook import post
from dicom_node.settings.node import NodeSettings
from dicom_node.settings.notices import Notices

__all__ = ["NoticeTarget", "TrialAnswer", "check_notice_files", "notice_targets", "try_targets"]


@dataclass(frozen=True)
class NoticeTarget:
    """Somebody who gets notices.

    Parameters
    ----------
    name
        As in `Notices.target_names`.
    send
        Sends a notice and gives the answer, or raises `NotTaken`.
    seconds
        How long that takes at most, but for the resolution of its name.
    """

    name: str
    send: Callable[[Notice], str]
    seconds: float


@dataclass(frozen=True)
class TrialAnswer:
    """What a target answered to a test notice, and whether it took it."""

    target: str
    taken: bool
    answer: str


def notice_targets(notices: Notices) -> tuple[NoticeTarget, ...]:
    """All targets, in the order of their names in the settings."""
    sends: list[tuple[Callable[[Notice], str], float]] = [
        (partial(post, webhook), webhook.timeout_seconds) for webhook in notices.webhooks
    ]
    if notices.mail is not None:
        sends.append((partial(send_mail, notices.mail), notices.mail.timeout_seconds))
    pairs = zip(notices.target_names, sends, strict=True)
    return tuple(NoticeTarget(name, send, seconds) for name, (send, seconds) in pairs)


def check_notice_files(notices: Notices) -> None:
    """Read the authorities that the settings name.

    Raises
    ------
    SettingsInvalid
        One cannot be used.
    """
    for webhook in notices.webhooks:
        trusting(webhook.ca, f"webhook {webhook.name}")
    if notices.mail is not None:
        trusting(notices.mail.ca, "mail")


def try_targets(settings: NodeSettings) -> Iterator[TrialAnswer]:
    """Send a test notice to each target, one after the other."""
    if settings.notices is None:
        return
    notice = trial(settings)
    for target in notice_targets(settings.notices):
        try:
            yield TrialAnswer(target.name, True, target.send(notice))
        except NotTaken as error:
            yield TrialAnswer(target.name, False, str(error))
