"""What of a study was set aside or stands in conflict, and how it is removed."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from dicom_node.records.audit import AuditTrail
from dicom_node.records.study_events import COMMAND_LINE, StudyEvent, note_event
from dicom_node.series.membership import Membership
from dicom_node.series.survey import StudySurvey
from dicom_node.spool.spool import ArrivedStudy, Spool
from dicom_node.spool.versions import sender
from dicom_node.uids import content_id

__all__ = ["Item", "discard_items", "removable_items"]


@dataclass(frozen=True)
class Item:
    """Received instances that may be removed together.

    Parameters
    ----------
    id
        Names it, as long as nothing is added to it.
    kind
        ``conflict`` for one side of a contradiction, ``foreign`` for instances of another patient.
    paths
        The files.
    sender
        AE title of the peer that sent them.
    first, last
        When they came (UTC).
    """

    id: str
    kind: str
    paths: tuple[Path, ...]
    sender: str
    first: datetime
    last: datetime


def removable_items(
    spool: Spool, study_key: str, survey: Callable[[list[Path]], StudySurvey]
) -> list[Item]:
    """What of a study was set aside or stands in conflict.

    Parameters
    ----------
    spool
        Where the received instances lie.
    study_key
        Of the study.
    survey
        Looks through its files.
    """
    study: ArrivedStudy | None = spool.find(study_key)
    if study is None:
        return []
    content = spool.load(study)
    paths = [path for folder in content.series for path in spool.paths(folder.key, folder.names)]
    for folder in content.segmentations:
        paths += spool.segmentation_paths(folder.key, folder.names)
    return _items(survey(paths).membership)


def discard_items(
    spool: Spool,
    audit: AuditTrail,
    database: sa.Engine,
    study_key: str,
    items: Sequence[Item],
    *,
    overwrite: bool,
    who: str = COMMAND_LINE,
) -> None:
    """Remove some items; the study is looked at again.

    Parameters
    ----------
    spool
        Where they lie.
    audit
        Where it is recorded.
    database
        With the node's own tables.
    study_key
        Of the study.
    items
        As `removable_items` gave them.
    overwrite
        Whether their bytes are zeroed, on the disk, before.
    who
        Who asked.
    """
    work = ",".join(item.id for item in items)
    detail = f"{sum(len(item.paths) for item in items)} instances"
    with database.begin() as connection:
        note_event(connection, study_key, StudyEvent.DISCARDED, work, detail, who)
    audit.discarded(study_key, {item.id: len(item.paths) for item in items})
    spool.discard(study_key, [p for item in items for p in item.paths], overwrite=overwrite)


def _items(member: Membership) -> list[Item]:
    """Conflicting versions by what they are and who sent them, odd instances by series."""
    groups: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for versions in member.conflicting:
        for row in versions:
            order = str(row.order[0])
            groups["conflict", row.path.parent.name, order, sender(row.path)].append(row.path)
    contradicted = {row.path for versions in member.conflicting for row in versions}
    for row in member.foreign:
        if row.path not in contradicted:
            groups["foreign", row.path.parent.name, "", sender(row.path)].append(row.path)
    return [_item(group, sorted(paths)) for group, paths in sorted(groups.items())]


def _item(group: tuple[str, ...], paths: Sequence[Path]) -> Item:
    times = [path.stat().st_mtime for path in paths]
    return Item(
        content_id(*group, *(path.name for path in paths))[:12],
        group[0],
        tuple(paths),
        group[-1],
        datetime.fromtimestamp(min(times), UTC),
        datetime.fromtimestamp(max(times), UTC),
    )
