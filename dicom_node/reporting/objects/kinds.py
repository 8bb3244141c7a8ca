"""The kinds of objects that a report is sent as: their files, series and UIDs."""

from dataclasses import dataclass
from enum import StrEnum

from dicom_node.uids import derived_uid

__all__ = ["NotAnalysed", "ObjectKind", "object_uids"]


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
