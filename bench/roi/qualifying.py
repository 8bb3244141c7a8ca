"""Fields that hold T11 to L2 with both 12th ribs' tips, or twelve countable pairs: is L1 named?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from bench.roi.cases import moved_copy, moved_words
from bench.roi.fields import BY_EYE_MM, judged, named_downwards, series_volume
from bench.roi.scoring import Score
from roi_extraction import CtVolume
from roi_extraction.phantom import PhantomParameters, make_phantom
from roi_extraction.phantom.trunk import COURSES_MM
from tests.ct_builders import cropped

__all__ = ["QUALIFYING", "QualifyingCase", "qualifying_cases", "run_qualifying"]

QUALIFYING = "holds "
"""The groups of these fields begin so."""

SEEN_MM: Mapping[str, Mapping[str, tuple[float, float, float]]] = {
    "pancreas_cb001": {
        "T11-T12": (6, 128, 337), "T12-L1": (6, 126, 305), "L1-L2": (6, 120, 271),
        "L2-L3": (6, 113, 236), "L3-L4": (6, 109, 200), "L4-L5": (7, 110, 163),
        "L5-S1": (7, 119, 130),
        "root of 11th, right": (-20, 145, 357), "root of 11th, left": (34, 145, 357),
        "tip of 11th, right": (-122, 115, 228), "tip of 11th, left": (141, 115, 227),
        "tip of 12th, right": (-95, 149, 227), "tip of 12th, left": (114, 150, 240),
    },
    "lung1_001": {
        "T11-T12": (5, -146, -576), "T12-L1": (6, -150, -609), "L1-L2": (7, -158, -641),
        "L2-L3": (7, -168, -675), "upper endplate of L2": (7, -159, -646),
        "root of 1st, right": (-20, -200, -344), "root of 1st, left": (30, -200, -344),
        "root of 11th, right": (-21, -117, -558), "root of 11th, left": (35, -117, -558),
        "tip of 12th, right": (-72, -102, -625), "tip of 12th, left": (91, -104, -625),
    },
}  # fmt: skip
"""By eye, LPS mm: centres of discs, upper edges of the ribs where they leave the spine, and tips.

The 11th ribs of lung1_001 end at z -651 in calcified cartilage, which goes on to below the scan.
c3l00189 is not here: whether the stubs below its lowest long ribs are 12th ribs cannot be told by
eye. Nor is totalseg_example_ct: its 11th ribs leave the spine above the scan.
"""

T11_TO_L2 = ("L2-L3", "tip of 12th", "root of 11th")
TWELVE_PAIRS = ("upper endplate of L2", "root of 1st")
"""What a field must hold, lowest and highest; twelve pairs name L1 if its lower disc is whole."""

NECK_MM = 30.0
"""Above the roots of the first ribs a field with twelve countable pairs shows so much, mm: the
whole transverse process of C7, about 20 mm higher, so that a rib there would be seen."""

LEAST_HELD_MM = 5.0
"""The nearest to an end of a field that anything lies which counts as held, mm."""

STEP_MM = 18.0
"""Fields end in steps of half a vertebra, mm."""

SPARE_MM = 45.0
"""So much of the scan beyond the field is turned with it, mm."""

Point = npt.NDArray[np.float64]


@dataclass(frozen=True)
class QualifyingCase:
    """A field by how far it reaches beyond what it holds, mm; None: to the scan's end."""

    name: str
    group: str
    scan: str
    below_mm: float | None
    above_mm: float | None
    holds: tuple[str, ...] = T11_TO_L2
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    noise_hu: float = 0.0
    slice_mm: float | None = None
    seed: int = 0
    complete: bool = False
    miscounted: bool = False

    @property
    def changes(self) -> str:
        """What was done to the scan, in words."""
        words = [self.scan if self.scan != "phantom" else f"phantom {self.seed}"]
        ends = (("below", self.below_mm), ("above", self.above_mm))
        reach = [f"{mm:g} mm {side}" for side, mm in ends if mm is not None]
        if reach:
            words.append(f"ends {' and '.join(reach)} what it must hold")
        words += moved_words(self.rotation_deg, self.slice_mm, None, self.noise_hu)
        return ", ".join(words)


DISTURBED: Mapping[str, Mapping[str, object]] = {
    "as it is": {},
    "turned": {"rotation_deg": (8.0, -6.0, 7.0)},
    "turned otherwise": {"rotation_deg": (-9.0, 4.0, -8.0)},
    "noise": {"noise_hu": 15.0},
    "1 mm": {"slice_mm": 1.0},
    "5 mm": {"slice_mm": 5.0},
    "5 mm, turned, noise": {"slice_mm": 5.0, "rotation_deg": (5.0, -5.0, -6.0), "noise_hu": 15.0},
}
"""What is done to a scan before the field is cut from it."""

TURNED_ABOUT_HEAD = (0.0, 0.0, 8.0)
"""lung1_001 ends just below L2: turned another way that disc would leave the scan, degrees."""


def qualifying_cases() -> Iterator[QualifyingCase]:
    """All such fields, spread evenly over half a vertebra."""
    group = f"{QUALIFYING}T11 to L2 and tips: "
    for number, (how, changes) in enumerate(DISTURBED.items()):
        offset = LEAST_HELD_MM + STEP_MM * (number * 3 % 7) / 7
        for below, above in ((0, 0), (1, 2), (2, 5), (4, 1)):
            yield QualifyingCase(
                f"abdomen {how}, {below} below", f"{group}pancreas_cb001", "pancreas_cb001",
                round(offset + STEP_MM * below, 1), round(offset + STEP_MM * above, 1),
                seed=number, **changes,  # type: ignore[arg-type]
            )  # fmt: skip
    for number, how in enumerate(("as it is", "turned", "noise", "1 mm", "5 mm")):
        changes = {**DISTURBED[how]}
        if how == "turned":
            changes["rotation_deg"] = TURNED_ABOUT_HEAD
        offset = LEAST_HELD_MM + STEP_MM * number / 5
        for above in (0, 4):
            yield QualifyingCase(
                f"chest {how}, {above} above", f"{group}lung1_001", "lung1_001", None,
                round(offset + STEP_MM * above, 1), seed=number, **changes,  # type: ignore[arg-type]
            )  # fmt: skip
        if how == "5 mm":
            continue
        for below in (0, 1):
            yield QualifyingCase(
                f"twelve pairs {how}, {below} below", f"{QUALIFYING}twelve countable pairs",
                "lung1_001", round(offset + STEP_MM * below, 1), NECK_MM if below else None,
                TWELVE_PAIRS, seed=number, **changes,  # type: ignore[arg-type]
            )  # fmt: skip
    for seed in range(7):
        how = tuple(DISTURBED)[seed]
        offset = LEAST_HELD_MM + STEP_MM * (seed * 3 % 7) / 7
        for below in (0, 1):
            yield QualifyingCase(
                f"phantom field {seed}, {below} below", f"{group}phantoms", "phantom",
                round(offset + STEP_MM * below, 1), round(offset, 1), seed=seed,
                **DISTURBED[how],  # type: ignore[arg-type]
            )  # fmt: skip


def run_qualifying(case: QualifyingCase) -> Score:
    """Name the levels of such a field, and hold them against their heights."""
    volume, bodies, held = _whole(case)
    ends = (
        (0, -1, min(float(p[2]) for p in held), case.below_mm),
        (volume.shape[0], 1, max(float(p[2]) for p in held), case.above_mm),
    )
    first, last = (
        end if mm is None else _slice_at(volume, z + sign * (mm + SPARE_MM))
        for end, sign, z, mm in ends
    )
    volume, moved = moved_copy(
        cropped(volume, slice(first, last)), case.rotation_deg, slice_mm=case.slice_mm,
        noise_hu=case.noise_hu, seed=case.seed,
    )  # fmt: skip
    heights = {name: _moved(moved, point)[2] for name, point in bodies.items()}
    held_mm = [float(_moved(moved, point)[2]) for point in held]
    low, high = min(held_mm), max(held_mm)
    first = 0 if case.below_mm is None else _slice_at(volume, low - case.below_mm)
    last = volume.shape[0]
    if case.above_mm is not None:
        last = _slice_at(volume, high + case.above_mm) + 1
    volume = cropped(volume, slice(first, last))
    lowest, highest = (float(volume.to_lps([k, 0, 0])[2]) for k in (0, volume.shape[0] - 1))
    spare = LEAST_HELD_MM - volume.slice_step_mm / 2
    if lowest > low - spare or highest < high + spare:
        raise ValueError(f"{case.name} does not hold what it should")
    return judged(volume, heights, case)


def _whole(case: QualifyingCase) -> tuple[CtVolume, Mapping[str, Point], list[Point]]:
    """The scan, its bodies' centres by name, and what a field must hold, LPS mm."""
    if case.scan == "phantom":
        return _phantom(case.seed)
    seen = {name: np.array(point, float) for name, point in SEEN_MM[case.scan].items()}
    discs = np.array([seen[name] for name in seen if "-" in name])[::-1]
    bodies = {
        name: np.array([*(np.interp(z, discs[:, 2], discs[:, k]) for k in (0, 1)), z])
        for name, z in BY_EYE_MM[case.scan].items()
    }
    held = [point for name, point in seen.items() if name.startswith(case.holds)]
    return series_volume(case.scan), bodies, held


@cache
def _phantom(seed: int) -> tuple[CtVolume, Mapping[str, Point], list[Point]]:
    """A phantom with the ninth to the twelfth ribs, likewise."""
    found = make_phantom(
        PhantomParameters.random(
            seed, rows=176, columns=176, above_l1_mm=140.0, slice_thickness_mm=3.0,
            slice_step_mm=3.0,
        ),
        seed,
    )  # fmt: skip
    bodies, scale = found.truth.body_centres_lps_mm, found.parameters.body_scale
    tip, root = (np.array(COURSES_MM[n][k]) * scale for n, k in ((12, -1), (11, 1)))
    held = [found.truth.disc_centres_lps_mm["L2-L3"]]
    for name, place in (("T12", tip), ("T11", root)):
        held += [bodies[name] + place * (side, 1.0, 1.0) for side in (-1.0, 1.0)]
    return found.volume, named_downwards(found.truth), held


def _moved(matrix: Point, point: Point) -> Point:
    return np.asarray(matrix[:3, :3] @ point + matrix[:3, 3])


def _slice_at(volume: CtVolume, z_mm: float) -> int:
    """The slice at a height, at most the last."""
    place = round(float(volume.to_index([0.0, 0.0, z_mm])[0]))
    return min(max(place, 0), volume.shape[0] - 1)
