"""Which received versions of a study's instances count, which are odd, which contradict another."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dicom_node.series.patients import Patient, common_patient, differing

__all__ = ["Membership", "SurveyRow", "decide"]

CLEAR_MAJORITY = (2, 3)
"""Share of instances, as a fraction, above which their patient counts as the study's."""


@dataclass(frozen=True)
class SurveyRow:
    """One received version of an instance.

    Parameters
    ----------
    path
        Its file.
    order
        Sorts the versions of an instance by when they came.
    series_uid, sop_instance_uid
        Of the instance.
    patient
        Who it is of; compared by `patients`.
    inherited, measured, pixels
        Digests: of the header as `content.HeaderDigests` has them, and of the pixels.
    """

    path: Path
    order: tuple[int, int]
    series_uid: str
    sop_instance_uid: str
    patient: Patient
    inherited: str
    measured: str
    pixels: str

    @property
    def content(self) -> tuple[str, str]:
        """What is measured on it: versions with the same can stand for each other."""
        return self.measured, self.pixels


@dataclass(frozen=True)
class Membership:
    """What of a study counts.

    Parameters
    ----------
    counted
        The newest version of each instance, without those that are set aside.
    conflicting
        The versions of each instance whose versions contradict each other in what is measured.
    foreign
        Those set aside, for they are of another patient than the clear majority.
    elements
        Keywords in which patients differ.
    mixed
        Whether the study has no clear patient and must not be assessed.
    corrected, uncorrected
        In series of which some instances came again with other patient or study data: how many
        did, and how many have yet other data than these.
    """

    counted: tuple[SurveyRow, ...]
    conflicting: tuple[tuple[SurveyRow, ...], ...] = ()
    foreign: tuple[SurveyRow, ...] = ()
    elements: tuple[str, ...] = ()
    mixed: bool = False
    corrected: int = 0
    uncorrected: int = 0


@dataclass
class _Series:
    rows: list[SurveyRow] = field(default_factory=list)
    corrected: set[str] = field(default_factory=set)
    odd: int = 0


def decide(rows: Sequence[SurveyRow]) -> Membership:
    """Decide what of a study counts.

    Of each instance the newest version counts, if all measure the same. Where more than two
    thirds of the study's instances, and of those of each series that is not odd as a whole, are
    of one patient, the others are set aside.

    Parameters
    ----------
    rows
        All versions of all instances of one study, in any order.
    """
    versions: dict[tuple[str, str], list[SurveyRow]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row.series_uid, row.sop_instance_uid, row.order)):
        versions[row.series_uid, row.sop_instance_uid].append(row)
    if not versions:
        return Membership(())
    conflicting = tuple(
        tuple(group) for group in versions.values() if len({row.content for row in group}) > 1
    )
    newest = [group[-1] for group in versions.values()]
    patient = common_patient([row.patient for row in newest])
    foreign = [row for row in newest if differing(patient, row.patient)]
    odd = {row.path for row in foreign}
    elements = {keyword for row in foreign for keyword in differing(patient, row.patient)}
    series: dict[str, _Series] = defaultdict(_Series)
    for (uid, _), group in versions.items():
        series[uid].rows.append(group[-1])
        series[uid].odd += group[-1].path in odd
        if group[-1].inherited != group[0].inherited:
            series[uid].corrected.add(group[-1].inherited)
    corrected, uncorrected = _corrections(list(series.values()))
    return Membership(
        counted=tuple(row for row in newest if row.path not in odd),
        conflicting=conflicting,
        foreign=tuple(foreign),
        elements=tuple(sorted(elements)),
        mixed=bool(foreign) and not _clear(len(foreign), len(newest), list(series.values())),
        corrected=corrected,
        uncorrected=uncorrected,
    )


def _clear(foreign: int, instances: int, series: Sequence[_Series]) -> bool:
    """Whether the majority is clear, in the study and in each series that has some of it."""
    parts = [(one.odd, len(one.rows)) for one in series if one.odd < len(one.rows)]
    part, whole = CLEAR_MAJORITY
    return all(
        whole * (total - odd) > part * total for odd, total in [(foreign, instances), *parts]
    )


def _corrections(series: Sequence[_Series]) -> tuple[int, int]:
    """How many instances of series that are being corrected are, and how many are not yet."""
    corrected = uncorrected = 0
    for one in series:
        done = sum(row.inherited in one.corrected for row in one.rows)
        if one.corrected and done < len(one.rows):
            corrected += done
            uncorrected += len(one.rows) - done
    return corrected, uncorrected
