"""Builders of DICOM input for tests: plain series, and what hospitals send instead."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from dicom_node.series.instances import Instance
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from roi_extraction.volume import CtVolume

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


def instances(count: int = 80, step_mm: float = 3.0, **changes: Any) -> list[Instance]:
    """Headers of a plain axial 120 kVp series from feet to head."""
    first = Instance(
        path=Path("none"), sop_class_uid=CT, sop_instance_uid="1.2.3.4.0", study_uid="1.2.3",
        series_uid="1.2.3.4", modality="CT", image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
        transfer_syntax_uid=EXPLICIT, lossy="", kvp=120.0, slice_thickness_mm=3.0,
        pixel_spacing_mm=(0.9, 0.9), rows=64, columns=64,
        orientation=np.array([[1.0, 0, 0], [0, 1.0, 0]]), position_mm=np.zeros(3),
        instance_number=1, acquisition_number=1, frames=1, kernel="STANDARD", contrast_agent="",
        manufacturer="GE", model="Revolution", series_description="", has_rescale=True, sex="F",
        age_years=65.0, patient_position="HFS",
    )  # fmt: skip
    return [
        replace(
            first,
            sop_instance_uid=f"1.2.3.4.{k + 1}",
            position_mm=np.array([0.0, 0.0, k * step_mm]),
            **changes,
        )
        for k in range(count)
    ]


def plain_volume(slices: int = 40, size: int = 32, step_mm: float = 3.0) -> CtVolume:
    """A volume in which every voxel tells its own index: no two are alike nearby."""
    hu = np.arange(slices * size * size, dtype=np.int64).reshape(slices, size, size) % 1500 - 500
    affine = np.array(
        [[0, 0, 0.8, -20.0], [0, 0.7, 0, -30.0], [step_mm, 0, 0, 100.0], [0, 0, 0, 1.0]]
    )
    return CtVolume(hu.astype(np.int16), affine, step_mm)


def plain_series(folder: Path, slices: int = 40, **header: Any) -> list[Path]:
    """A small written series, files in order from feet to head."""
    return write_ct_series(plain_volume(slices), folder, InventedHeader(seed="plain", **header))


def edit(path: Path, **values: Any) -> None:
    """Set, or with None delete, elements of a written file."""
    dataset = pydicom.dcmread(path)
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(path)


def flip(path: Path, *, rows: bool, columns: bool) -> None:
    """Turn a written image over in its plane, with the orientation that says so."""
    dataset = pydicom.dcmread(path)
    pixels = dataset.pixel_array
    orientation = np.reshape(np.array(dataset.ImageOrientationPatient, float), (2, 3))
    position = np.array(dataset.ImagePositionPatient, float)
    row_mm, column_mm = map(float, dataset.PixelSpacing)
    if columns:
        position = position + orientation[0] * column_mm * (dataset.Columns - 1)
        orientation[0] *= -1
        pixels = pixels[:, ::-1]
    if rows:
        position = position + orientation[1] * row_mm * (dataset.Rows - 1)
        orientation[1] *= -1
        pixels = pixels[::-1]
    edit(
        path,
        PixelData=np.ascontiguousarray(pixels).tobytes(),
        ImageOrientationPatient=[float(v) for v in orientation.ravel()],
        ImagePositionPatient=[pydicom.valuerep.format_number_as_ds(float(v)) for v in position],
    )
