"""Parts of scans, with other ribs or with their own: what is named in them."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bench.roi.painted import part_of_course, with_rib, without_bone_along
from bench.roi.scans import shared_ct
from bench.roi.scoring import MISNAMED_MM, Score
from dicom_node.series.instances import scan_folder
from dicom_node.series.selection import check_series
from dicom_node.series.volume_reader import read_volume
from dicom_node.settings.node import Acquisition, AcquisitionRules
from roi_extraction import CtVolume, RoiError
from roi_extraction.builtin import find_spine
from roi_extraction.builtin.canal import find_canal
from roi_extraction.builtin.ribs.cage import find_ribs
from roi_extraction.builtin.ribs.tips import rib_length
from roi_extraction.builtin.straighten import straighten
from roi_extraction.grid import coarse_grid
from roi_extraction.phantom import Pathology, PhantomParameters, PhantomTruth, make_phantom
from roi_extraction.sites import Side
from tests.ct_builders import cropped

__all__ = [
    "BY_EYE_MM",
    "FieldCase",
    "NamedCase",
    "field_cases",
    "judged",
    "named_downwards",
    "run_field",
    "series_volume",
]

BY_EYE_MM: Mapping[str, Mapping[str, float]] = {
    "pancreas_cb001": {
        "L1": 289.9, "L2": 253.9, "L3": 217.9, "L4": 181.9, "L5": 145.9, "S1": 118.9,
    },
    "lung1_001": {"L1": -624.5, "L2": -658.0},
    "c3l00189": {},
}  # fmt: skip
"""Heights of the bodies' centres by eye, z in LPS mm."""

PHANTOM = PhantomParameters.typical(
    rows=176, columns=176, noise_sd_hu=8.0, above_l1_mm=105.0, body_scale=1.0
)

PHANTOM_RIBS: Mapping[str, Pathology] = {
    "own ribs": Pathology(),
    "no 12th ribs": Pathology(last_ribs_mm=(0.0, 0.0)),
    "12th rib on one side": Pathology(last_ribs_mm=(400.0, 0.0)),
    "12th ribs of 40 mm": Pathology(last_ribs_mm=(40.0, 40.0)),
    "12th ribs of 75 mm": Pathology(last_ribs_mm=(75.0, 75.0)),
    "lumbar ribs of 45 mm": Pathology(lumbar_ribs_mm=(45.0, 45.0)),
    "lumbar ribs of 80 mm": Pathology(lumbar_ribs_mm=(80.0, 80.0)),
    "four lumbar vertebrae": Pathology(lumbar_vertebrae=4),
    "six lumbar vertebrae": Pathology(lumbar_vertebrae=6),
}

PAINTED = (
    "no 12th ribs", "12th rib on one side", "12th ribs of 40 mm", "12th ribs of 80 mm",
    "lumbar ribs of 45 mm", "lumbar ribs of 80 mm",
)  # fmt: skip
"""What is done to the ribs of a real scan."""


@dataclass(frozen=True)
class FieldCase:
    """A part of a scan between two heights, z in LPS mm; names are judged, not regions."""

    name: str
    group: str
    scan: str
    low_mm: float | None = None
    high_mm: float | None = None
    ribs: str = "own ribs"
    complete: bool = False
    miscounted: bool = False

    @property
    def changes(self) -> str:
        """What was done to the scan, in words."""
        ends = [f"from z {self.low_mm:g}"] if self.low_mm is not None else []
        ends += [f"to z {self.high_mm:g}"] if self.high_mm is not None else []
        return ", ".join([self.scan, *ends, self.ribs])


def field_cases() -> Iterator[FieldCase]:
    """All fields, by kind."""
    pancreas = BY_EYE_MM["pancreas_cb001"]
    for scan in ("pancreas_cb001", "lung1_001", "c3l00189"):
        yield FieldCase(f"field {scan}", "field: whole scan", scan)
    for name in ("L2", "L3", "L4"):
        for shift_mm, part in ((-18.0, "below"), (0.0, "mid")):
            yield FieldCase(
                f"field {part} {name}", f"field: ends {part} {name}", "pancreas_cb001",
                low_mm=pancreas[name] + shift_mm,
            )  # fmt: skip
    for number, top_mm in enumerate((254.0, 272.0, 290.0, 308.0, 326.0)):
        yield FieldCase(
            f"field top {number}", "field: starts at L2 to T12", "pancreas_cb001", high_mm=top_mm
        )
    for low, high_mm in (("L2", 340.0), ("L3", 370.0), ("L4", 370.0), ("L3", 400.0)):
        yield FieldCase(
            f"field {high_mm:g} {low}", "field: T10-T12 to L2-L4", "pancreas_cb001",
            low_mm=pancreas[low] - 18.0, high_mm=high_mm,
        )  # fmt: skip
    for high_mm in (-330.0, -400.0, -500.0):
        yield FieldCase(f"field lung {high_mm:g}", "field: chest cut above", "lung1_001",
                        high_mm=high_mm)  # fmt: skip
    for low_mm in (-670.0, -645.0, -624.0):
        yield FieldCase(f"field lung {low_mm:g}", "field: chest cut below", "lung1_001",
                        low_mm=low_mm)  # fmt: skip
    for ribs in PAINTED:
        for end_mm in (None, pancreas["L4"] - 18.0):
            name = f"painted {ribs}{'' if end_mm is None else ', cut'}"
            yield FieldCase(
                name, f"ribs painted: {ribs}", "pancreas_cb001", low_mm=end_mm, ribs=ribs
            )
    for ribs in PHANTOM_RIBS:
        for end_mm in (None, -60.0):
            name = f"phantom {ribs}{'' if end_mm is None else ', cut'}"
            yield FieldCase(name, f"phantom: {ribs}", "phantom", low_mm=end_mm, ribs=ribs)


class NamedCase(Protocol):
    """A case of which the names are judged, not the regions."""

    @property
    def name(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def changes(self) -> str: ...
    @property
    def complete(self) -> bool: ...


def run_field(case: FieldCase) -> Score:
    """Name the levels of a field, and hold them against their heights."""
    return judged(*_volume(case), case)


def judged(volume: CtVolume, truth: Mapping[str, float], case: NamedCase) -> Score:
    """Name the levels of a volume, and hold them against their heights by name, mm."""
    about: dict[str, Any] = {
        "case": case.name, "group": case.group, "changes": case.changes, "complete": case.complete,
    }  # fmt: skip
    started = time.perf_counter()
    try:
        spine = find_spine(volume)
    except RoiError as error:
        seconds = time.perf_counter() - started
        return Score(outcome="refused", message=f"{error.code}: {error}", seconds=seconds, **about)
    seconds = time.perf_counter() - started
    away = {
        str(level): abs(float(body.centre_lps_mm[2]) - truth.get(str(level), np.inf))
        for level, body in spine.bodies.items()
    }
    wrong = [name for name, mm in away.items() if mm > MISNAMED_MM]
    return Score(
        outcome="wrong" if wrong else "right",
        message=", ".join(f"{name} {away[name]:.0f} mm off" for name in wrong),
        confidence=spine.confidence,
        findings=tuple(finding.code for finding in spine.findings),
        body_mm=away,
        seconds=seconds,
        **about,
    )


@cache
def series_volume(name: str) -> CtVolume:
    """A shared DICOM series, also one of a kernel that the node refuses."""
    found, _ = scan_folder(sorted((shared_ct() / name).glob("*.dcm")))
    rules = AcquisitionRules(kernel_lung_bone="warn")
    return read_volume(check_series(found, Acquisition(rules=rules)))


def _volume(case: FieldCase) -> tuple[CtVolume, Mapping[str, float]]:
    """The field, and the heights of its bodies by name, mm."""
    if case.scan == "phantom":
        volume, truth = _phantom(case.ribs)
    else:
        volume, truth = _painted(case.scan, case.ribs), BY_EYE_MM[case.scan]
    ends = [
        None if z is None else round(float(volume.to_index([0.0, 0.0, z])[0]))
        for z in (case.low_mm, case.high_mm)
    ]
    return cropped(volume, slice(ends[0], ends[1])), truth


@cache
def _phantom(ribs: str) -> tuple[CtVolume, Mapping[str, float]]:
    """A phantom, its bodies named downwards from the last ribs."""
    found = make_phantom(replace(PHANTOM, pathology=PHANTOM_RIBS[ribs]), 1)
    return found.volume, {name: float(p[2]) for name, p in named_downwards(found.truth).items()}


def named_downwards(truth: PhantomTruth) -> Mapping[str, npt.NDArray[np.float64]]:
    """Centres of a phantom's bodies, named downwards from the last ribs, LPS mm."""
    centres = truth.body_centres_lps_mm
    downwards = sorted(centres, key=lambda name: -float(centres[name][2]))
    first = downwards.index("L1") + 5 - truth.lumbar_vertebrae
    lumbar = {
        name: centres[real]
        for name, real in zip(("L1", "L2", "L3", "L4", "L5"), downwards[first:-1], strict=False)
    }
    return lumbar | {"S1": centres["S1"]}


@cache
def _painted(scan: str, ribs: str) -> CtVolume:
    """A real scan with other ribs, made along the courses of its own 12th ribs."""
    volume = series_volume(scan)
    if ribs == "own ribs":
        return volume
    grid = coarse_grid(volume)
    straight = straighten(volume, grid, find_canal(grid))
    last = find_ribs(volume, straight, 0.0).levels[0]
    down = np.array([0.0, 0.0, -36.0])
    for side in (Side.RIGHT,) if "one side" in ribs else Side:
        course = rib_length(volume, straight, last.ribs[side]).path_lps_mm
        length_mm = float(ribs.split()[-2]) if ribs.endswith("mm") else 0.0
        if ribs.startswith("lumbar"):
            volume = with_rib(volume, part_of_course(course, 0.0, length_mm) + down)
        else:
            gone = part_of_course(course, length_mm, np.inf)
            volume = without_bone_along(volume, gone, seed=1)
    return volume
