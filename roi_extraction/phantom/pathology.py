"""What may be wrong, unusual or implanted in a phantom patient."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

__all__ = [
    "NATIVE_AORTA_HU",
    "NATIVE_VEIN_HU",
    "PATHOLOGY_DISCS",
    "PATHOLOGY_LEVELS",
    "Cement",
    "Fracture",
    "FractureKind",
    "Osteophyte",
    "Pathology",
    "Sclerosis",
    "Screws",
]  # fmt: skip

PATHOLOGY_LEVELS = ("T11", "T12", "L1", "L2", "L3", "L4", "L5")
"""Vertebrae, named from the sacrum, that may be given a finding."""

PATHOLOGY_DISCS = ("T11-T12", "T12-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1")
"""Discs that osteophytes may surround."""

NATIVE_AORTA_HU, NATIVE_VEIN_HU = 45.0, 42.0
"""HU of blood without contrast agent."""


class FractureKind(StrEnum):
    """Shapes of a vertebral fracture after Genant 1993 (doi 10.1002/jbmr.5650080915)."""

    WEDGE = "wedge"
    BICONCAVE = "biconcave"
    CRUSH = "crush"


@dataclass(frozen=True)
class Fracture:
    """A vertebra that has lost height.

    Parameters
    ----------
    level
        Such as ``L1``.
    kind
        Where the height is lost: at the anterior wall, in the middle of both endplates, or all
        over.
    height_loss
        0.1 to 0.6. ``wedge``: anterior against posterior height; ``biconcave``: middle height
        against that of the rims; ``crush``: height against that before the fracture.
    compaction_hu
        How much denser its trabecular bone has become, HU.
    """

    level: str
    kind: FractureKind = FractureKind.WEDGE
    height_loss: float = 0.3
    compaction_hu: float = 0.0

    def __post_init__(self) -> None:
        _one_of("fracture level", self.level, PATHOLOGY_LEVELS)
        object.__setattr__(self, "kind", FractureKind(self.kind))
        _within("height_loss", self.height_loss, 0.1, 0.6)
        _within("compaction_hu", self.compaction_hu, 0.0, 300.0)


@dataclass(frozen=True)
class Sclerosis:
    """Dense bone in a body.

    Parameters
    ----------
    level
        Such as ``L3``.
    gain_hu
        How much denser than the rest, HU.
    radius_mm
        Of a focal spot; None: the whole body is dense.
    """

    level: str
    gain_hu: float = 250.0
    radius_mm: float | None = 6.0

    def __post_init__(self) -> None:
        _one_of("sclerosis level", self.level, PATHOLOGY_LEVELS)
        _within("gain_hu", self.gain_hu, 20.0, 1000.0)
        if self.radius_mm is not None:
            _within("radius_mm", self.radius_mm, 2.0, 15.0)


@dataclass(frozen=True)
class Osteophyte:
    """Spurs at the rims of two bodies, on both sides in front and at the side.

    Parameters
    ----------
    disc
        Such as ``L3-L4``.
    size_mm
        How far they stand out.
    bridging
        Whether they meet across the disc.
    """

    disc: str
    size_mm: float = 7.0
    bridging: bool = True

    def __post_init__(self) -> None:
        _one_of("osteophyte disc", self.disc, PATHOLOGY_DISCS)
        _within("size_mm", self.size_mm, 2.0, 15.0)


@dataclass(frozen=True)
class Cement:
    """Bone cement in a body.

    Parameters
    ----------
    level
        Such as ``L1``.
    hu
        Its mean HU; it varies by about a third within.
    volume_ml
        How much there is, about.
    """

    level: str
    hu: float = 1000.0
    volume_ml: float = 4.0

    def __post_init__(self) -> None:
        _one_of("cement level", self.level, PATHOLOGY_LEVELS)
        _within("cement hu", self.hu, 300.0, 2500.0)
        _within("volume_ml", self.volume_ml, 0.5, 10.0)


@dataclass(frozen=True)
class Screws:
    """Pedicle screws on both sides with a rod between neighbours.

    Parameters
    ----------
    levels
        Vertebrae that hold screws.
    hu
        HU of the metal.
    streak_hu
        SD of the streaks in the body that the screws go through, HU; 0: none.
    """

    levels: tuple[str, ...]
    hu: float = 2900.0
    streak_hu: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(self.levels))
        if not self.levels:
            raise ValueError("screws need at least one level")
        for level in self.levels:
            _one_of("screw level", level, PATHOLOGY_LEVELS)
        _within("screw hu", self.hu, 2000.0, 3071.0)
        _within("streak_hu", self.streak_hu, 0.0, 300.0)


LONGEST_RIB_MM = 400.0
"""No rib is longer, mm."""


@dataclass(frozen=True)
class Pathology:
    """Everything about a patient that is not as usual; none of it by default.

    Levels are named from the sacrum upwards, whatever ``lumbar_vertebrae`` is.

    Parameters
    ----------
    fractures, sclerosis, cement, osteophytes
        Findings, at most one of a kind at a level.
    screws
        Metal, or None.
    scoliosis_cobb_deg
        Cobb angle, -20 to 20 degrees; positive: convex to the patient's left.
    scoliosis_apex
        The vertebra that lies farthest from the mid-line.
    lumbar_vertebrae
        4 to 6: how many vertebrae without ribs lie above the sacrum. The lowest rib hangs on the
        next one: on the vertebra that the labels call L1, T12 or T11.
    last_ribs_mm
        Greatest length of the last ribs, right and left, mm from 20 mm lateral of the spine; 0
        for none.
    lumbar_ribs_mm
        The same of ribs of the vertebra below, usually none.
    aorta_hu, vein_hu
        HU of the blood in aorta and common iliac arteries, and in vena cava and common iliac
        veins.
    aortic_calcification
        Share of the aortic wall that is calcified, 0 to 0.8.
    """

    fractures: tuple[Fracture, ...] = ()
    sclerosis: tuple[Sclerosis, ...] = ()
    cement: tuple[Cement, ...] = ()
    osteophytes: tuple[Osteophyte, ...] = ()
    screws: Screws | None = None
    scoliosis_cobb_deg: float = 0.0
    scoliosis_apex: str = "L2"
    lumbar_vertebrae: int = 5
    last_ribs_mm: tuple[float, float] = (LONGEST_RIB_MM, LONGEST_RIB_MM)
    lumbar_ribs_mm: tuple[float, float] = (0.0, 0.0)
    aorta_hu: float = NATIVE_AORTA_HU
    vein_hu: float = NATIVE_VEIN_HU
    aortic_calcification: float = 0.0

    def __post_init__(self) -> None:
        for name in ("fractures", "sclerosis", "cement", "osteophytes"):
            found = tuple(getattr(self, name))
            object.__setattr__(self, name, found)
            places = [item.disc if isinstance(item, Osteophyte) else item.level for item in found]
            if len(set(places)) < len(places):
                raise ValueError(f"{name} may name a level once, found {', '.join(places)}")
        _within("scoliosis_cobb_deg", self.scoliosis_cobb_deg, -20.0, 20.0)
        _one_of("scoliosis_apex", self.scoliosis_apex, ("L1", "L2", "L3"))
        if self.lumbar_vertebrae not in (4, 5, 6):
            raise ValueError(f"lumbar_vertebrae must be 4, 5 or 6, found {self.lumbar_vertebrae}")
        for name in ("last_ribs_mm", "lumbar_ribs_mm"):
            for length in getattr(self, name):
                _within(name, length, 0.0, LONGEST_RIB_MM)
        _within("aorta_hu", self.aorta_hu, 20.0, 600.0)
        _within("vein_hu", self.vein_hu, 20.0, 600.0)
        _within("aortic_calcification", self.aortic_calcification, 0.0, 0.8)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the fields that are not as usual."""
        usual = Pathology()
        return tuple(
            field.name
            for field in fields(self)
            if field.name not in {"scoliosis_apex"}
            and getattr(self, field.name) != getattr(usual, field.name)
        )

    @property
    def findings(self) -> dict[str, tuple[str, ...]]:
        """What alters the inside of a body, by level: HU there says little about bone density."""
        held: dict[str, list[str]] = {}
        for finding, items in (
            ("fracture", self.fractures), ("sclerosis", self.sclerosis), ("cement", self.cement),
        ):  # fmt: skip
            for item in items:
                held.setdefault(item.level, []).append(finding)
        for level in self.screws.levels if self.screws else ():
            held.setdefault(level, []).append("screws")
        return {level: tuple(names) for level, names in held.items()}

    def gain_hu(self, level: str) -> float:
        """Return how much denser a body's trabecular bone is all over, HU."""
        gain = sum(item.compaction_hu for item in self.fractures if item.level == level)
        gain += sum(
            item.gain_hu
            for item in self.sclerosis
            if item.level == level and item.radius_mm is None
        )
        return float(gain)

    def fracture(self, level: str) -> Fracture | None:
        """Return the fracture of a level, if it has one."""
        return next((item for item in self.fractures if item.level == level), None)


def _one_of(what: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(allowed)}, found {value!r}")


def _within(what: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError(f"{what} must be {low:g} to {high:g}, found {value}")
