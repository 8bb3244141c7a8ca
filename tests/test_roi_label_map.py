import gzip
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest

from roi_extraction import (
    SITES,
    CtVolume,
    InvalidSegmentation,
    LabelMapSegmenter,
    Missing,
    MissingReason,
    extract,
    load_label_map,
)
from roi_extraction.labels.canal import canal_line_mm
from roi_extraction.phantom import Phantom, PhantomParameters, make_phantom
from roi_extraction.sites import DiscLevel, Level, Muscle
from tests.ct_builders import cropped, load_nifti_labels, load_nifti_volume, resampled

MUSCLE_HU = {
    Muscle.TRANSVERSOSPINALIS: 20.0,
    Muscle.LONGISSIMUS: 42.0,
    Muscle.PSOAS_MAJOR: 50.0,
}
CASE = "ct/totalseg_example_ct"


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    hu = tuple(MUSCLE_HU[s.muscle] if s.muscle else 120.0 for s in SITES)
    return make_phantom(PhantomParameters(hu, noise_sd_hu=8.0), seed=3)


@pytest.fixture(scope="module")
def real(
    shared_data: Path,
) -> tuple[CtVolume, npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    folder = shared_data / CASE
    volume = load_nifti_volume(folder / "ct.nii.gz")
    labels = load_nifti_labels(folder / "seg_merged_v2_numbering.nii.gz", volume)
    return volume, labels, load_nifti_labels(folder / "seg_vertebrae_body_and_discs.nii.gz", volume)


@pytest.mark.parametrize("with_bodies", [True, False], ids=["bodies", "no bodies"])
def test_phantom_is_measured_within_4_hu_of_its_truth(phantom: Phantom, with_bodies: bool) -> None:
    bodies = phantom.body_labels if with_bodies else None
    features = extract(phantom.volume, LabelMapSegmenter(phantom.labels, bodies))
    measured = [m for m in features.measurements if m.missing is None]
    assert len(measured) >= 28
    assert all(m.missing is None for m in features.measurements[:6])
    for m in measured:
        assert m.mean_hu == pytest.approx(phantom.truth.hu[m.site.name], abs=4.0), m.site.name


def write_nifti(
    path: Path, labels: npt.NDArray[np.uint8], affine_lps: npt.NDArray[np.float64]
) -> Path:
    """Labels as (column, row, slice) NIfTI with their affine in RAS."""
    swap = np.zeros((4, 4))
    swap[0, 2] = swap[1, 1] = swap[2, 0] = swap[3, 3] = 1.0
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine_lps @ swap
    nib.save(nib.Nifti1Image(labels.transpose(2, 1, 0), affine), path)
    return path


def test_label_map_in_any_orientation_lands_on_the_scan(phantom: Phantom, tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", phantom.labels, phantom.volume.affine)
    assert np.array_equal(load_label_map(path, phantom.volume), phantom.labels)
    canonical = nib.as_closest_canonical(nib.load(path))
    nib.save(canonical, tmp_path / "b.nii.gz")
    assert np.array_equal(load_label_map(tmp_path / "b.nii.gz", phantom.volume), phantom.labels)


def test_label_map_of_another_place_is_refused(phantom: Phantom, tmp_path: Path) -> None:
    affine = phantom.volume.affine.copy()
    affine[:3, 3] += 400.0
    path = write_nifti(tmp_path / "a.nii.gz", phantom.labels, affine)
    with pytest.raises(InvalidSegmentation, match="another series"):
        load_label_map(path, phantom.volume)


def test_file_that_is_no_nifti_is_refused(phantom: Phantom, tmp_path: Path) -> None:
    path = tmp_path / "labels.nii.gz"
    path.write_bytes(b"not a label map")
    with pytest.raises(InvalidSegmentation, match=r"labels\.nii\.gz"):
        load_label_map(path, phantom.volume)


def nifti_claiming(path: Path, shape: tuple[int, int, int], content: int) -> Path:
    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape(shape)
    header["magic"], header["vox_offset"] = b"n+1", 352
    packed = path.suffix == ".gz"
    with gzip.open(path, "wb", compresslevel=1) if packed else path.open("wb") as file:
        file.write(header.binaryblock + bytes(4))
        for _ in range(content >> 20):
            file.write(bytes(1 << 20))
    return path


@pytest.mark.parametrize("name", ["claims.nii", "claims.nii.gz"])
def test_label_map_that_claims_more_than_the_scan_is_refused_unread(
    tmp_path: Path, name: str
) -> None:
    scan = CtVolume(np.zeros((8, 16, 16), np.int16), np.eye(4)[[2, 1, 0, 3]], 1.0)
    path = nifti_claiming(tmp_path / name, (32000, 32000, 32000), 1 << 20)
    started = time.process_time()
    with pytest.raises(InvalidSegmentation, match="claims 32768000000000 voxels"):
        load_label_map(path, scan)
    assert time.process_time() - started < 2


def test_bytes_behind_the_voxels_of_a_packed_label_map_are_never_unpacked(tmp_path: Path) -> None:
    scan = CtVolume(np.zeros((8, 16, 16), np.int16), np.eye(4)[[2, 1, 0, 3]], 1.0)
    path = nifti_claiming(tmp_path / "bomb.nii.gz", (16, 16, 8), 1 << 29)
    started = time.process_time()
    with pytest.raises(InvalidSegmentation, match="is empty"):
        load_label_map(path, scan)
    assert time.process_time() - started < 2


def test_voxels_that_begin_far_behind_the_header_are_refused(tmp_path: Path) -> None:
    scan = CtVolume(np.zeros((8, 16, 16), np.int16), np.eye(4)[[2, 1, 0, 3]], 1.0)
    path = nifti_claiming(tmp_path / "far.nii", (16, 16, 8), 1 << 20)
    content = bytearray(path.read_bytes())
    content[108:112] = np.float32(2e9).tobytes()
    path.write_bytes(content)
    with pytest.raises(InvalidSegmentation, match="too far behind"):
        load_label_map(path, scan)


def test_numbering_of_version_1_is_refused_by_name(phantom: Phantom) -> None:
    old = np.zeros_like(phantom.labels)
    for new, number in {27: 18, 28: 19, 29: 20, 86: 100, 87: 101}.items():
        old[phantom.labels == new] = number
    with pytest.raises(InvalidSegmentation, match="v1"):
        LabelMapSegmenter(old).segment(phantom.volume)


def test_labels_of_another_shape_are_refused(phantom: Phantom) -> None:
    with pytest.raises(InvalidSegmentation, match="shape"):
        LabelMapSegmenter(phantom.labels[1:]).segment(phantom.volume)


def test_levels_that_are_not_labelled_are_missing(phantom: Phantom) -> None:
    labels = np.where(np.isin(phantom.labels, (25, 26)), 0, phantom.labels)
    features = extract(phantom.volume, LabelMapSegmenter(labels, phantom.body_labels))
    assert features.by_name["S1"].missing is not None
    assert features.by_name["S1"].missing.reason is MissingReason.NOT_SEGMENTED
    assert features.by_name["L5-S1_1"].missing is not None
    assert features.by_name["L5"].missing is None
    assert "label_map.levels_absent" in [finding.code for finding in features.findings]


@pytest.mark.parametrize("seed", [2, 4, 7])
def test_canal_is_found_though_most_slices_show_an_open_arch(seed: int) -> None:
    made = make_phantom(PhantomParameters.random(seed), seed)
    line, truth = canal_line_mm(made.volume, made.labels), made.truth.canal_lps_mm
    lumbar = truth[truth[:, 2] > made.truth.disc_centres_lps_mm["L5-S1"][2]]
    lumbar = lumbar[lumbar[:, 2] < line[-1, 2]]
    for axis in (0, 1):
        found = np.interp(lumbar[:, 2], line[:, 2], line[:, axis])
        assert np.abs(found - lumbar[:, axis]).max() < 4.0


@pytest.mark.shared
def test_canal_of_the_real_scan_runs_behind_every_body(
    real: tuple[CtVolume, npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
) -> None:
    volume, labels, bodies = real
    line = canal_line_mm(volume, labels)
    lumbar = volume.to_lps(np.argwhere((labels >= 27) & (labels <= 31) & (bodies == 1)))
    middle_of_l5 = volume.to_lps(np.argwhere((labels == 27) & (bodies == 1)))[:, 2].mean()
    inside = (line[:, 2] > middle_of_l5) & (line[:, 2] < lumbar[:, 2].max())
    for point in line[inside]:
        near = np.abs(lumbar - point)[:, [0, 2]].max(axis=1) < 6.0
        assert 2.0 < point[1] - lumbar[near, 1].max() < 20.0


def test_s1_is_cut_out_of_a_sacrum_labelled_as_a_whole(phantom: Phantom) -> None:
    whole = np.where(phantom.labels == 26, 25, phantom.labels)
    given = extract(phantom.volume, LabelMapSegmenter(phantom.labels))
    cut = extract(phantom.volume, LabelMapSegmenter(whole))
    assert cut.by_name["S1"].mean_hu == pytest.approx(phantom.truth.hu["S1"], abs=4.0)
    assert np.allclose(cut.mean_hu[6:], given.mean_hu[6:], atol=2.0, equal_nan=True)
    assert "label_map.s1_from_sacrum" in [finding.code for finding in cut.findings]
    assert "label_map.s1_from_sacrum" not in [finding.code for finding in given.findings]
    centres = [f.spine.discs[DiscLevel.L5_S1].centre_lps_mm for f in (given, cut)]
    assert np.linalg.norm(centres[0] - centres[1]) < 2.0


@pytest.mark.shared
def test_s1_of_a_real_sacrum_is_cut_near_its_label(
    real: tuple[CtVolume, npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
) -> None:
    volume, labels, _ = real
    given = extract(volume, LabelMapSegmenter(labels))
    cut = extract(volume, LabelMapSegmenter(np.where(labels == 26, 25, labels)))
    for place in ("discs", "bodies"):
        key = DiscLevel.L5_S1 if place == "discs" else Level.S1
        first, second = (getattr(f.spine, place)[key].centre_lps_mm for f in (given, cut))
        assert np.linalg.norm(first - second) < 3.0
    assert cut.by_name["S1"].mean_hu == pytest.approx(given.by_name["S1"].mean_hu, abs=10.0)


@pytest.mark.shared
def test_real_ct_yields_the_sites_that_its_labels_admit(
    real: tuple[CtVolume, npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
) -> None:
    volume, labels, bodies = real
    features = extract(volume, LabelMapSegmenter(labels, bodies))
    assert all(m.missing is None for m in features.measurements[:6])
    muscles = [m for m in features.measurements[6:] if m.missing is None]
    assert len(muscles) >= 22
    for name in ("L1-L2_3", "L1-L2_6"):
        missing = features.by_name[name].missing
        assert missing is not None
        assert missing.reason is MissingReason.TOO_SMALL


@pytest.mark.shared
def test_bodies_are_cut_from_whole_vertebrae_where_no_body_map_is_given(
    real: tuple[CtVolume, npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
) -> None:
    volume, labels, bodies = real
    given = extract(volume, LabelMapSegmenter(labels, bodies)).mean_hu[:6]
    cut = extract(volume, LabelMapSegmenter(labels)).mean_hu[:6]
    assert np.abs(given - cut)[1:].max() < 6.0
    assert abs(given - cut)[0] < 15.0  # a bone island in L1


@pytest.mark.shared
def test_small_turns_move_the_features_little(
    real: tuple[CtVolume, npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
) -> None:
    volume, labels, bodies = real
    volume_of, labels_of = resampled(volume, labels)
    _, bodies_of = resampled(volume, bodies)
    assert labels_of is not None
    first = extract(volume_of, LabelMapSegmenter(labels_of, bodies_of)).mean_hu
    turn = {"rotation_deg": (2.0, -2.0, 3.0), "shift_mm": (1.0, -1.0, 1.0)}
    volume_of, labels_of = resampled(volume, labels, **turn)  # type: ignore[arg-type]
    _, bodies_of = resampled(volume, bodies, **turn)  # type: ignore[arg-type]
    assert labels_of is not None
    second = extract(volume_of, LabelMapSegmenter(labels_of, bodies_of)).mean_hu
    assert np.nanmedian(np.abs(first - second)) < 4.0


@pytest.mark.shared
def test_scan_that_ends_at_the_disc_leaves_the_level_out(
    real: tuple[CtVolume, npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
) -> None:
    volume, labels, bodies = real
    kept = slice(45, 112)
    part = cropped(volume, kept)
    features = extract(part, LabelMapSegmenter(labels[kept], bodies[kept]))
    assert features.by_name["S1"].missing is not None
    assert features.by_name["L4"].missing is None


def test_muscle_label_far_from_its_disc_makes_the_sites_missing(phantom: Phantom) -> None:
    labels = phantom.labels.astype(np.int16)
    centre = phantom.volume.to_index(phantom.truth.disc_centres_lps_mm["L5-S1"])
    near = slice(round(centre[0]) - 4, round(centre[0]) + 5)
    labels[near][labels[near] == 86] = 0
    labels[near, -6:, -6:] = 86
    anatomy = LabelMapSegmenter(labels, phantom.body_labels).segment(phantom.volume)
    for name in ("L5-S1_4", "L5-S1_5"):
        found = anatomy.regions[name]
        assert isinstance(found, Missing)
        assert found.reason is MissingReason.NOT_FOUND
