import copy
import subprocess
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from dicom_node.reporting.objects.kinds import ObjectKind, object_uids
from dicom_node.reporting.objects.palette import PALETTE, palette_indices
from dicom_node.reporting.objects.reading_picture import reading_picture, slices_picture
from dicom_node.reporting.objects.secondary_capture import secondary_capture
from dicom_node.reporting.report_model import RESEARCH_USE
from tests.picture_builders import Drawn, drawn_case

MADE = datetime(2026, 3, 4, 5, 6, 7, 890, tzinfo=UTC)

MOST_BYTES = 1_500_000


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return drawn_case(tmp_path_factory.mktemp("series"))


@pytest.fixture(scope="module")
def drawn(case: Drawn) -> Image.Image:
    return reading_picture(case.report, case.header, case.volume, case.features)


def encoded(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_the_same_arguments_give_the_same_bytes_below_the_limit(
    case: Drawn, drawn: Image.Image
) -> None:
    first, second = (
        encoded(secondary_capture(drawn, ObjectKind.SC, case.header, "id-1", MADE))
        for _ in range(2)
    )
    assert first == second
    assert len(first) < MOST_BYTES
    later = secondary_capture(drawn, ObjectKind.SC, case.header, "id-1", MADE + timedelta(days=1))
    assert encoded(later) != first


def test_the_palette_gives_the_picture_back(case: Drawn, drawn: Image.Image) -> None:
    document = encoded(secondary_capture(drawn, ObjectKind.SC, case.header, "id-1"))
    read = pydicom.dcmread(BytesIO(document))
    assert read.PhotometricInterpretation == "PALETTE COLOR"
    assert (read.Columns, read.Rows) == drawn.size
    shown = apply_color_lut(read.pixel_array, read)
    np.testing.assert_array_equal(shown >> 8, PALETTE[palette_indices(drawn)])
    off = np.abs((shown >> 8).astype(int) - np.asarray(drawn)).max(axis=-1)
    assert off.mean() < 1.0


def test_uids_follow_from_kind_and_identity(case: Drawn, drawn: Image.Image) -> None:
    found: set[str] = set()
    for kind in (ObjectKind.SC, ObjectKind.SLICES):
        for identity in ("id-1", "id-2"):
            made = secondary_capture(drawn, kind, case.header, identity)
            uids = (made.SeriesInstanceUID, made.SOPInstanceUID)
            assert uids == object_uids(kind, identity)
            assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID
            assert made.SeriesNumber == kind.series_number
            assert made.SeriesDescription == kind.series_description
            found.update(uids)
    assert len(found) == 8


def test_patient_and_study_are_those_of_the_images(case: Drawn, drawn: Image.Image) -> None:
    header = copy.deepcopy(case.header)
    header.PatientName = "Yamada^Tarou=山田^太郎"
    header.StudyDescription = "Lendenwirbelsäule"
    header.AccessionNumber = "ACC-1"
    header.PatientAge = "068Y"
    document = encoded(secondary_capture(drawn, ObjectKind.SC, header, "id-1"))
    read = pydicom.dcmread(BytesIO(document))
    assert read.SpecificCharacterSet == "ISO_IR 192"
    for keyword in (
        "PatientName", "PatientID", "PatientAge", "PatientSex", "StudyInstanceUID", "StudyDate",
        "StudyDescription", "AccessionNumber",
    ):  # fmt: skip
        assert read[keyword].value == header[keyword].value
    assert read.SeriesInstanceUID != header.SeriesInstanceUID


def test_it_says_that_it_is_drawn_by_software_and_for_research(
    case: Drawn, drawn: Image.Image
) -> None:
    made = secondary_capture(drawn, ObjectKind.SC, case.header, "id-1", MADE)
    assert made.BurnedInAnnotation == "YES"
    assert made.ConversionType == "WSD"
    assert made.ImageType[0] == "DERIVED"
    assert RESEARCH_USE in made.DerivationDescription
    assert made.ImageComments == RESEARCH_USE
    assert made.Manufacturer == "osteonode project"
    assert made.ManufacturerModelName == "osteonode"
    assert made.SoftwareVersions
    local = MADE.astimezone()
    assert str(made.ContentDate) == str(made.SeriesDate) == f"{local:%Y%m%d}"
    assert str(made.ContentTime) == f"{local:%H%M%S}"
    assert made.TimezoneOffsetFromUTC == f"{local:%z}"


@pytest.mark.peers
@pytest.mark.parametrize("kind", [ObjectKind.SC, ObjectKind.SLICES])
def test_dciodvfy_reports_no_error(case: Drawn, tmp_path: Path, kind: ObjectKind) -> None:
    picture = slices_picture(case.report, case.header, case.volume, case.features)
    path = tmp_path / kind.file_name
    secondary_capture(picture, kind, case.header, "id-1").save_as(path, enforce_file_format=True)
    result = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True)
    assert "Error" not in result.stderr, result.stderr
    assert result.returncode == 0
