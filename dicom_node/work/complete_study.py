"""A study that is complete: which of its files are assessed, and under which identity."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dicom_node.series.membership import Membership, SurveyRow
from dicom_node.series.survey import StudySurvey
from dicom_node.spool.spool import SpooledSeries, SpooledStudy
from dicom_node.spool.versions import instance_name, version_of
from dicom_node.study_facts import StudyHeader
from dicom_node.uids import content_id
from roi_extraction.anatomy import Finding

__all__ = ["CompleteStudy", "Hold", "complete_study", "doubts", "hold_of"]

Files = dict[str, list[str]]
"""File names without suffix, by the folder of the spool that they lie in."""


@dataclass(frozen=True)
class Hold:
    """Why a study is not assessed.

    Parameters
    ----------
    state
        ``refused``, or ``failed`` for one that an administrator must see to.
    code, reason
        Stable name of the reason, and words without a patient's values.
    """

    state: str
    code: str
    reason: str


@dataclass(frozen=True)
class CompleteStudy:
    """The files of a study that are assessed together.

    Parameters
    ----------
    key
        Of the study in the spool.
    identity
        Of the assessment: the same for the same content.
    names, segmentations
        Its images and its segmentations.
    hold
        Why it is not assessed; None if it is.
    header
        Whose it is.
    """

    key: str
    identity: str
    names: Files
    segmentations: Files
    hold: Hold | None = None
    header: StudyHeader = field(default_factory=StudyHeader)


def complete_study(study: SpooledStudy, survey: StudySurvey | None) -> CompleteStudy:
    """Choose the files that count.

    Parameters
    ----------
    study
        What the spool holds.
    survey
        What is in the files; None if they could not be read: then the newest versions count,
        and the identity is of their names alone.
    """
    if survey is None:
        newest = [_newest(folder) for folder in (*study.series, *study.segmentations)]
        images, objects = newest[: len(study.series)], newest[len(study.series) :]
        names = {folder.key: list(folder.names) for folder in images}
        segmentations = {folder.key: list(folder.names) for folder in objects}
        parts = [f"{folder.key}/{name}" for folder in newest for name in folder.names]
        return CompleteStudy(study.key, content_id(study.key, *sorted(parts)), names, segmentations)
    member = survey.membership
    counted = {_place(row.path) for row in member.counted}
    counted |= {_place(path) for path in survey.unreadable}
    return CompleteStudy(
        study.key,
        content_id(study.key, *sorted(_parts(member, survey.unreadable))),
        _chosen(study.series, counted),
        _chosen(study.segmentations, counted),
        hold_of(member),
        survey.header,
    )


def doubts(member: Membership) -> list[Finding]:
    """What a study waits for, and what its report warns of if it does not come."""
    found = []
    if member.foreign:
        found.append(
            Finding(
                "input.foreign_instances",
                f"{len(member.foreign)} of {len(member.foreign) + len(member.counted)} instances "
                f"are of another patient ({', '.join(member.elements)}) and were left out",
            )
        )
    if member.uncorrected:
        found.append(
            Finding(
                "input.partly_corrected",
                f"{member.corrected} instances came again with other patient or study data, "
                f"{member.uncorrected} of their series did not",
            )
        )
    return found


def hold_of(member: Membership) -> Hold | None:
    """Why a study must not be assessed; None if it may be."""
    if member.conflicting:
        return Hold(
            "failed",
            "input.conflicting_instance",
            f"{len(member.conflicting)} instances were received with different images under one "
            "UID; see and remove those that are wrong with: osteonode discard",
        )
    if member.mixed:
        return Hold(
            "refused",
            "input.patient_mismatch",
            f"the instances of the study are of different patients: {', '.join(member.elements)} "
            "differ, and no clear majority agrees; correct the images and send them again",
        )
    return None


def _parts(member: Membership, unreadable: Sequence[Path]) -> list[str]:
    """What the identity of an assessment depends on: all versions that count or contradict."""
    rows: list[SurveyRow] = [*member.counted, *member.foreign]
    rows += [row for group in member.conflicting for row in group]
    parts = {
        "/".join((row.series_uid, row.sop_instance_uid, *row.content, row.inherited))
        for row in rows
    }
    return [*parts, *("/".join(_place(path)) for path in unreadable)]


def _place(path: Path) -> tuple[str, str]:
    return path.parent.name, path.stem


def _chosen(folders: Sequence[SpooledSeries], counted: set[tuple[str, str]]) -> Files:
    chosen = {
        folder.key: [name for name in folder.names if (folder.key, name) in counted]
        for folder in folders
    }
    return {key: names for key, names in chosen.items() if names}


def _newest(folder: SpooledSeries) -> SpooledSeries:
    newest = {instance_name(n): n for n in sorted(folder.names, key=version_of)}
    return SpooledSeries(folder.key, tuple(sorted(newest.values())))
