"""The frozen list of cases: every one is named, seeded and described by what was done to it."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.roi.scans import LabelledScan, MovedScan, load_scan
from dicom_node.series.instances import scan_folder
from dicom_node.series.selection import check_series
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from dicom_node.series.volume_reader import read_volume
from dicom_node.settings.node import Acquisition
from roi_extraction import CtVolume, DiscLevel, Level
from roi_extraction.phantom import PhantomParameters
from tests.ct_builders import (
    cropped,
    fat_infiltrated,
    lowered_bone,
    noisy,
    resampled,
    restacked,
    turn,
    with_screw,
)
from tests.dicom_builders import edit, flip

__all__ = [
    "PHANTOMS",
    "Case",
    "build",
    "moved_copy",
    "moved_words",
    "phantom_cases",
    "real_cases",
]

PHANTOMS = 200
"""Number of random phantoms."""

KINDS = {
    "fractures": "fracture",
    "osteophytes": "osteophyte",
    "scoliosis_cobb_deg": "scoliosis",
    "lumbar_vertebrae": "four or six lumbar",
    "aorta_hu": "contrast",
    "vein_hu": "contrast in veins",
    "aortic_calcification": "calcified aorta",
}
"""What the phantoms' pathology is called."""

REPEATS = 20
"""Slightly moved copies from which repeatability is taken."""


@dataclass(frozen=True)
class Case:
    """One scan to measure.

    Parameters
    ----------
    group
        Under which it is counted in the tables.
    seed
        Of the noise, and of a phantom.
    """

    name: str
    group: str
    scan: str
    seed: int = 0
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    slice_mm: float | None = None
    pixel_mm: float | None = None
    noise_hu: float = 0.0
    bone_lowered_hu: float = 0.0
    fat_share: float = 0.0
    crop: str | None = None
    screw: Level | None = None
    dicom: str | None = None
    cut_out: Level | None = None
    doubled: Level | None = None

    @cached_property
    def patient(self) -> PhantomParameters | None:
        """Whom a phantom shows; None for a real scan."""
        return PhantomParameters.random_wide(self.seed) if self.scan == "phantom" else None

    @property
    def complete(self) -> bool:
        """Whether the whole lumbar spine with its surroundings is in the field."""
        return self.scan == "totalseg" and self.crop is None and not self.miscounted

    @property
    def miscounted(self) -> bool:
        """Whether the patient has four or six lumbar vertebrae."""
        if self.patient is not None:
            return self.patient.pathology.lumbar_vertebrae != 5
        return self.cut_out is not None or self.doubled is not None

    @property
    def changes(self) -> str:
        """What was done to the scan, in words."""
        if self.patient is not None:
            kinds = [KINDS.get(kind, kind) for kind in self.patient.pathology.kinds]
            return ", ".join([*kinds, f"slices {self.patient.slice_thickness_mm:g} mm"])
        words = moved_words(self.rotation_deg, self.slice_mm, self.pixel_mm, self.noise_hu)
        if self.bone_lowered_hu:
            words.append(f"bone -{self.bone_lowered_hu:g}")
        if self.fat_share:
            words.append(f"fat {self.fat_share:.0%}")
        if self.crop:
            words.append(self.crop)
        if self.screw:
            words.append(f"screw in {self.screw}")
        if self.miscounted:
            words.append(f"{self.cut_out} cut out" if self.cut_out else f"{self.doubled} doubled")
        if self.dicom:
            words.append(self.dicom)
        return ", ".join(words) or "as it is"


def real_cases() -> Iterator[Case]:
    """All cases that are made of real scans."""
    yield Case("totalseg", "as it is", "totalseg")
    for number in range(24):
        angle = _angles(number)
        shift = _draw(number, 1).uniform(-4, 4, 3).round(1)
        yield Case(
            f"turned {number}", "turned to 15 degrees", "totalseg", number, angle, _three(shift)
        )
    for number in range(12):
        noise = (15.0, 30.0)[number % 2]
        yield Case(
            f"noise {number}", "noise 15 and 30 HU", "totalseg", number,
            _angles(100 + number) if number > 1 else (0.0, 0.0, 0.0), noise_hu=noise,
        )  # fmt: skip
    grids = [(s, p) for s in (1.0, 3.0, 5.0) for p in (0.5, 0.7, 0.85, 1.0)]
    for number, (slice_mm, pixel_mm) in enumerate(grids):
        yield Case(
            f"grid {number}", "slices 1, 3, 5 mm, pixels 0.5-1 mm", "totalseg", number,
            _angles(200 + number, 8.0), slice_mm=slice_mm, pixel_mm=pixel_mm, noise_hu=10.0,
        )  # fmt: skip
    for number in range(6):
        yield Case(
            f"fat {number}", "muscles fat-infiltrated", "totalseg", number,
            _angles(300 + number, 10.0), fat_share=(0.15, 0.3, 0.45)[number % 3],
        )  # fmt: skip
    for group, lowered, count in (("bone -60 HU", 60.0, 24), ("bone -100 HU", 100.0, 12)):
        for number in range(count):
            step, pixel = ((None, None), (1.0, 1.0), (5.0, 0.9))[number % 3]
            yield Case(
                f"{group} {number}", group, "totalseg", number, _angles(400 + number),
                slice_mm=step, pixel_mm=pixel, noise_hu=(0.0, 15.0, 30.0)[number // 3 % 3],
                bone_lowered_hu=lowered,
            )  # fmt: skip
    for kind in CROPS:
        for number in range(4):
            yield Case(
                f"{kind} {number}", "cropped", "totalseg", number, _angles(500 + number, 8.0),
                crop=kind,
            )  # fmt: skip
    for number, level in enumerate((Level.L2, Level.L4, Level.L5, Level.L3)):
        yield Case(
            f"screw {level}", "metal screw", "totalseg", number, _angles(600 + number, 8.0),
            screw=level,
        )  # fmt: skip
    for number, level in enumerate((Level.L2, Level.L3, Level.L4, Level.L5) * 3):
        rotation = _angles(800 + number, 10.0) if number > 3 else (0.0, 0.0, 0.0)
        noise_hu = (0.0, 15.0, 30.0)[number // 4]
        group = "four or six lumbar vertebrae"
        yield Case(
            f"cut {number}", group, "totalseg", number, rotation, noise_hu=noise_hu,
            cut_out=level,
        )  # fmt: skip
        yield Case(
            f"doubled {number}", group, "totalseg", number, rotation, noise_hu=noise_hu,
            doubled=level,
        )  # fmt: skip
    for dicom in DICOM:
        yield Case(dicom, "as DICOM", "totalseg", dicom=dicom)
    for number in range(REPEATS):
        draw = _draw(number, 7)
        yield Case(
            f"repeat {number}", "repeated (3 degrees, 2 mm, noise 10)", "totalseg", number,
            _three(draw.uniform(-3, 3, 3)), _three(draw.uniform(-2, 2, 3)), noise_hu=10.0,
        )  # fmt: skip
    for scan in ("verse014", "tptbox"):
        yield Case(scan, scan, scan)
        for number in range(6):
            yield Case(
                f"{scan} {number}", scan, scan, number, _angles(700 + number),
                slice_mm=2.0, pixel_mm=1.0, noise_hu=(0.0, 15.0)[number % 2],
                bone_lowered_hu=(0.0, 60.0)[number // 2 % 2],
            )  # fmt: skip


def phantom_cases(count: int = PHANTOMS) -> Iterator[Case]:
    """Random phantoms over the whole range of the generator."""
    for seed in range(count):
        yield Case(f"phantom {seed}", "phantom", "phantom", seed)


def build(case: Case) -> MovedScan:
    """Make the scan of a case that is made of a real one."""
    source = load_scan(case.scan)
    volume = source.volume
    if case.bone_lowered_hu:
        volume = lowered_bone(volume, source.bone, case.bone_lowered_hu)
    if case.fat_share:
        masks = source.muscle.values()
        volume = fat_infiltrated(volume, reduce(np.logical_or, masks), case.fat_share, case.seed)
    if case.screw:
        volume = _with_pedicle_screws(source, volume, case.screw)
    if case.miscounted:
        volume = _restacked(source, volume, case)
    volume, moved = moved_copy(
        volume, case.rotation_deg, case.shift_mm, case.slice_mm, case.pixel_mm,
        noise_hu=case.noise_hu, seed=case.seed,
    )  # fmt: skip
    if case.dicom:
        volume = _through_dicom(volume, case.dicom)
    scan = MovedScan(volume, source, np.asarray(np.linalg.inv(moved), np.float64))
    return scan if case.crop is None else CROPS[case.crop](scan, case.seed)


def moved_copy(
    volume: CtVolume,
    rotation_deg: tuple[float, float, float],
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    slice_mm: float | None = None,
    pixel_mm: float | None = None,
    *,
    noise_hu: float,
    seed: int,
) -> tuple[CtVolume, npt.NDArray[np.float64]]:
    """A copy that is turned, shifted, on another grid, noisy; and the 4 x 4 way of its points."""
    moved = turn(volume, rotation_deg, shift_mm)
    if any(rotation_deg) or any(shift_mm) or slice_mm or pixel_mm:
        volume, _ = resampled(
            volume, rotation_deg=rotation_deg, shift_mm=shift_mm,
            slice_mm=slice_mm, pixel_mm=pixel_mm,
        )  # fmt: skip
    return (noisy(volume, noise_hu, seed) if noise_hu else volume), moved


def moved_words(
    rotation_deg: tuple[float, float, float],
    slice_mm: float | None,
    pixel_mm: float | None,
    noise_hu: float,
) -> list[str]:
    """What `moved_copy` did, in words."""
    words = []
    if any(rotation_deg):
        words.append("turned " + "/".join(f"{angle:+.0f}" for angle in rotation_deg))
    if slice_mm:
        words.append(f"slices {slice_mm:g} mm")
    if pixel_mm:
        words.append(f"pixels {pixel_mm:g} mm")
    if noise_hu:
        words.append(f"noise {noise_hu:g}")
    return words


def _draw(number: int, kind: int) -> np.random.Generator:
    return np.random.default_rng([20251, kind, number])


def _three(values: Any) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z


def _angles(number: int, most_deg: float = 15.0) -> tuple[float, float, float]:
    return _three(_draw(number, 0).uniform(-most_deg, most_deg, 3).round(1))


def _through_dicom(volume: CtVolume, how: str) -> CtVolume:
    """The volume written as a series in another way of storing it, and read again."""
    with tempfile.TemporaryDirectory() as folder:
        paths = write_ct_series(volume, Path(folder), InventedHeader(seed=how))
        rows, columns, backwards = DICOM[how]
        for number, path in enumerate(paths):
            flip(path, rows=rows, columns=columns)
            if backwards:
                edit(path, InstanceNumber=number + 1)
        found, _ = scan_folder(paths[::-1] if backwards else paths)
        return read_volume(check_series(found, Acquisition()))


def _restacked(source: LabelledScan, volume: CtVolume, case: Case) -> CtVolume:
    level = case.cut_out or case.doubled
    (above,) = (disc for disc in DiscLevel if disc.below == level)
    (below,) = (disc for disc in DiscLevel if disc.above == level)
    lower, upper = source.centres_mm[below], source.centres_mm[above]
    return restacked(volume, lower, upper, doubled=case.doubled is not None)


def _with_pedicle_screws(source: LabelledScan, volume: CtVolume, level: Level) -> CtVolume:
    centre = source.centres_mm[level]
    for side in (-1.0, 1.0):
        back = centre + np.array([side * 18.0, 48.0, 4.0])
        front = centre + np.array([side * 8.0, -4.0, 0.0])
        volume = with_screw(volume, back, front)
    return volume


def _z_index(scan: MovedScan, level: Level, above_mm: float) -> int:
    centre = scan.from_source(scan.source.centres_mm[level])
    return round(float(scan.volume.to_index(centre + np.array([0.0, 0.0, above_mm]))[0]))


def _from(scan: MovedScan, slices: slice) -> MovedScan:
    return MovedScan(cropped(scan.volume, slices), scan.source, scan.to_source)


def _without_l1(scan: MovedScan, seed: int) -> MovedScan:
    return _from(scan, slice(0, _z_index(scan, Level.L1, -16.0 + 8.0 * seed)))


def _without_l2(scan: MovedScan, seed: int) -> MovedScan:
    return _from(scan, slice(0, _z_index(scan, Level.L2, -16.0 + 8.0 * seed)))


def _above_l4(scan: MovedScan, seed: int) -> MovedScan:
    return _from(scan, slice(0, _z_index(scan, Level.L3, -20.0 + 8.0 * seed)))


def _without_s1(scan: MovedScan, seed: int) -> MovedScan:
    return _from(scan, slice(_z_index(scan, Level.S1, 18.0 - 12.0 * seed), None))


def _without_l5(scan: MovedScan, seed: int) -> MovedScan:
    return _from(scan, slice(_z_index(scan, Level.L5, 18.0 - 6.0 * seed), None))


def _narrow(scan: MovedScan, seed: int) -> MovedScan:
    half_mm = (55.0, 65.0, 75.0, 90.0)[seed]
    centre = scan.from_source(scan.source.centres_mm[Level.L3])
    column, width = scan.volume.to_index(centre)[2], half_mm / scan.volume.spacing_mm[2]
    columns = slice(max(0, round(column - width)), round(column + width))
    return MovedScan(cropped(scan.volume, columns=columns), scan.source, scan.to_source)


DICOM = {
    "slices in reverse order": (False, False, True),
    "prone": (True, True, False),
    "feet first": (False, True, True),
}
"""Rows and columns turned over, slices in reverse order."""

CROPS = {
    "L1 outside": _without_l1,
    "L1 and L2 outside": _without_l2,
    "ends at L4": _above_l4,
    "S1 outside": _without_s1,
    "L5 and S1 outside": _without_l5,
    "sides outside": _narrow,
}
