"""DICOM SEG as the segmenter: by itself, in ``analyze``, and through the node's folders."""

import json
import os
import re
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pydicom
import pytest
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from typer.testing import CliRunner

from dicom_node.assessment.segment_codes import Structure, describe_segment
from dicom_node.assessment.segmentation_levels import check_levels
from dicom_node.assessment.segmentation_object import (
    DicomSegSegmenter,
    object_digest,
    read_segments,
)
from dicom_node.assessment.segmenters import SegmenterPlan
from dicom_node.cli import app
from dicom_node.decoding import inflation
from dicom_node.receiving.received_header import file_header
from dicom_node.series.instances import SEGMENTATION_STORAGE, scan_folder
from dicom_node.series.selection import EligibleSeries, check_series
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from dicom_node.settings.node import Acquisition, NodeSettings
from roi_extraction import InvalidSegmentation, LabelMapSegmenter, SegmenterChain, extract
from roi_extraction.anatomy import Anatomy, SegmenterIdentity
from roi_extraction.errors import LevelsNotCovered
from roi_extraction.phantom import Phantom, PhantomParameters, make_phantom
from roi_extraction.sites import Level
from roi_extraction.volume import CtVolume
from tests import fuzzing
from tests.ct_builders import load_nifti_labels, load_nifti_volume
from tests.node_process import Node, Pacs
from tests.segmentation_builders import Part, parts_of, write_seg

Spoilt = tuple[list[Part], dict[str, Any]]
"""Segments, and what else `write_seg` is given."""

WRITTEN = (25, 26, 27, 28, 29, 30, 31, 32, 33, 86, 87, 88, 89)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(PhantomParameters.random(7), 7)


@pytest.fixture(scope="module")
def files(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("phantom")
    return write_ct_series(phantom.volume, folder, InventedHeader(seed="seg"))


@pytest.fixture(scope="module")
def series(files: list[Path]) -> EligibleSeries:
    return check_series(scan_folder(files)[0], Acquisition())


@pytest.fixture(scope="module")
def seg(phantom: Phantom, files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("seg") / "seg.dcm"
    return write_seg(path, files, phantom.volume, parts_of(phantom.labels))


def labels_of(phantom: Phantom) -> np.ndarray:
    return np.where(np.isin(phantom.labels, WRITTEN), phantom.labels, 0)


def analyze(source: Path, out: Path, *options: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, ["analyze", str(source), "-o", str(out), *options])
    return result.exit_code, json.loads((out / "report.json").read_text())


def means(report: dict[str, Any]) -> list[float]:
    return [np.nan if s["mean_hu"] is None else s["mean_hu"] for s in report["sites"]]


def test_segments_return_as_the_labels_that_they_were(
    phantom: Phantom, series: EligibleSeries, seg: Path
) -> None:
    found = read_segments(seg, series, phantom.volume)
    assert np.array_equal(found.labels, labels_of(phantom))
    assert not found.muscles.any()


def test_slices_in_reverse_order_land_in_their_place(
    phantom: Phantom, files: list[Path], series: EligibleSeries, tmp_path: Path
) -> None:
    volume = phantom.volume
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (volume.shape[0] - 1)
    affine[:3, 0] *= -1
    parts = [replace(p, mask=p.mask[::-1]) for p in parts_of(phantom.labels)]
    path = write_seg(tmp_path / "seg.dcm", files, volume, parts, affine=affine)
    assert np.array_equal(read_segments(path, series, volume).labels, labels_of(phantom))


def test_part_of_the_slices_lands_in_its_place(
    phantom: Phantom, files: list[Path], series: EligibleSeries, tmp_path: Path
) -> None:
    volume = phantom.volume
    low = round(float(volume.to_index(phantom.truth.body_centres_lps_mm["L4"])[0]))
    high = round(float(volume.to_index(phantom.truth.body_centres_lps_mm["L1"])[0]))
    affine = volume.affine.copy()
    affine[:3, 3] = volume.to_lps([low, 0, 0])
    parts = [replace(p, mask=p.mask[low:high]) for p in parts_of(phantom.labels)]
    parts = [p for p in parts if p.mask.any()]
    path = write_seg(tmp_path / "seg.dcm", files, volume, parts, affine=affine)
    expected = np.zeros_like(phantom.labels)
    expected[low:high] = labels_of(phantom)[low:high]
    assert np.array_equal(read_segments(path, series, volume).labels, expected)


def coarse(phantom: Phantom) -> tuple[list[Part], np.ndarray]:
    """Every second row and column, and their affine."""
    affine = phantom.volume.affine.copy()
    affine[:3, 1:3] *= 2
    return [replace(p, mask=p.mask[:, ::2, ::2]) for p in parts_of(phantom.labels)], affine


def test_half_the_resolution_moves_the_features_little(
    phantom: Phantom, files: list[Path], seg: Path, tmp_path: Path
) -> None:
    parts, affine = coarse(phantom)
    path = write_seg(tmp_path / "half.dcm", files, phantom.volume, parts, affine=affine)
    folder = files[0].parent
    _, fine = analyze(folder, tmp_path / "a", "--segmentation", str(seg))
    code, half = analyze(folder, tmp_path / "b", "--segmentation", str(path))
    assert code == 0
    difference = np.abs(np.array(means(fine)) - np.array(means(half)))
    assert np.isfinite(difference).sum() >= 24
    assert np.nanmedian(difference) < 3.0
    assert np.nanmax(difference) < 12.0


def test_seg_beside_its_series_serves_in_place_of_the_built_in(
    phantom: Phantom, files: list[Path], seg: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for path in (*files, seg):
        (folder / path.name).symlink_to(path)
    code, report = analyze(folder, tmp_path / "out")
    assert code == 0
    assert report["segmenter"]["name"] == "dicom-seg"
    labels = extract(phantom.volume, LabelMapSegmenter(labels_of(phantom)))
    assert np.allclose(means(report), labels.mean_hu, atol=0.01, equal_nan=True)
    assert "segmenter.passed_over" not in {w["code"] for w in report["warnings"]}


def test_report_is_another_one_for_another_segmentation(
    phantom: Phantom, files: list[Path], seg: Path, tmp_path: Path
) -> None:
    other = write_seg(tmp_path / "o.dcm", files, phantom.volume, parts_of(phantom.labels))
    plan = SegmenterPlan()
    variants = {plan.variant([]), plan.variant([seg]), plan.variant([other])}
    assert len(variants) == 3
    assert plan.variant([seg, other]) == plan.variant([other, seg])
    assert SegmenterPlan(("builtin",)).variant([seg]) == SegmenterPlan(("builtin",)).variant([])
    dataset = pydicom.dcmread(seg)
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.save_as(tmp_path / "again.dcm", implicit_vr=True, little_endian=True)
    assert object_digest(tmp_path / "again.dcm") == object_digest(seg)


def change(**values: str) -> Callable[[list[Part]], Spoilt]:
    return lambda parts: (parts, {"values": values})


def without_bone(parts: list[Part]) -> Spoilt:
    return [p for p in parts if p.side], {}


def all_empty(parts: list[Part]) -> Spoilt:
    return [replace(p, mask=np.zeros_like(p.mask)) for p in parts], {}


def unknown(parts: list[Part]) -> Spoilt:
    liver = ("10200004", "SCT", "Liver")
    return [replace(p, label="liver", code=liver, side=None) for p in parts[:1]], {}


def fractional(parts: list[Part]) -> Spoilt:
    return parts, {"kind": "FRACTIONAL"}


def overlapping(parts: list[Part]) -> Spoilt:
    return [*parts[:-1], replace(parts[-1], mask=parts[-1].mask | parts[0].mask)], {}


def two_names(parts: list[Part]) -> Spoilt:
    return [replace(parts[0], label="L2 vertebra"), *parts[1:]], {}


def two_l1(parts: list[Part]) -> Spoilt:
    first = replace(parts[1], label=parts[0].label, code=parts[0].code)
    return [parts[0], first, *parts[2:]], {}


def upside_down(parts: list[Part]) -> Spoilt:
    lumbar = [p for p in parts if p.label[0] == "L"]
    turned = zip(lumbar, lumbar[::-1], strict=True)
    turned_parts = [replace(p, label=q.label, code=q.code) for p, q in turned]
    return [*turned_parts, *(p for p in parts if p.label[0] != "L")], {}


def swapped(parts: list[Part]) -> Spoilt:
    other = {"left": "right", "right": "left", None: None}
    return [replace(p, side=other[p.side]) for p in parts], {}


BAD = {
    "another frame of reference": (
        change(FrameOfReferenceUID="1.2.3"), "segmentation.other_frame_of_reference"),
    "another patient": (change(PatientID="SOMEONE"), "segmentation.other_patient"),
    "no patient": (change(PatientID=""), "segmentation.other_patient"),
    "no frame of reference": (
        change(FrameOfReferenceUID=""), "segmentation.other_frame_of_reference"),
    "another study": (change(StudyInstanceUID="1.2.3"), "segmentation.other_study"),
    "no bone": (without_bone, "segmentation.incomplete"),
    "empty": (all_empty, "segmentation.empty"),
    "no known code": (unknown, "segmentation.no_known_segments"),
    "fractional": (fractional, "segmentation.fractional"),
    "overlapping": (overlapping, "segmentation.overlap"),
    "code of L1, label of L2": (two_names, "segmentation.contradiction"),
    "two L1": (two_l1, "segmentation.contradiction"),
    "L1 to L5 upside down": (upside_down, "segmentation.levels_out_of_order"),
    "sides swapped": (swapped, "segmentation.sides_swapped"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "code"), BAD.values(), ids=BAD)
def test_seg_that_cannot_be_used_says_why(
    phantom: Phantom,
    files: list[Path],
    series: EligibleSeries,
    tmp_path: Path,
    spoil: Callable[[list[Part]], Spoilt],
    code: str,
) -> None:
    parts, options = spoil(parts_of(phantom.labels))
    values = options.pop("values", {})
    path = write_seg(tmp_path / "seg.dcm", files, phantom.volume, parts, **options, **values)
    with pytest.raises(InvalidSegmentation) as caught:
        read_segments(path, series, phantom.volume)
    assert caught.value.code == code, caught.value


def of_other_series(dataset: pydicom.Dataset) -> None:
    dataset.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3.4"


def test_given_seg_of_another_series_is_refused(
    phantom: Phantom, files: list[Path], tmp_path: Path
) -> None:
    parts = parts_of(phantom.labels)
    path = write_seg(tmp_path / "s.dcm", files, phantom.volume, parts, edit=of_other_series)
    code, report = analyze(files[0].parent, tmp_path / "out", "--segmentation", str(path))
    assert code == 1
    assert report["refused"]["code"] == "segmentation.other_series"
    assert "1.2.3.4" in report["refused"]["message"]


def test_damaged_seg_is_refused(files: list[Path], seg: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(seg.read_bytes()[:3000])
    code, report = analyze(files[0].parent, tmp_path / "out", "--segmentation", str(broken))
    assert code == 1
    assert report["refused"]["code"] == "segmentation.unreadable"


def test_built_in_serves_where_the_seg_cannot_and_the_report_says_so(
    phantom: Phantom, files: list[Path], tmp_path: Path
) -> None:
    parts, _ = overlapping(parts_of(phantom.labels))
    folder = tmp_path / "in"
    write_seg(folder / "seg.dcm", files, phantom.volume, parts)
    write_seg(folder / "o.dcm", files, phantom.volume, parts, edit=of_other_series)
    for path in files:
        (folder / path.name).symlink_to(path)
    code, report = analyze(folder, tmp_path / "out")
    assert code == 0
    assert report["segmenter"]["name"] == "builtin"
    [passed] = [w for w in report["warnings"] if w["code"] == "segmenter.passed_over"]
    assert "segmentation.overlap" in passed["message"]
    assert "input.foreign_segmentation" in {w["code"] for w in report["warnings"]}


def single_muscles(phantom: Phantom, names: dict[int, str]) -> list[Part]:
    """Bones, and single muscles of both sides under the private code and these names."""
    bones = [p for p in parts_of(phantom.labels) if not p.side]
    muscles = [
        Part(phantom.muscle_labels == number + offset, f"{name}_{side}", ("X", "99TEST", "muscle"))
        for number, name in names.items()
        for offset, side in ((0, "right"), (3, "left"))
    ]
    return [*bones, *muscles]


def test_labels_of_single_muscles_are_used_without_a_split(
    phantom: Phantom, files: list[Path], series: EligibleSeries, tmp_path: Path
) -> None:
    names = {1: "transversospinalis", 2: "erector_spinae", 3: "psoas_major"}
    parts = single_muscles(phantom, names)
    path = write_seg(tmp_path / "seg.dcm", files, phantom.volume, parts)
    found = read_segments(path, series, phantom.volume)
    assert np.array_equal(found.muscles, phantom.muscle_labels)
    features = extract(phantom.volume, LabelMapSegmenter(found.labels, None, found.muscles))
    measured = [m for m in features.measurements[6:] if m.missing is None]
    assert len(measured) >= 20
    errors = [abs(m.mean_hu - phantom.truth.hu[m.site.name]) for m in measured]
    assert np.median(errors) < 2.5
    assert max(errors) < 6.0


def test_erector_spinae_alone_is_the_compartment_to_split(
    phantom: Phantom, files: list[Path], series: EligibleSeries, tmp_path: Path
) -> None:
    parts = parts_of(phantom.labels)
    path = write_seg(tmp_path / "seg.dcm", files, phantom.volume, parts)
    found = read_segments(path, series, phantom.volume)
    assert set(np.unique(found.labels)) >= {86, 87}
    features = extract(phantom.volume, LabelMapSegmenter(found.labels, None, found.muscles))
    for name in ("L3-L4_1", "L3-L4_2", "L3-L4_4", "L3-L4_5"):
        assert features.by_name[name].mean_hu == pytest.approx(phantom.truth.hu[name], abs=4.0)


def test_muscle_segment_of_both_sides_is_parted_at_the_canal(
    phantom: Phantom, files: list[Path], series: EligibleSeries, tmp_path: Path
) -> None:
    parts = [p for p in parts_of(phantom.labels) if not p.side]
    both = phantom.labels >= 88
    parts.append(Part(both, "Iliopsoas", ("68455001", "SCT", "Iliopsoas muscle")))
    path = write_seg(tmp_path / "seg.dcm", files, phantom.volume, parts)
    found = read_segments(path, series, phantom.volume)
    assert np.array_equal(found.labels == 88, phantom.labels == 88)
    assert np.array_equal(found.labels == 89, phantom.labels == 89)


class TrustingNode:
    """A node that uses the SEGs of ``SCANNER`` alone, and the PACS that it sends to."""

    def __init__(self, node: Node, pacs: Pacs) -> None:
        self.node = node
        self._pacs = pacs

    def sent(self, study_uid: str, count: int) -> list[Dataset]:
        """The reports on a study that the PACS got, once they are so many."""

        def found() -> list[Dataset]:
            return [d for d in self._pacs.stored if study_uid == d.StudyInstanceUID]

        self.node.wait_for(lambda: len(found()) >= count)
        assert len(found()) == count
        return found()


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrustingNode]:
    """One for all tests of the module: each sends it a study of its own."""
    with Pacs() as pacs:
        node = Node(tmp_path_factory.mktemp("node"), pacs.port)
        node.config.write_text(f'dicom_seg_sources = ["SCANNER"]\n{node.config.read_text()}')
        with node:
            yield TrustingNode(node, pacs)


@dataclass(frozen=True)
class Study:
    """A phantom's series as a study of its own, and its SEG."""

    uid: str
    files: list[Path]
    seg: Path


def study_of(phantom: Phantom, folder: Path, seed: str) -> Study:
    files = write_ct_series(phantom.volume, folder / "in", InventedHeader(seed=seed))
    seg = write_seg(folder / "in" / "seg.dcm", files, phantom.volume, parts_of(phantom.labels))
    return Study(str(pydicom.dcmread(files[0]).StudyInstanceUID), files, seg)


def test_node_uses_a_seg_that_comes_late_and_reports_anew(
    phantom: Phantom, trusting: TrustingNode, tmp_path: Path
) -> None:
    study = study_of(phantom, tmp_path, "late")
    trusting.node.send(study.files)
    [first] = trusting.sent(study.uid, 1)
    trusting.node.send([study.seg])
    _, second = trusting.sent(study.uid, 2)
    reports = trusting.node.reports(study.uid)
    assert [r["refused"] for r in reports] == [None, None]
    assert {r["segmenter"]["name"] for r in reports} == {"builtin", "dicom-seg"}
    [predecessors] = second.PredecessorDocumentsSequence
    named = predecessors.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == first.SOPInstanceUID
    analyze(study.seg.parent, tmp_path / "out")
    alone = pydicom.dcmread(tmp_path / "out" / "report.sr.dcm")
    assert alone.SOPInstanceUID == second.SOPInstanceUID


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "not trusted"])
def test_node_uses_a_seg_that_came_before_its_series_from_a_trusted_sender_only(
    phantom: Phantom, trusting: TrustingNode, tmp_path: Path, trusted: bool
) -> None:
    study = study_of(phantom, tmp_path, f"before {trusted}")
    trusting.node.send([study.seg], "SCANNER" if trusted else "STRANGER")
    trusting.node.send(study.files)
    trusting.sent(study.uid, 1)
    [report] = trusting.node.reports(study.uid)
    assert report["segmenter"]["name"] == ("dicom-seg" if trusted else "builtin")
    codes = {warning["code"] for warning in report["warnings"]}
    assert ("segmentation.untrusted_source" in codes) is not trusted


def received_from(ae_title: str, seg: Path, path: Path) -> Path:
    """A SEG as the node keeps it, with the sender in its file meta information."""
    content = seg.read_bytes()
    length = struct.unpack_from("<L", content, 140)[0]
    head = file_header(SEGMENTATION_STORAGE[0], "1.2", ExplicitVRLittleEndian, ae_title)
    path.write_bytes(head + content[144 + length :])
    return path


def test_only_segs_of_trusted_senders_are_used_and_the_others_are_told(
    seg: Path, tmp_path: Path
) -> None:
    paths = [
        received_from(title, seg, tmp_path / f"{number}.dcm")
        for number, title in enumerate(("WORKSTATION1", "SCANNER", "WORKSTATION"))
    ]
    objects = scan_folder(paths)[0]
    settings = {"data_dir": tmp_path, "dicom_seg_sources": ("WORKSTATION1 ",)}
    used, findings = SegmenterPlan.of(NodeSettings.model_validate(settings)).trusted(objects)
    assert [item.path.name for item in used] == ["0.dcm"]
    [finding] = findings
    assert finding.code == "segmentation.untrusted_source"
    assert "2 DICOM SEGs" in finding.message
    by_default = SegmenterPlan.of(NodeSettings(data_dir=tmp_path))
    assert by_default.trusted(objects)[0] == ()
    assert SegmenterPlan().trusted(objects) == (tuple(objects), ())


def test_the_seg_that_arrived_last_goes_first_whatever_its_dates_say(
    seg: Path, series: EligibleSeries, tmp_path: Path
) -> None:
    for number, date in enumerate(("20300101", "20200101", "20250101")):
        dataset = pydicom.dcmread(seg)
        dataset.ContentDate, dataset.SOPInstanceUID = date, f"1.2.{number}"
        dataset.save_as(tmp_path / f"{number}.dcm")
        os.utime(tmp_path / f"{number}.dcm", (1000 + number, 1000 + number))
    chain = SegmenterPlan().segmenter(series, scan_folder(sorted(tmp_path.iterdir()))[0])
    assert isinstance(chain, SegmenterChain)
    tried = [candidate.make(cast(CtVolume, None)) for candidate in chain.candidates[:3]]
    names = [cast(DicomSegSegmenter, segmenter).path.name for segmenter in tried]
    assert names == ["2.dcm", "1.dcm", "0.dcm"]


def test_seg_of_another_issuer_of_the_patient_id_is_refused(
    phantom: Phantom, files: list[Path], series: EligibleSeries, tmp_path: Path
) -> None:
    parts = parts_of(phantom.labels)
    path = write_seg(
        tmp_path / "seg.dcm", files, phantom.volume, parts, IssuerOfPatientID="HOSPITAL B"
    )
    assert read_segments(path, series, phantom.volume).labels.any()  # the images name none
    dataset = pydicom.dcmread(files[0])
    dataset.IssuerOfPatientID = "HOSPITAL A"
    dataset.save_as(tmp_path / "image.dcm")
    first = replace(series.first, path=tmp_path / "image.dcm")
    named = replace(series, slices=(first, *series.slices[1:]))
    with pytest.raises(InvalidSegmentation) as caught:
        read_segments(path, named, phantom.volume)
    assert caught.value.code == "segmentation.other_patient"
    assert "HOSPITAL" not in str(caught.value)


def shifted(parts: list[Part]) -> list[Part]:
    """Each vertebra under the name of the one below it, from T12 to L4."""
    bones = {part.label: part for part in parts if not part.side}
    names = ["T12 vertebra", *(f"L{number} vertebra" for number in range(1, 6))]
    moved = [
        replace(bones[upper], label=bones[lower].label, code=bones[lower].code)
        for upper, lower in pairwise(names)
    ]
    return [*moved, *(part for part in parts if part.side)]


def test_levels_shifted_by_one_are_refused_and_not_replaced(
    phantom: Phantom, files: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    write_seg(folder / "seg.dcm", files, phantom.volume, shifted(parts_of(phantom.labels)))
    for path in files:
        (folder / path.name).symlink_to(path)
    code, report = analyze(folder, tmp_path / "out")
    assert code == 1
    assert report["refused"]["code"] == "segmentation.levels_disagree"
    assert re.search(r"the SEG's L1 lies \d\d mm off and next to", report["refused"]["message"])
    assert not (tmp_path / "out" / "report.sr.dcm").exists()


class Blind:
    """A segmenter that names no levels."""

    identity = SegmenterIdentity("builtin", "0")

    def segment(self, volume: CtVolume) -> Anatomy:
        raise LevelsNotCovered([Level.L5])


def test_levels_that_agree_pass_and_those_that_cannot_be_checked_are_told(
    phantom: Phantom,
) -> None:
    truth = LabelMapSegmenter(labels_of(phantom))
    anatomy = truth.segment(phantom.volume)
    assert check_levels(anatomy, phantom.volume, truth) == ()
    [finding] = check_levels(anatomy, phantom.volume, Blind())
    assert finding.code == "segmentation.levels_unchecked"
    assert "builtin cannot name them" in finding.message


def test_deflated_seg_is_inflated_within_a_limit(
    phantom: Phantom,
    series: EligibleSeries,
    seg: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dataset = pydicom.dcmread(seg)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = tmp_path / "deflated.dcm"
    dataset.save_as(path)
    assert np.array_equal(read_segments(path, series, phantom.volume).labels, labels_of(phantom))
    assert object_digest(path) == object_digest(seg)
    monkeypatch.setattr(inflation, "MAX_INFLATED_BYTES", 100_000)
    with pytest.raises(InvalidSegmentation, match="cannot be read"):
        read_segments(path, series, phantom.volume)


def test_deflated_bomb_among_the_files_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.dcm"
    head = file_header(SEGMENTATION_STORAGE[0], "1.2", DeflatedExplicitVRLittleEndian, "EVIL")
    path.write_bytes(head + fuzzing.bomb())
    tracemalloc.start()
    try:
        scan_folder([path])
        object_digest(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * inflation.MAX_INFLATED_BYTES
    with pytest.raises(ValueError, match="inflates to more"):
        inflation.plain_file(path)


def description(label: str, *code: str, category: tuple[str, str, str] | None = None) -> Dataset:
    item = pydicom.Dataset()
    item.SegmentNumber = 1
    item.SegmentLabel = label
    item.SegmentedPropertyTypeCodeSequence = [CodedConcept(*code)]
    item.SegmentedPropertyCategoryCodeSequence = [
        CodedConcept(*(category or ("123037004", "SCT", "Anatomical Structure")))
    ]
    return item


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (description("a", "T-11930", "SRT", "L3 vertebra"), (Structure.L3, None)),
        (description("a", "T-11930", "SNM3", "L3 vertebra"), (Structure.L3, None)),
        (description("vertebrae_L4", "1", "99X", "bone"), (Structure.L4, None)),
        (description("L", "68455001", "SCT", "Iliopsoas muscle"), (Structure.ILIOPSOAS, "left")),
        (description("psoas R", "64038003", "SCT", "Psoas"), (Structure.PSOAS, "right")),
        (description("Psoas", "64038003", "SCT", "Lymph node"), (Structure.PSOAS, None)),
        (description("node", "64038003", "SCT", "Lymph node"), None),
        (description("metastasis L3", "1", "99X", "tumour"), None),
        (
            description(
                "a", "36470004", "SCT", "L3 vertebra",
                category=("49755003", "SCT", "Morphologically abnormal structure"),
            ),
            None,
        ),
        (description("autochthon_left", "244849004", "SCT", "Deep muscle of back"),
         (Structure.DEEP_BACK, "left")),
    ],
    ids=["SRT", "SNM3", "label", "letter", "psoas", "no side", "lymph node", "tumour", "lesion",
         "autochthon"],
)  # fmt: skip
def test_segment_is_known_by_code_then_by_name(
    item: Dataset, expected: tuple[Structure, str | None] | None
) -> None:
    found = describe_segment(item)
    if expected is None:
        assert found is None
        return
    assert found is not None
    side = None if found.side is None else found.side.value
    assert (found.structure, side) == expected


def test_segment_called_left_and_right_is_refused() -> None:
    item = description("psoas left", "68455001", "SCT", "Iliopsoas muscle")
    right = [CodedConcept("24028007", "SCT", "Right")]
    item.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = right
    with pytest.raises(InvalidSegmentation, match="left and right"):
        describe_segment(item)


@pytest.mark.shared
def test_seg_of_real_labels_gives_what_the_labels_give(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "ct/totalseg_example_ct"
    volume: CtVolume = load_nifti_volume(folder / "ct.nii.gz")
    name = "seg_merged_v2_numbering.nii.gz"
    labels = load_nifti_labels(folder / name, volume)
    files = write_ct_series(volume, tmp_path / "in", InventedHeader(seed="real seg"))
    _, given = analyze(tmp_path / "in", tmp_path / "a", "--segmentation", str(folder / name))
    write_seg(tmp_path / "in" / "seg.dcm", files, volume, parts_of(labels))
    code, report = analyze(tmp_path / "in", tmp_path / "b")
    assert code == 0
    assert report["segmenter"]["name"] == "dicom-seg"
    assert np.allclose(means(report), means(given), atol=0.01, equal_nan=True)
    assert np.isfinite(means(report)).sum() >= 28
