"""What ``folder:PATH``, ``dimse:NAME``, ``dicomweb:NAME`` and a destination's name stand for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dicom_node.archive.folder_source import FolderSource
from dicom_node.archive.opening import open_archive
from dicom_node.archive.slots import ConnectionSlots
from dicom_node.archive.sources import SeriesSource
from dicom_node.archive.stow import stow
from dicom_node.errors import ScreeningInvalid
from dicom_node.sending.delivery import send
from dicom_node.sending.statuses import SUCCESS
from dicom_node.settings.archives import Archive
from dicom_node.settings.node import Destination, NodeSettings

__all__ = [
    "ReportDestination",
    "SourceName",
    "SourceOpener",
    "archive_of",
    "destination_of",
    "make_source",
]

INDEX_FILE = "folder-index.sqlite"
"""In the folder of a screening: what its folder tree holds."""

SourceOpener = Callable[
    ["SourceName", Archive | None, NodeSettings, Path, ConnectionSlots], SeriesSource
]
"""Opens a source by its name, its archive, the settings and the folder of the screening."""

KINDS = ("folder", "dimse", "dicomweb")


@dataclass(frozen=True)
class ReportDestination:
    """Where reports go, and what sends one file there and returns the status."""

    destination: Destination
    transmit: Callable[[bytes, Destination, str], int]


@dataclass(frozen=True)
class SourceName:
    """A source as it is written: its kind, and a path or the name of an archive."""

    kind: str
    rest: str

    @classmethod
    def of(cls, text: str) -> "SourceName":
        """Read a source.

        Raises
        ------
        ScreeningInvalid
            It is of no kind that exists, or names nothing.

        Examples
        --------
        >>> SourceName.of("dimse:pacs").rest
        'pacs'
        """
        kind, _, rest = text.partition(":")
        if kind not in KINDS or not rest:
            raise ScreeningInvalid(
                f"no source: {text}; give folder:PATH, or dimse:NAME or dicomweb:NAME with the "
                "name of an archive in the settings"
            )
        return cls(kind, str(Path(rest).expanduser().absolute()) if kind == "folder" else rest)

    def __str__(self) -> str:
        """As it is written."""
        return f"{self.kind}:{self.rest}"


def archive_of(name: SourceName, settings: NodeSettings) -> Archive | None:
    """The archive of a source; None for a folder.

    Raises
    ------
    ScreeningInvalid
        The settings have no such archive, or it speaks another language.
    """
    if name.kind == "folder":
        return None
    for archive in settings.archives:
        if archive.name == name.rest and getattr(archive, name.kind) is not None:
            return archive
    known = ", ".join(
        f"{'dimse' if archive.dimse else 'dicomweb'}:{archive.name}"
        for archive in settings.archives
    )
    raise ScreeningInvalid(f"the settings have no archive {name}; found: {known or 'none'}")


def destination_of(name: str | None, settings: NodeSettings) -> ReportDestination | None:
    """The destination of a name, or of ``dicomweb:NAME`` an archive that takes STOW-RS.

    Returns
    -------
    ReportDestination or None
        None for no name.

    Raises
    ------
    ScreeningInvalid
        The settings have no such destination or archive.
    """
    if name is None:
        return None
    if name.startswith("dicomweb:"):
        return _archive_destination(archive_of(SourceName.of(name), settings))
    for destination in settings.destinations:
        if destination.name == name:
            return ReportDestination(destination, send)
    known = ", ".join(destination.name for destination in settings.destinations)
    raise ScreeningInvalid(f"the settings have no destination {name}; found: {known or 'none'}")


def _archive_destination(archive: Archive | None) -> ReportDestination:
    """An archive as a destination that gets the Structured Report alone."""
    assert archive is not None
    assert archive.dicomweb is not None
    address = urlsplit(archive.dicomweb.url)
    default_port = 443 if address.scheme == "https" else 80
    described = Destination(
        name=archive.name,
        ae_title="STOW-RS",
        host=address.hostname or "",
        port=address.port or default_port,
        objects=("sr",),
    )

    def transmit(content: bytes, _destination: Destination, _calling_ae: str) -> int:
        stow(content, archive)
        return SUCCESS

    return ReportDestination(described, transmit)


def make_source(
    name: SourceName,
    archive: Archive | None,
    settings: NodeSettings,
    folder: Path,
    slots: ConnectionSlots,
) -> SeriesSource:
    """Open a source, for many threads.

    Parameters
    ----------
    name
        The source.
    archive
        As `archive_of` gives it.
    settings
        Of the node.
    folder
        Of the screening.
    slots
        How many connections to an archive may be used.
    """
    if archive is None:
        return FolderSource(Path(name.rest), folder / INDEX_FILE)
    return open_archive(archive, settings.listener.ae_title, slots)
