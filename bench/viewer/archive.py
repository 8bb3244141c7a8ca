"""Answer what a viewer asks of a DICOMweb server, from files (PS3.18, read only)."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame

from bench.viewer.page import Answer

__all__ = ["FolderArchive"]

BULK = {"PixelData": "7FE00010", "EncapsulatedDocument": "00420011"}
"""What metadata refers to by an address instead of holding it."""

STUDY_LEVEL = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyDescription", "StudyID",
    "AccessionNumber", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
)  # fmt: skip
SERIES_LEVEL = (
    "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "SeriesDate",
    "SeriesTime", "Modality",
)  # fmt: skip

NOT_FOUND = Answer(404, "text/plain", b"not found")


class FolderArchive:
    """The instances of some files: queries for all studies, metadata, frames, whole instances.

    Parameters
    ----------
    paths
        Complete DICOM files. Of those with the same SOP Instance UID the first counts.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths: dict[str, Path] = {}
        self._headers: list[Dataset] = []
        for path in paths:
            header = pydicom.dcmread(path, stop_before_pixels=True)
            if header.SOPInstanceUID not in self._paths:
                self._paths[header.SOPInstanceUID] = path
                self._headers.append(header)

    @property
    def studies(self) -> list[str]:
        """The Study Instance UIDs, in the order of the files."""
        return list(dict.fromkeys(str(header.StudyInstanceUID) for header in self._headers))

    def get(self, path: str, query: str, _accept: str) -> Answer:
        """Answer a GET request; ``path`` begins after the service's root."""
        match path.strip("/").split("/"):
            case ["studies"]:
                wanted = parse_qs(query).get("StudyInstanceUID", [",".join(self.studies)])
                return self._list("StudyInstanceUID", STUDY_LEVEL, wanted[0].split(","))
            case ["studies", study, "series"]:
                return self._list("SeriesInstanceUID", SERIES_LEVEL, [study])
            case ["studies", study, "series", series, "metadata"]:
                members = [
                    header
                    for header in self._headers
                    if (header.StudyInstanceUID, header.SeriesInstanceUID) == (study, series)
                ]
                return _json([self._metadata(header) for header in members])
            case ["studies", _, "series", _, "instances", uid, *rest] if uid in self._paths:
                return self._instance(self._paths[uid], rest)
        return NOT_FOUND

    def _list(self, key: str, keywords: tuple[str, ...], studies: list[str]) -> Answer:
        """One entry for each study or series, with the modalities and numbers it holds."""
        chosen = [header for header in self._headers if header.StudyInstanceUID in studies]
        entries = []
        for uid in dict.fromkeys(str(header[key].value) for header in chosen):
            members = [header for header in chosen if header[key].value == uid]
            entry = Dataset()
            for keyword in keywords:
                if keyword in members[0]:
                    entry[keyword] = members[0][keyword]
            if key == "StudyInstanceUID":
                entry.ModalitiesInStudy = sorted({str(m.Modality) for m in members})
                entry.NumberOfStudyRelatedInstances = len(members)
            else:
                entry.NumberOfSeriesRelatedInstances = len(members)
            entries.append(entry.to_json_dict())
        return _json(entries)

    def _metadata(self, header: Dataset) -> dict[str, Any]:
        dataset = pydicom.dcmread(self._paths[header.SOPInstanceUID], defer_size=1024)
        held = {keyword: dataset.get_item(keyword).VR for keyword in BULK if keyword in dataset}
        for keyword in held:
            del dataset[keyword]
        found: dict[str, Any] = dataset.to_json_dict(bulk_data_threshold=2**31)
        for keyword, vr in held.items():
            tag = BULK[keyword]
            within = f"series/{dataset.SeriesInstanceUID}/instances/{dataset.SOPInstanceUID}"
            found[tag] = {"vr": vr, "BulkDataURI": f"{within}/bulkdata/{tag}"}
        return found

    def _instance(self, path: Path, rest: list[str]) -> Answer:
        match rest:
            case []:
                return _multipart("application/dicom", path.read_bytes())
            case ["frames", number] if number.isdigit():
                dataset = pydicom.dcmread(path)
                syntax = dataset.file_meta.TransferSyntaxUID
                content_type = f"application/octet-stream; transfer-syntax={syntax}"
                return _multipart(content_type, _frame(dataset, int(number) - 1))
            case ["bulkdata", tag] if tag in BULK.values():
                return _multipart("application/octet-stream", pydicom.dcmread(path)[tag].value)
        return NOT_FOUND


def _frame(dataset: Dataset, index: int) -> bytes:
    """One frame as it is encoded, of images whose frames end on whole bytes."""
    frames = int(dataset.get("NumberOfFrames") or 1)
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        return get_frame(dataset.PixelData, index, number_of_frames=frames)
    size = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated // 8
    return bytes(dataset.PixelData[index * size : (index + 1) * size])


def _json(value: object) -> Answer:
    return Answer(200, "application/dicom+json", json.dumps(value).encode())


def _multipart(content_type: str, content: bytes) -> Answer:
    """A single part; DICOMweb answers requests for bytes so."""
    boundary = "osteonode-part"
    head = f"--{boundary}\r\nContent-Type: {content_type}\r\n\r\n".encode()
    kind = content_type.partition(";")[0]
    return Answer(
        200,
        f'multipart/related; type="{kind}"; boundary={boundary}',
        head + content + f"\r\n--{boundary}--\r\n".encode(),
    )
