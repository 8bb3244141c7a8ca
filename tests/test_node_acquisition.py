from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from dicom_node.errors import SeriesRefused
from dicom_node.series.instances import Instance, scan_folder
from dicom_node.series.kernels import KernelClass
from dicom_node.series.selection import check_series, select_series
from dicom_node.settings.node import Acquisition, AcquisitionRules
from tests.dicom_builders import edit, instances, plain_series


def tilted(degrees: float, **changes: Any) -> list[Instance]:
    """Slices of a gantry tilted about the left-right axis: the table still moves along z."""
    angle = np.deg2rad(degrees)
    orientation = np.array([[1.0, 0, 0], [0, np.cos(angle), -np.sin(angle)]])
    return instances(orientation=orientation, **changes)


RULES: dict[str, tuple[Callable[[], list[Instance]], str, str]] = {
    "coverage": (
        lambda: instances(25, 2.0), "series.too_few_slices", "acquisition.short_coverage",
    ),
    "kernel_unknown": (
        lambda: instances(kernel="H31s"),
        "acquisition.kernel_unknown", "acquisition.kernel_unknown",
    ),
    "kernel_sharp": (
        lambda: instances(kernel="DETAIL"), "acquisition.kernel_sharp", "acquisition.kernel_sharp",
    ),
    "kernel_lung_bone": (
        lambda: instances(kernel="BONE"),
        "acquisition.kernel_lung_bone", "acquisition.kernel_lung_bone",
    ),
    "contrast": (
        lambda: instances(contrast_agent="IOMERON"), "acquisition.contrast", "acquisition.contrast",
    ),
    "gantry_tilt": (lambda: tilted(8.0), "series.gantry_tilt", "acquisition.gantry_tilt"),
    "gantry_tilt_unclear": (
        lambda: instances(gantry_tilt_deg=8.0),
        "acquisition.gantry_tilt_unclear", "acquisition.gantry_tilt_unclear",
    ),
    "large_pixels": (
        lambda: instances(pixel_spacing_mm=(1.0, 1.6)),
        "acquisition.large_pixels", "acquisition.large_pixels",
    ),
    "thick_slices": (
        lambda: instances(60, 5.0, slice_thickness_mm=5.0),
        "acquisition.thick_slices", "acquisition.thick_slices",
    ),
    "thickness_unknown": (
        lambda: instances(slice_thickness_mm=None),
        "acquisition.thickness_unknown", "acquisition.thickness_unknown",
    ),
    "other_scanner": (
        lambda: instances(model="Optima"),
        "acquisition.other_scanner", "acquisition.other_scanner",
    ),
    "patient_position_missing": (
        lambda: instances(patient_position=""),
        "acquisition.patient_position_missing", "acquisition.patient_position_missing",
    ),
}  # fmt: skip


def rules(name: str, mode: str) -> Acquisition:
    return Acquisition(rules=AcquisitionRules.model_validate({name: mode}))


@pytest.mark.parametrize(("name", "case"), RULES.items(), ids=RULES)
def test_strict_rule_refuses(
    name: str, case: tuple[Callable[[], list[Instance]], str, str]
) -> None:
    members, refusal_code, _ = case
    with pytest.raises(SeriesRefused) as refusal:
        check_series(members(), rules(name, "strict"))
    assert refusal.value.code == refusal_code


@pytest.mark.parametrize(("name", "case"), RULES.items(), ids=RULES)
def test_warning_rule_reports_and_says_so(
    name: str, case: tuple[Callable[[], list[Instance]], str, str]
) -> None:
    members, _, finding_code = case
    series = check_series(members(), rules(name, "warn"))
    assert [finding.code for finding in series.findings] == [finding_code]


@pytest.mark.parametrize("mode", ["strict", "warn"])
def test_plain_series_breaks_no_rule_in_either_mode(mode: str) -> None:
    every = dict.fromkeys(AcquisitionRules.model_fields, mode)
    series = check_series(instances(), Acquisition(rules=AcquisitionRules.model_validate(every)))
    assert series.findings == ()


@pytest.mark.parametrize(
    "wrong", [{"kernels": "warn"}, {"contrast": "off"}, {"kvp": "warn"}, {"thickness": "warn"}]
)
def test_unknown_rules_and_modes_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Acquisition.model_validate({"rules": wrong})


@pytest.mark.parametrize(
    ("members", "code"),
    [
        (lambda: instances(kvp=100.0), "series.kvp"),
        (lambda: instances(50, 6.0, slice_thickness_mm=6.0), "series.slice_step"),
        (lambda: instances(slice_thickness_mm=6.0), "series.slice_thickness"),
        (lambda: instances(pixel_spacing_mm=(3.1, 3.1)), "series.large_pixels"),
        (lambda: tilted(12.0), "series.gantry_tilt"),
    ],
    ids=["kVp", "step", "thickness", "pixels", "large tilt"],
)
def test_no_setting_softens_what_is_always_strict(
    members: Callable[[], list[Instance]], code: str
) -> None:
    every = dict.fromkeys(AcquisitionRules.model_fields, "warn")
    lenient = Acquisition(rules=AcquisitionRules.model_validate(every))
    with pytest.raises(SeriesRefused) as refusal:
        check_series(members(), lenient)
    assert refusal.value.code == code


def test_kernel_that_changes_within_the_series_is_refused() -> None:
    members = instances()
    members[5] = replace(members[5], kernel="SOFT")
    with pytest.raises(SeriesRefused, match="STANDARD"):
        check_series(members, Acquisition())


def test_series_with_a_body_kernel_comes_before_a_sharp_one() -> None:
    def named(uid: str, count: int = 150, step: float = 2.0, **changes: Any) -> list[Instance]:
        return [
            replace(i, series_uid=uid, sop_instance_uid=f"{uid}.{k}")
            for k, i in enumerate(instances(count, step, **changes))
        ]

    sharp = named("1.1", kernel="BONE", slice_thickness_mm=3.0)
    unknown = named("1.2", kernel="STD+", slice_thickness_mm=3.0)
    soft = named("1.3", kernel="SOFT", slice_thickness_mm=2.0)
    selection = select_series([*sharp, *unknown, *soft], rules("kernel_lung_bone", "warn"))
    assert [s.series_uid for s in selection.eligible] == ["1.3", "1.2", "1.1"]
    assert [s.kernel_class for s in selection.eligible] == [
        KernelClass.SOFT, KernelClass.UNKNOWN, KernelClass.LUNG_BONE,
    ]  # fmt: skip


@pytest.mark.parametrize("degrees", [-9.0, -4.0, 0.0, 4.0, 9.0])
def test_tilt_is_read_from_the_geometry_either_way(degrees: float) -> None:
    series = check_series(tilted(degrees, gantry_tilt_deg=-degrees), Acquisition())
    assert series.gantry_tilt_deg == pytest.approx(abs(degrees), abs=0.01)
    assert series.step_mm == pytest.approx(3.0 * np.cos(np.deg2rad(degrees)))


def test_stated_tilt_is_read_from_the_header(tmp_path: Path) -> None:
    for path in plain_series(tmp_path):
        edit(path, GantryDetectorTilt="8.5")
    found, _ = scan_folder(tmp_path.iterdir())
    assert {instance.gantry_tilt_deg for instance in found} == {8.5}
    with pytest.raises(SeriesRefused, match=r"8\.5 degrees is stated"):
        check_series(found, Acquisition())


@pytest.mark.shared
def test_geometry_of_a_tilted_head_ct_shows_the_stated_tilt(shared_data: Path) -> None:
    found, _ = scan_folder((shared_data / "ct" / "dcm_qa_ct_ge_tilt").glob("*.dcm"))
    assert {instance.gantry_tilt_deg for instance in found} == {18.5}
    with pytest.raises(SeriesRefused, match=r"tilted by 18\.5 degrees") as refusal:
        check_series(found, Acquisition(rules=AcquisitionRules(gantry_tilt="warn")))
    assert refusal.value.code == "series.gantry_tilt"


def test_slices_off_a_straight_line_are_refused() -> None:
    members = instances()
    members[30] = replace(members[30], position_mm=members[30].position_mm + np.array([0, 4.0, 0]))
    with pytest.raises(SeriesRefused, match="straight line"):
        check_series(members, Acquisition())
