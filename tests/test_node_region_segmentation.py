"""The Segmentation of the measured regions: what it marks, and what it is refused for."""

import subprocess
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest

from dicom_node.assessment.assessment import Assessment
from dicom_node.errors import ReportInvalid
from dicom_node.reporting import codes as own
from dicom_node.reporting.checks import report_check
from dicom_node.reporting.checks.object_check import check_object
from dicom_node.reporting.checks.report_check import check_report
from dicom_node.reporting.checks.report_geometry import Source
from dicom_node.reporting.objects.kinds import ObjectKind, object_uids
from dicom_node.reporting.objects.region_segmentation import region_segmentation
from dicom_node.reporting.objects.segmentation_frames import Frame, _bits
from dicom_node.reporting.structured_report import build_structured_report
from roi_extraction.anatomy import Missing, MissingReason
from tests.assessment_builders import assessment
from tests.dicom_builders import edit, plain_series

APART = ("L1", "L4", "L1-L2_1", "L1-L2_4", "L2-L3_1")
"""Sites that the builder places in slices of their own: its regions lie above each other."""

ABSENT = Missing(MissingReason.TOO_SMALL, "does not fit")


def with_sites(found: Assessment, kept: Collection[str]) -> Assessment:
    measurements = tuple(
        m if m.site.name in kept else replace(m, rois=(), missing=ABSENT)
        for m in found.features.measurements
    )
    return replace(found, features=replace(found.features, measurements=measurements))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Assessment:
    folder = tmp_path_factory.mktemp("series")
    plain_series(folder)
    return with_sites(assessment(folder), APART)


@pytest.fixture(scope="module")
def written(measured: Assessment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("seg") / "report.seg.dcm"
    region_segmentation(measured, "id").save_as(path, enforce_file_format=True)
    return path


def sources_of(found: Assessment) -> dict[str, Source]:
    return report_check.sources_of(found.series.slices)


def test_each_segment_is_a_site_and_marks_the_area_that_was_measured(
    measured: Assessment, written: Path
) -> None:
    found = hd.seg.segread(written)
    named = {m.site.name: m for m in measured.features.measurements if m.missing is None}
    descriptions = {number: found.get_segment_description(number) for number in range(1, 6)}
    assert [d.tracking_id for d in descriptions.values()] == list(named)
    sides = {
        str(d.tracking_id): [
            item.CodeMeaning
            for item in d.SegmentedPropertyTypeCodeSequence[0].get(
                "SegmentedPropertyTypeModifierCodeSequence", ()
            )
        ]
        for d in descriptions.values()
    }
    assert sides == {
        "L1": [], "L4": [], "L1-L2_1": ["Right"], "L1-L2_4": ["Left"], "L2-L3_1": ["Right"],
    }  # fmt: skip
    assert all(len(code) == 3 for code in own.MUSCLE_CODES.values())  # no side got into them
    row_mm, column_mm = measured.series.first.pixel_spacing_mm or (0.0, 0.0)
    for number, description in descriptions.items():
        rois = named[str(description.tracking_id)].rois
        uids = [measured.series.slices[roi.slice_index].sop_instance_uid for roi in rois]
        masks = found.get_pixels_by_source_instance(uids, segment_numbers=[number])
        areas = masks.sum(axis=(1, 2, 3)) * row_mm * column_mm
        np.testing.assert_allclose(areas, [roi.area_mm2 for roi in rois], rtol=0.05)


def test_segments_have_the_tracking_uids_of_the_report_and_it_refers_to_them(
    measured: Assessment, written: Path
) -> None:
    segmentation = pydicom.dcmread(written)
    report = build_structured_report(measured, "id", segmentation=segmentation)
    own = {str(segmentation.SOPInstanceUID): Source(segmentation)}
    check_report(report, {**sources_of(measured), **own})
    with pytest.raises(ReportInvalid, match="not of the series"):
        check_report(report, sources_of(measured))
    groups = hd.sr.MeasurementReport.from_sequence([report]).get_volumetric_roi_measurement_groups()
    assert {str(group.tracking_uid) for group in groups} == {
        str(segment.TrackingUID) for segment in segmentation.SegmentSequence
    }


def test_regions_that_overlap_or_are_absent_make_no_segmentation(measured: Assessment) -> None:
    first = measured.features.measurements[0]
    doubled = tuple(
        replace(m, rois=first.rois) if m.site.name == "L4" else m
        for m in measured.features.measurements
    )
    both = replace(measured, features=replace(measured.features, measurements=doubled))
    with pytest.raises(ValueError, match="L4 overlaps another"):
        region_segmentation(both, "id")
    with pytest.raises(ValueError, match="no site was measured"):
        region_segmentation(with_sites(measured, ()), "id")


def test_segmentation_of_another_patient_report_or_kind_is_stopped(
    measured: Assessment, written: Path, tmp_path: Path
) -> None:
    sources = sources_of(measured)
    document = pydicom.dcmread(written)
    check_object(document, ObjectKind.SEG, "id", sources)
    assert (document.SeriesInstanceUID, document.SOPInstanceUID) == object_uids(
        ObjectKind.SEG, "id"
    )
    with pytest.raises(ReportInvalid, match="UIDs of another report"):
        check_object(document, ObjectKind.SEG, "other", sources)
    with pytest.raises(ReportInvalid, match="not of the class of a pdf"):
        check_object(document, ObjectKind.PDF, "id", sources)
    path = tmp_path / "other.dcm"
    path.write_bytes(written.read_bytes())
    edit(path, PatientID="OTHER")
    with pytest.raises(ReportInvalid, match="of another patient"):
        check_object(pydicom.dcmread(path), ObjectKind.SEG, "id", sources)


@pytest.mark.peers
def test_dciodvfy_reports_no_error_of_the_segmentation(written: Path) -> None:
    result = subprocess.run(["dciodvfy", "-new", written], capture_output=True, text=True)
    assert not [line for line in result.stderr.splitlines() if line.startswith("Error")]


@pytest.mark.parametrize("pixels", [16, 15])
def test_frames_follow_each_other_without_a_gap_of_bits(pixels: int, measured: Assessment) -> None:
    masks = np.random.default_rng(1).random((3, pixels)) < 0.4
    image = measured.series.first
    frames = [Frame(number, image, np.flatnonzero(mask)) for number, mask in enumerate(masks)]
    expected = np.packbits(masks.ravel(), bitorder="little").tobytes()
    found = _bits(frames, pixels)
    assert found[: len(expected)] == expected
    assert len(found) % 2 == 0
