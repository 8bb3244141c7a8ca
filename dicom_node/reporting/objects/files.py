"""The files of a report's objects: which a destination gets, and which are kept."""

from pathlib import Path

from dicom_node.reporting.objects.kinds import NotAnalysed, ObjectKind
from dicom_node.reporting.report_history import REPORT_FILE, file_digest
from dicom_node.settings.work import Destination

__all__ = ["destination_files", "kept_objects", "wanted_kinds", "wanted_pages"]


def destination_files(destination: Destination) -> tuple[str, ...]:
    """The files of a report that a destination gets, in the order in which they are sent."""
    files = {kind.value: kind.file_name for kind in ObjectKind}
    planar = destination.sr_profile == "planar"
    files["sr"] = ObjectKind.PLANAR.file_name if planar else REPORT_FILE
    return tuple(files[name] for name in destination.objects)


def wanted_kinds(destinations: tuple[Destination, ...]) -> frozenset[ObjectKind]:
    """The kinds of objects that at least one destination gets."""
    files = {name for destination in destinations for name in destination_files(destination)}
    return frozenset(kind for kind in ObjectKind if kind.file_name in files)


def wanted_pages(destinations: tuple[Destination, ...]) -> frozenset[NotAnalysed]:
    """The forms of the page on a refused scan that at least one destination gets."""
    return frozenset(NotAnalysed(d.not_analysed) for d in destinations if d.not_analysed)


def kept_objects(folder: Path) -> dict[str, str]:
    """The SHA-256 of each object that lies beside a report, by the name of its file."""
    paths = (folder / kind.file_name for kind in ObjectKind)
    return {path.name: file_digest(path) for path in paths if path.is_file()}
