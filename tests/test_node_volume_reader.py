from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest

from dicom_node.decoding.plane_reader import read_plane
from dicom_node.errors import SeriesRefused
from dicom_node.series.geometry import stack_slices
from dicom_node.series.instances import scan_folder
from dicom_node.series.selection import check_series
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from dicom_node.series.volume_reader import read_volume
from dicom_node.settings.node import Acquisition
from roi_extraction.volume import CtVolume
from tests.ct_builders import gantry_tilted, turn
from tests.dicom_builders import edit, flip, plain_series, plain_volume


def read(folder: Path) -> CtVolume:
    found, _ = scan_folder(folder.iterdir())
    return read_volume(check_series(found, Acquisition()))


def test_written_series_reads_back_exactly(tmp_path: Path) -> None:
    plain_series(tmp_path)
    volume, expected = read(tmp_path), plain_volume()
    np.testing.assert_array_equal(volume.hu, expected.hu)
    np.testing.assert_allclose(volume.affine, expected.affine, atol=1e-6)


@pytest.mark.parametrize(
    ("flip_rows", "flip_columns"),
    [(True, True), (True, False), (False, True)],
    ids=["prone", "rows", "columns"],
)
def test_flipped_images_give_the_same_volume(
    tmp_path: Path, flip_rows: bool, flip_columns: bool
) -> None:
    expected = plain_volume()
    for path in plain_series(tmp_path):
        flip(path, rows=flip_rows, columns=flip_columns)
    volume = read(tmp_path)
    np.testing.assert_array_equal(volume.hu, expected.hu)
    np.testing.assert_allclose(volume.affine, expected.affine, atol=1e-6)


def test_padding_becomes_air(tmp_path: Path) -> None:
    for path in plain_series(tmp_path):
        dataset = pydicom.dcmread(path)
        dataset.add_new("PixelPaddingValue", "US", 1024 + 100)
        dataset.save_as(path)
    hu, expected = read(tmp_path).hu, plain_volume().hu
    assert (hu[expected == 100] == -1024).all()
    np.testing.assert_array_equal(hu[expected != 100], expected[expected != 100])


def test_truncated_pixels_are_refused(tmp_path: Path) -> None:
    path = plain_series(tmp_path)[7]
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(SeriesRefused, match="slice 8") as refusal:
        read(tmp_path)
    assert refusal.value.code == "series.unreadable_pixels"


def test_pixels_in_another_unit_are_refused(tmp_path: Path) -> None:
    for path in plain_series(tmp_path):
        edit(path, RescaleType="OD")
    with pytest.raises(SeriesRefused, match="OD"):
        read(tmp_path)


def axial(folder: Path) -> None:
    plain_series(folder)


def tilted(folder: Path) -> None:
    volume, _ = gantry_tilted(plain_volume(), None, 7.0)
    write_ct_series(volume, folder, InventedHeader(seed="tilted"))


def reversed_order(folder: Path) -> None:
    for number, path in enumerate(plain_series(folder)):
        edit(path, InstanceNumber=number + 1)
        flip(path, rows=True, columns=False)
        path.rename(folder / f"{number:04d}.reversed")


def rotated(folder: Path) -> None:
    plain = plain_volume()
    volume = CtVolume(plain.hu, turn(plain, (4.0, 3.0, 12.0)) @ plain.affine, 3.0)
    write_ct_series(volume, folder, InventedHeader(seed="rotated"))


SERIES: dict[str, Callable[[Path], None]] = {
    "axial": axial,
    "tilted": tilted,
    "reversed": reversed_order,
    "rotated": rotated,
}


@pytest.mark.parametrize("write", SERIES.values(), ids=SERIES)
def test_slices_lie_in_the_order_and_at_the_step_that_highdicom_finds(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    write(tmp_path)
    stack = stack_slices(scan_folder(tmp_path.iterdir())[0])
    datasets = [pydicom.dcmread(instance.path) for instance in stack.slices]
    step_mm, order = hd.spatial.get_series_volume_positions(
        datasets, perpendicular_tol=0.1, rtol=1e-3
    )
    assert stack.step_mm == pytest.approx(step_mm, abs=1e-6)
    assert order in (list(range(len(datasets))), list(range(len(datasets)))[::-1])
    heights = [float(dataset.ImagePositionPatient[2]) for dataset in datasets]
    assert heights == sorted(heights)


@pytest.mark.parametrize("name", ["axial", "reversed", "rotated"])
def test_volume_is_the_one_that_highdicom_reads(tmp_path: Path, name: str) -> None:
    SERIES[name](tmp_path)
    volume = read(tmp_path)
    independent = hd.get_volume_from_series(
        [pydicom.dcmread(path) for path in tmp_path.iterdir()], rtol=1e-3
    ).to_patient_orientation("HPL")
    np.testing.assert_array_equal(volume.hu, independent.array)
    np.testing.assert_allclose(volume.affine, independent.affine, atol=1e-5)


@pytest.mark.parametrize("write", SERIES.values(), ids=SERIES)
def test_voxels_lie_where_the_header_of_their_slice_puts_them(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    write(tmp_path)
    volume = read(tmp_path)
    for instance in stack_slices(scan_folder(tmp_path.iterdir())[0]).slices:
        dataset = pydicom.dcmread(instance.path)
        stored = dataset.pixel_array.astype(int) + int(dataset.RescaleIntercept)
        pixels = np.array([[0, 0], [dataset.Columns - 1, 0], [3, 5], [0, dataset.Rows - 1]])
        lps_mm = hd.spatial.PixelToReferenceTransformer.for_image(dataset)(pixels)
        index = volume.to_index(lps_mm)
        np.testing.assert_allclose(index, np.rint(index), atol=1e-4)
        found = volume.hu[tuple(np.rint(index).astype(int).T)]
        np.testing.assert_array_equal(found, stored[pixels[:, 1], pixels[:, 0]])


@pytest.mark.shared
def test_every_lossless_transfer_syntax_decodes_to_the_same_hu(shared_data: Path) -> None:
    folder = shared_data / "ct" / "syntaxes_cornerstone_ct"
    lossy = ("4.50", "4.51", "4.53", "4.55", "4.81", "4.91")
    planes = {
        path.name: read_plane(path, 0)
        for path in sorted(folder.glob("*.dcm"))
        if not any(f"1.2.840.10008.1.2.{syntax}.dcm" in path.name for syntax in lossy)
    }
    assert len(planes) == 10
    reference = planes["CTImage.dcm"]
    for name, plane in planes.items():
        np.testing.assert_array_equal(plane, reference, err_msg=name)


@pytest.mark.shared
@pytest.mark.parametrize("case", ["CT1", "CT2"])
def test_wg04_lossless_samples_decode_alike(shared_data: Path, case: str) -> None:
    folder = shared_data / "ct" / "syntaxes_wg04_ct"
    planes = [read_plane(folder / f"{case}_{kind}", 0) for kind in ("J2KR", "JLSL", "JPLL", "RLE")]
    for plane in planes[1:]:
        np.testing.assert_array_equal(plane, planes[0])
