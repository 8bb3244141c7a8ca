from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dicom_node.errors import SeriesRefused
from dicom_node.series.instances import Instance, scan_folder
from dicom_node.series.selection import check_series, select_series
from dicom_node.settings.node import Acquisition
from tests.dicom_builders import instances

RULES = Acquisition()


def test_plain_axial_series_is_eligible_and_sorted_from_feet_to_head() -> None:
    members = instances()
    series = check_series(members[::-1], RULES)
    assert [i.sop_instance_uid for i in series.slices] == [i.sop_instance_uid for i in members]
    assert series.step_mm == pytest.approx(3.0)
    assert series.findings == ()


def with_gap(count: int) -> list[Instance]:
    members = instances()
    return members[:30] + members[30 + count :]


def interleaved() -> list[Instance]:
    second = [
        replace(i, sop_instance_uid=i.sop_instance_uid + ".2", acquisition_number=2)
        for i in instances()
    ]
    return [i for pair in zip(instances(), second, strict=True) for i in pair]


def irregular() -> list[Instance]:
    members = instances()
    members[40] = replace(members[40], position_mm=members[40].position_mm + np.array([0, 0, 1.0]))
    return members


def tilted() -> list[Instance]:
    return [
        replace(i, position_mm=position + np.array([0, 0.2 * position[2], 0]))
        for i in instances()
        if (position := i.position_mm) is not None
    ]


SAGITTAL = np.array([[0, 1.0, 0], [0, 0, -1.0]])

REFUSED = {
    "140 kVp": (instances(kvp=140.0), "series.kvp", "140 kVp"),
    "no kVp": (instances(kvp=None), "series.kvp_missing", "not stated"),
    "localizer only": (
        instances(2, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")),
        "series.localizer",
        "localizer",
    ),
    "five slices": (instances(5), "series.too_few_slices", "5 slices"),
    "short coverage": (instances(25, 2.0), "series.too_few_slices", "50 mm"),
    "two interleaved acquisitions": (interleaved(), "series.duplicate_positions", r"\[1, 2\]"),
    "one slice missing": (with_gap(1), "series.missing_slices", "1 slices are missing"),
    "ten slices missing": (with_gap(10), "series.missing_slices", "10 slices are missing"),
    "uneven spacing": (irregular(), "series.irregular_spacing", "evenly"),
    "MR": (instances(modality="MR"), "series.not_ct", "MR"),
    "derived": (
        instances(image_type=("DERIVED", "SECONDARY", "MPR")), "series.derived", "DERIVED",
    ),
    "no image type": (instances(image_type=()), "series.derived", "none"),
    "empty series UID": (instances(series_uid=""), "series.invalid_uid", "Series Instance UID"),
    "sagittal": (instances(orientation=SAGITTAL), "series.not_axial", "90 degrees"),
    "tilted gantry": (tilted(), "series.gantry_tilt", "tilted by 11"),
    "7 mm slices": (instances(slice_thickness_mm=7.0), "series.slice_thickness", "7 mm"),
    "7 mm steps": (instances(step_mm=7.0), "series.slice_step", "7 mm"),
    "lossy": (instances(lossy="01"), "series.lossy", "lossy"),
    "lossy syntax": (
        instances(transfer_syntax_uid="1.2.840.10008.1.2.4.50"), "series.lossy", "lossy",
    ),
    "no rescale": (instances(has_rescale=False), "series.no_rescale", "Rescale"),
    "no position": (instances(orientation=None), "series.no_position", "80 of 80"),
    "no pixel spacing": (instances(pixel_spacing_mm=None), "series.no_pixel_spacing", "Spacing"),
    "zero pixel spacing": (
        instances(pixel_spacing_mm=(0.0, 0.9)), "series.mixed_geometry", "zero",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("members", "code", "message"), REFUSED.values(), ids=REFUSED)
def test_unsuitable_series_is_refused_with_its_reason(
    members: list[Instance], code: str, message: str
) -> None:
    with pytest.raises(SeriesRefused, match=message) as refusal:
        check_series(members, RULES)
    assert refusal.value.code == code


def test_tube_voltage_that_changes_within_the_series_is_refused() -> None:
    members = instances()
    members[3] = replace(members[3], kvp=100.0)
    with pytest.raises(SeriesRefused, match="differs") as refusal:
        check_series(members, RULES)
    assert refusal.value.code == "series.mixed_acquisition"


def test_duplicates_of_an_instance_count_once() -> None:
    members = instances()
    assert len(check_series(members + members[:10], RULES).slices) == len(members)


def test_contrast_and_thick_slices_are_warned_of() -> None:
    series = check_series(
        instances(60, 5.0, slice_thickness_mm=5.0, contrast_agent="IOMERON"), RULES
    )
    assert {f.code for f in series.findings} == {
        "acquisition.contrast", "acquisition.thick_slices",
    }  # fmt: skip


def test_series_nearest_to_three_millimetres_without_contrast_comes_first() -> None:
    def named(uid: str, **changes: Any) -> list[Instance]:
        return [
            replace(i, series_uid=uid, sop_instance_uid=f"{uid}.{k}")
            for k, i in enumerate(instances(150, 2.0, **changes))
        ]

    thin = named("1.1", slice_thickness_mm=1.0)
    contrast = named("1.2", contrast_agent="yes")
    plain = named("1.3")
    scout = named("1.4", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    selection = select_series([*thin, *contrast, *plain, *scout], RULES)
    assert [s.series_uid for s in selection.eligible] == ["1.3", "1.2", "1.1"]
    assert [(s.series_uid, s.code) for s in selection.refused] == [("1.4", "series.localizer")]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("folder", "codes"),
    [
        ("dcm_qa_ct_ge_tilt", {"series.gantry_tilt"}),
        ("enhanced_multiframe_ct", {"series.derived"}),
        ("ts_example_ct_dicom_j2k", {"series.invalid_uid"}),
    ],
)
def test_awkward_real_series_are_refused(shared_data: Path, folder: str, codes: set[str]) -> None:
    found, unreadable = scan_folder((shared_data / "ct" / folder).glob("*.dcm"))
    selection = select_series(found, RULES)
    assert not unreadable
    assert not selection.eligible
    assert {item.code for item in selection.refused} == codes
