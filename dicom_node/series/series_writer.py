"""Write a volume as a CT series whose header says that it is invented."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dicom_node.uids import derived_uid
from roi_extraction.volume import CtVolume

__all__ = ["InventedHeader", "write_ct_series"]

RESCALE_INTERCEPT = -1024


@dataclass(frozen=True)
class InventedHeader:
    """The header values that a volume without DICOM header is given.

    ``seed`` makes the UIDs: the same seed gives the same series.
    """

    seed: str
    patient_id: str = "PHANTOM"
    patient_name: str = "Phantom^Osteonode"
    sex: str = "F"
    age_years: int | None = 65
    kvp: float | None = 120.0
    kernel: str = "STANDARD"
    contrast_agent: str = ""
    description: str = "invented header, not a patient"
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")


def write_ct_series(volume: CtVolume, folder: Path, header: InventedHeader) -> list[Path]:
    """Write one file a slice, numbered from head to feet as scanners do.

    Parameters
    ----------
    volume
        int16 HU, shape (slices, rows, columns); written as it is, its values limited to 3071 HU.
    folder
        Made if it does not exist.
    header
        What the header says.

    Returns
    -------
    list of Path
        The files in the order of ``volume``'s slices, from feet to head.
    """
    folder.mkdir(parents=True, exist_ok=True)
    row_mm, column_mm = (float(value) for value in volume.spacing_mm[1:])
    orientation = [
        *(volume.affine[:3, 2] / column_mm),
        *(volume.affine[:3, 1] / row_mm),
    ]
    study_uid = derived_uid("invented-study", header.seed)
    series_uid = derived_uid("invented-series", header.seed)
    count = volume.shape[0]
    paths = []
    for index in range(count):
        dataset = _common(header, study_uid, series_uid)
        dataset.SOPInstanceUID = derived_uid("invented-instance", header.seed, str(index))
        dataset.InstanceNumber = count - index
        dataset.ImagePositionPatient = [
            pydicom.valuerep.format_number_as_ds(float(v)) for v in volume.to_lps([index, 0, 0])
        ]
        dataset.ImageOrientationPatient = [
            pydicom.valuerep.format_number_as_ds(float(v)) for v in orientation
        ]
        dataset.PixelSpacing = [
            pydicom.valuerep.format_number_as_ds(v) for v in (row_mm, column_mm)
        ]
        dataset.SliceThickness = pydicom.valuerep.format_number_as_ds(volume.slice_thickness_mm)
        dataset.Rows, dataset.Columns = volume.shape[1:]
        stored = np.clip(np.rint(volume.hu[index]), RESCALE_INTERCEPT, 3071) - RESCALE_INTERCEPT
        dataset.PixelData = stored.astype("<u2").tobytes()
        path = folder / f"{count - index:04d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _common(header: InventedHeader, study_uid: str, series_uid: str) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CTImageStorage
    dataset.StudyInstanceUID = study_uid
    dataset.SeriesInstanceUID = series_uid
    dataset.FrameOfReferenceUID = derived_uid("invented-frame", header.seed)
    dataset.ImageType = list(header.image_type)
    now = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
    for name in ("Study", "Series", "Acquisition", "Content"):
        setattr(dataset, f"{name}Date", now.strftime("%Y%m%d"))
        setattr(dataset, f"{name}Time", now.strftime("%H%M%S"))
    dataset.Modality = "CT"
    dataset.Manufacturer = "osteonode"
    dataset.ManufacturerModelName = "invented header"
    dataset.PatientName = header.patient_name
    dataset.PatientID = header.patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = header.sex
    if header.age_years is not None:
        dataset.PatientAge = f"{header.age_years:03d}Y"
    dataset.StudyID = "1"
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    dataset.PatientPosition = "HFS"
    dataset.PositionReferenceIndicator = ""
    dataset.SeriesNumber = 1
    dataset.SeriesDescription = header.description
    dataset.AcquisitionNumber = 1
    dataset.BodyPartExamined = "LSPINE"
    if header.kvp is not None:
        dataset.KVP = pydicom.valuerep.format_number_as_ds(header.kvp)
    dataset.ConvolutionKernel = header.kernel
    if header.contrast_agent:
        dataset.ContrastBolusAgent = header.contrast_agent
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 16
    dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept = RESCALE_INTERCEPT
    dataset.RescaleSlope = 1
    dataset.RescaleType = "HU"
    return dataset
