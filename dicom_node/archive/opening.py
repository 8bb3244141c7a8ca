"""Opens an archive by its settings, whatever it speaks."""

from dicom_node.archive.dicomweb import DicomwebSource
from dicom_node.archive.dimse import DimseSource
from dicom_node.archive.slots import ConnectionSlots
from dicom_node.archive.sources import SeriesSource
from dicom_node.errors import SettingsInvalid
from dicom_node.receiving.pynetdicom_inside import missing_internals
from dicom_node.settings.archives import Archive

__all__ = ["open_archive"]


def open_archive(
    archive: Archive, calling_ae: str, slots: ConnectionSlots | None = None
) -> SeriesSource:
    """The source of an archive; nothing is asked of it yet.

    Parameters
    ----------
    archive
        Its settings.
    calling_ae
        AE title of this node, for an archive that speaks DIMSE.
    slots
        How many connections it may use; by default those of the settings.

    Raises
    ------
    SettingsInvalid
        A certificate, key or CA cannot be used, or the release of pynetdicom has changed too much.
    """
    slots = slots or ConnectionSlots(archive.max_connections)
    if archive.dicomweb is not None:
        return DicomwebSource(archive, archive.dicomweb, slots)
    assert archive.dimse is not None
    missing = missing_internals()
    if missing:
        raise SettingsInvalid(
            f"this release of pynetdicom lacks {', '.join(missing)}; install the one that "
            "requirements.lock names"
        )
    return DimseSource(archive, archive.dimse, calling_ae, slots)
