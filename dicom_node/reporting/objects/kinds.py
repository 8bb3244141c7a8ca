"""The kinds of objects that a report is sent as: their files, series and UIDs."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dicom_node.reporting.report_history import REPORT_FILE, file_digest
from dicom_node.settings.work import Destination
from dicom_node.uids import derived_uid

__all__ = [
    "NotAnalysed",
    "ObjectKind",
    "destination_files",
    "kept_objects",
    "object_uids",
    "wanted_kinds",
    "wanted_pages",
]


@dataclass(frozen=True)
class _Series:
    number: int
    description: str


class ObjectKind(StrEnum):
    """The objects beside the Structured Report; each is a series of its own."""

    PLANAR = "planar"
    SC = "sc"
    SLICES = "slices"
    PDF = "pdf"
    SEG = "seg"

    @property
    def file_name(self) -> str:
        """Name of its file in the report's folder."""
        return f"report.{self.value}.dcm"

    @property
    def series_number(self) -> int:
        """High, so that viewers do not list it between the series of images."""
        return _SERIES[self].number

    @property
    def series_description(self) -> str:
        """What a viewer lists it as."""
        return _SERIES[self].description


_SERIES = {
    ObjectKind.PLANAR: _Series(9302, "osteonode regions slice by slice (research use)"),
    ObjectKind.SC: _Series(9303, "osteonode picture (research use)"),
    ObjectKind.SLICES: _Series(9304, "osteonode regions in every slice (research use)"),
    ObjectKind.PDF: _Series(9305, "osteonode report (research use)"),
    ObjectKind.SEG: _Series(9306, "osteonode regions (research use)"),
}


class NotAnalysed(StrEnum):
    """The form of the page on a study that was meant for the node and was refused."""

    SC = "sc"
    PDF = "pdf"

    @property
    def kind(self) -> ObjectKind:
        """The kind of object that it is."""
        return ObjectKind(self.value)

    @property
    def file_name(self) -> str:
        """Name of its file in the refusal's folder."""
        return f"refusal.{self.value}.dcm"


def object_uids(kind: ObjectKind, identity: str) -> tuple[str, str]:
    """(series UID, SOP instance UID) of an object of the report with this identity."""
    return derived_uid(f"{kind}-series", identity), derived_uid(f"{kind}-instance", identity)


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
