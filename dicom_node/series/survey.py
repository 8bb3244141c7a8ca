"""A first look at the series of a study: how many instances, and whether slices are missing."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dicom_node.errors import SeriesRefused
from dicom_node.series.geometry import stack_slices
from dicom_node.series.instances import Instance, scan_folder

__all__ = ["SeriesSurvey", "survey"]


@dataclass(frozen=True)
class SeriesSurvey:
    """One series in the spool; ``gap`` says in words where slices are missing, if any are."""

    study_uid: str
    series_uid: str
    instances: int
    gap: str = ""


def survey(paths: Sequence[Path]) -> list[SeriesSurvey]:
    """Read the headers of some files and count the instances of each series."""
    found, _ = scan_folder(paths)
    groups: dict[tuple[str, str], list[Instance]] = defaultdict(list)
    for instance in found:
        groups[instance.study_uid, instance.series_uid].append(instance)
    return [
        SeriesSurvey(study, series, len({i.sop_instance_uid for i in members}), _gap(members))
        for (study, series), members in sorted(groups.items())
    ]


def _gap(members: Sequence[Instance]) -> str:
    slices = [i for i in members if "LOCALIZER" not in i.image_type and i.modality == "CT"]
    try:
        stack_slices(list({i.sop_instance_uid: i for i in slices}.values()) if slices else [])
    except SeriesRefused as error:
        return str(error) if error.code == "series.missing_slices" else ""
    return ""
