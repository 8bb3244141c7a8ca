"""What the reader should know of the files that were given: what was left out, what was chosen."""

from collections.abc import Sequence

from dicom_node.series.instances import SEGMENTATION_STORAGE, Instance, UnreadableFile
from dicom_node.series.selection import EligibleSeries, RefusedSeries, Selection
from roi_extraction import Finding

__all__ = [
    "choice_findings",
    "file_findings",
    "foreign_findings",
    "no_series",
    "part_segmentations",
]


def part_segmentations(found: Sequence[Instance]) -> tuple[list[Instance], list[Instance]]:
    """The images and the DICOM SEGs; without any image the SEGs count as images and are refused."""
    images = [item for item in found if item.sop_class_uid not in SEGMENTATION_STORAGE]
    if not images:
        return list(found), []
    return images, [item for item in found if item.sop_class_uid in SEGMENTATION_STORAGE]


def foreign_findings(
    segmentations: Sequence[Instance], images: Sequence[Instance]
) -> list[Finding]:
    """The warning of DICOM SEGs that reference none of the images' series."""
    known = {item.series_uid for item in images}
    foreign = [item for item in segmentations if known.isdisjoint(item.referenced_series_uids)]
    if not foreign:
        return []
    return [
        Finding(
            "input.foreign_segmentation",
            f"{len(foreign)} DICOM SEGs reference none of the series that were given",
        )
    ]


def no_series(
    instances: Sequence[Instance], unreadable: Sequence[UnreadableFile], selection: Selection
) -> RefusedSeries:
    """Why none of the files can be assessed; the UIDs are empty where they are of no one series."""
    if not instances:
        reasons = ", ".join(sorted({item.reason for item in unreadable}))
        found = f"{len(unreadable)} files, none usable ({reasons})" if unreadable else "no files"
        return RefusedSeries(
            "",
            "",
            "input.no_dicom",
            f"found {found}; give a folder with the slices of a CT series",
        )
    if len(selection.refused) == 1:
        return selection.refused[0]
    reasons = "; ".join(f"{item.message} [{item.code}]" for item in selection.refused)
    return RefusedSeries(
        selection.refused[0].study_uid,
        "",
        "input.no_eligible_series",
        f"none of {len(selection.refused)} series can be assessed: {reasons}",
    )


def file_findings(unreadable: Sequence[UnreadableFile]) -> list[Finding]:
    """The warning of files that are no DICOM or are damaged."""
    if not unreadable:
        return []
    reasons = sorted({item.reason for item in unreadable})
    return [
        Finding("input.unreadable_files", f"{len(unreadable)} files left out: {', '.join(reasons)}")
    ]


def choice_findings(
    refused: Sequence[RefusedSeries], others: Sequence[EligibleSeries]
) -> list[Finding]:
    """Which better series were refused, and which others could have been assessed."""
    found = []
    tried = {item.series_uid for item in refused}
    for item in refused:
        text = f"series {item.series_uid} comes first by the rules, but: {item.message}"
        found.append(Finding("input.better_series_refused", f"{text} [{item.code}]"))
    rest = [series for series in others if series.series_uid not in tried]
    if rest:
        names = ", ".join(series.series_uid for series in rest)
        found.append(
            Finding(
                "input.other_eligible_series",
                f"{len(rest)} other series could be assessed too: {names}; the order is by kernel, "
                "then by slices nearest to 3 mm, then without contrast agent",
            )
        )
    return found
