"""Make the objects beside the Structured Report: each checked, or left out with a reason."""

import hashlib
from collections.abc import Callable, Mapping
from io import BytesIO

import pydicom
from PIL.Image import Image
from pydicom.dataset import Dataset

from dicom_node.errors import ReportInvalid
from dicom_node.reporting.checks.object_check import check_object
from dicom_node.reporting.checks.report_check import check_report
from dicom_node.reporting.checks.report_geometry import Source
from dicom_node.reporting.objects.encoding import encoded_file
from dicom_node.reporting.objects.kinds import ObjectKind

__all__ = ["ObjectMaker"]

PNG_EFFORT = 2
"""Of 9: a third of the CPU time of Pillow's own 6, and 6 % more bytes."""


class ObjectMaker:
    """Makes the objects of one report.

    One that cannot be made, or does not pass its check, is left out: it must not keep the
    Structured Report from the reader.

    Parameters
    ----------
    identity
        Of the report; seeds the UIDs.
    sources
        Headers of all images of the measured series, by SOP Instance UID.
    verified_by
        Name of the reader whose word the report is, as in DICOM; None if it is the program's alone.
    """

    def __init__(
        self, identity: str, sources: Mapping[str, Source], verified_by: str | None = None
    ) -> None:
        self._verified_by = verified_by
        self._identity = identity
        self._sources = sources
        self.files: dict[str, bytes] = {}
        self.unmade: dict[str, str] = {}

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each object that was made, by the name of its file."""
        return {name: hashlib.sha256(file).hexdigest() for name, file in self.files.items()}

    def make(
        self, kind: ObjectKind, build: Callable[[], Dataset], file_name: str = ""
    ) -> Dataset | None:
        """Make one object; None, with the reason in ``unmade``, if that fails.

        Parameters
        ----------
        kind
            What it is.
        build
            Builds it.
        file_name
            Name of its file; that of its kind if empty.
        """
        try:
            built = build()
            content = encoded_file(built)
            document = pydicom.dcmread(BytesIO(content))
            if kind is ObjectKind.PLANAR:
                check_report(document, self._sources, verified_by=self._verified_by)
            else:
                check_object(document, kind, self._identity, self._sources)
        except ReportInvalid as error:
            self.unmade[kind] = error.code
            return None
        except Exception as error:  # a fault in drawing or in foreign code
            self.unmade[kind] = f"unforeseen {type(error).__name__}"
            return None
        self.files[file_name or kind.file_name] = content
        return built

    def draw(self, picture: Callable[[], Image]) -> bytes:
        """A picture as PNG; empty, with the reason in ``unmade``, if it cannot be drawn."""
        written = BytesIO()
        try:
            picture().save(written, "PNG", compress_level=PNG_EFFORT)
        except Exception as error:  # a fault in drawing must not keep the report back
            self.unmade["picture"] = f"unforeseen {type(error).__name__}"
            return b""
        return written.getvalue()
