"""What a phantom patient and its scan look like."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from roi_extraction.phantom.pathology import Pathology
from roi_extraction.phantom.random_pathology import random_pathology
from roi_extraction.sites import SITES, Muscle

__all__ = ["Density", "PhantomParameters", "PhantomSex"]


class PhantomSex(StrEnum):
    """The phantom's sex: a woman's vertebrae are smaller."""

    FEMALE = "female"
    MALE = "male"


class Density(StrEnum):
    """Bone density in the terms of the published stages A to D."""

    NORMAL = "normal"
    OSTEOPENIA = "osteopenia"
    OSTEOPOROSIS = "osteoporosis"
    FRACTURE = "fracture"


TRABECULAR_HU: dict[Density, tuple[float, ...]] = {
    Density.NORMAL: (166.0, 163.0, 157.0, 158.0, 169.0, 250.0),
    Density.OSTEOPENIA: (135.0, 130.0, 123.0, 123.0, 131.0, 225.0),
    Density.OSTEOPOROSIS: (110.0, 97.0, 91.0, 91.0, 104.0, 170.0),
    Density.FRACTURE: (105.0, 92.0, 81.0, 76.0, 83.0, 134.0),
}
"""Typical trabecular HU of L1..L5 and S1 in each stage, close to the medians of the published
cohort (Wang 2025, doi 10.1101/2025.02.12.25321163)."""

TYPICAL_MUSCLE_HU: dict[Muscle, tuple[float, ...]] = {
    Muscle.TRANSVERSOSPINALIS: (30.0, 30.0, 25.0, 6.0, -16.0),
    Muscle.LONGISSIMUS: (46.0, 45.0, 44.0, 34.0, 34.0),
    Muscle.PSOAS_MAJOR: (48.0, 49.0, 50.0, 50.0, 51.0),
}
"""Typical HU of the muscles at L1-L2 .. L5-S1 at ``TYPICAL_FAT_INFILTRATION``, close to the
medians of the published cohort (Wang 2025)."""

TYPICAL_FAT_INFILTRATION = 0.12
"""Fat infiltration, as a share, to which ``TYPICAL_MUSCLE_HU`` belongs."""

HU_PER_FAT_SHARE: dict[Muscle, float] = {
    Muscle.TRANSVERSOSPINALIS: 150.0,
    Muscle.LONGISSIMUS: 100.0,
    Muscle.PSOAS_MAJOR: 30.0,
}
"""Fall of a muscle's mean HU per unit of fat infiltration: a full replacement of muscle (60 HU) by
fat (-90 HU) in multifidus, less in the muscles that are spared longer."""

WIDE_SLICES_MM = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 3.0, 4.0, 5.0, 5.0)
"""Slice thicknesses of ``random_wide``, mm, as often as they are named."""

WIDE_VOXELS = 4.0e7
"""About how many voxels a scan of ``random_wide`` has at most; finer ones get larger pixels."""

HU_LIMIT = 1000.0
"""Largest true HU, in absolute value, that a site may be given."""


@dataclass(frozen=True)
class PhantomParameters:
    """A phantom patient and the scan made of it.

    Parameters
    ----------
    true_hu
        HU of the 36 sites: a mapping by site name with all 36, or a sequence in the cohort's
        order; kept as a tuple of 36 floats.
    sex, body_scale
        ``body_scale`` multiplies every length (1.0: a man of about 175 cm; women's vertebrae are
        a further 8 % smaller).
    lordosis_deg
        Angle between the upper endplates of L1 and S1, degrees.
    sacral_slope_deg
        Angle of the upper endplate of S1 against the horizontal (axial) plane, degrees.
    fat_infiltration
        0 to 0.5: widens the fat planes and coarsens the fatty streaks. It never shifts the mean
        of a muscle, which is ``true_hu``.
    noise_sd_hu
        Standard deviation of the noise, HU.
    texture
        Whether muscles have fatty streaks and bone its trabecular grain, both with a mean of zero
        over a few millimetres; without it and without noise every interior is exactly its true HU.
    slice_thickness_mm, slice_step_mm
        Nominal thickness of a slice and distance between slices.
    rows, columns, field_of_view_mm
        The matrix; the field is ``field_of_view_mm`` wide and pixels are square.
    field_offset_mm
        How far the middle of the field lies to the patient's left of, and behind, its usual place.
    above_l1_mm, below_s1_mm
        How far the scan reaches above the centre of L1 and below the centre of S1, along z;
        negative values crop it.
    ribs, ilia, aorta, bowel_gas, table
        Whether these are there; ``aorta`` stands for aorta and inferior vena cava.
    pathology
        Fractures, scoliosis, contrast agent, metal and the like.
    """

    true_hu: tuple[float, ...]
    sex: PhantomSex = PhantomSex.FEMALE
    body_scale: float = 1.0
    lordosis_deg: float = 50.0
    sacral_slope_deg: float = 38.0
    fat_infiltration: float = TYPICAL_FAT_INFILTRATION
    noise_sd_hu: float = 12.0
    texture: bool = True
    slice_thickness_mm: float = 3.0
    slice_step_mm: float = 3.0
    rows: int = 256
    columns: int = 256
    field_of_view_mm: float = 400.0
    field_offset_mm: tuple[float, float] = (0.0, 0.0)
    above_l1_mm: float = 62.0
    below_s1_mm: float = 52.0
    ribs: bool = True
    ilia: bool = True
    aorta: bool = True
    bowel_gas: bool = True
    table: bool = True
    pathology: Pathology = field(default_factory=Pathology)

    def __post_init__(self) -> None:
        object.__setattr__(self, "true_hu", _as_tuple(self.true_hu))
        limits = {
            "body_scale": (0.7, 1.4),
            "lordosis_deg": (10.0, 80.0),
            "sacral_slope_deg": (10.0, 60.0),
            "fat_infiltration": (0.0, 0.5),
            "noise_sd_hu": (0.0, 200.0),
            "slice_thickness_mm": (0.1, 20.0),
            "slice_step_mm": (0.1, 20.0),
            "field_of_view_mm": (50.0, 1000.0),
            "rows": (16, 1024),
            "columns": (16, 1024),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise ValueError(f"{name} must be {low} to {high}, found {value}")

    @property
    def hu_by_site(self) -> dict[str, float]:
        """The true HU by site name, without pathology."""
        return {site.name: hu for site, hu in zip(SITES, self.true_hu, strict=True)}

    @property
    def pixel_mm(self) -> float:
        """Edge of a pixel, mm."""
        return self.field_of_view_mm / self.columns

    @classmethod
    def typical(
        cls,
        sex: PhantomSex = PhantomSex.FEMALE,
        density: Density = Density.NORMAL,
        fat_infiltration: float = TYPICAL_FAT_INFILTRATION,
        **others: Any,
    ) -> "PhantomParameters":
        """Return a patient with the usual HU of a stage.

        Parameters
        ----------
        sex, density, fat_infiltration
            Choose the HU of the sites; fat infiltration lowers the muscles.
        others
            Any other field of the class.
        """
        values = dict(
            zip(("L1", "L2", "L3", "L4", "L5", "S1"), TRABECULAR_HU[density], strict=True)
        )
        excess = fat_infiltration - TYPICAL_FAT_INFILTRATION
        for site in SITES:
            if site.muscle is not None and site.disc is not None:
                row = list(type(site.disc)).index(site.disc)
                typical = TYPICAL_MUSCLE_HU[site.muscle][row]
                values[site.name] = max(-90.0, typical - HU_PER_FAT_SHARE[site.muscle] * excess)
        others.setdefault("body_scale", 0.95 if sex is PhantomSex.FEMALE else 1.0)
        hu = tuple(values[site.name] for site in SITES)
        return cls(hu, sex=sex, fat_infiltration=fat_infiltration, **others)

    @classmethod
    def random(cls, seed: int, **others: Any) -> "PhantomParameters":
        """Return a random patient with an ordinary scan, the same for the same seed.

        Parameters
        ----------
        seed
            Decides everything that ``others`` leaves open.
        others
            Any fields of the class, which then are not random.
        """
        rng = np.random.default_rng([seed, 0])
        sex = list(PhantomSex)[int(rng.integers(2))]
        density = list(Density)[int(rng.integers(4))]
        fat = float(rng.uniform(0.02, 0.35))
        lordosis = float(np.clip(rng.normal(48.0, 9.0), 25.0, 70.0))
        drawn: dict[str, Any] = {
            "lordosis_deg": lordosis,
            "sacral_slope_deg": float(np.clip(0.75 * lordosis + rng.normal(0.0, 4.0), 22.0, 52.0)),
            "body_scale": float(rng.uniform(0.88, 1.0) + (0.06 if sex is PhantomSex.MALE else 0.0)),
            "noise_sd_hu": float(rng.uniform(7.0, 20.0)),
        }
        shared_bone = rng.normal(0.0, 14.0)
        shared_muscle = rng.normal(0.0, 4.0)
        spread = [
            shared_bone + rng.normal(0.0, 6.0)
            if site.is_vertebra
            else shared_muscle + rng.normal(0.0, 3.0)
            for site in SITES
        ]
        hu = np.add(cls.typical(sex, density, fat).true_hu, spread)
        fields = {"true_hu": hu, "sex": sex, "fat_infiltration": fat, **drawn, **others}
        return cls(**fields)

    @classmethod
    def random_wide(cls, seed: int, **others: Any) -> "PhantomParameters":
        """Return a random patient over the generator's whole range, half of them with pathology.

        Slices of 1 to 5 mm, pixels of 0.6 to 1.2 mm (not the finest of both),
        trabecular bone and spine as of ``random``.

        Parameters
        ----------
        seed
            Decides everything that ``others`` leaves open.
        others
            Any fields of the class, which then are not random.
        """
        rng = np.random.default_rng([seed, 1])
        thickness = float(rng.choice(WIDE_SLICES_MM))
        pixel = float(rng.uniform(0.6, 1.2))
        field = float(rng.uniform(320.0, 420.0))
        above, below = float(rng.uniform(50.0, 110.0)), float(rng.uniform(48.0, 75.0))
        most = WIDE_VOXELS * thickness / (above + below + 140.0)
        pixel = max(pixel, min(1.2, field / math.sqrt(most)))
        columns = round(field / pixel)
        pathology = random_pathology(rng) if rng.random() < 0.5 else Pathology()
        drawn: dict[str, Any] = {
            "slice_thickness_mm": thickness,
            "slice_step_mm": thickness * (0.8 if thickness > 1 and rng.random() < 0.2 else 1.0),
            "rows": columns,
            "columns": columns,
            "field_of_view_mm": columns * pixel,
            "field_offset_mm": (float(rng.uniform(-12, 12)), float(rng.uniform(-12, 12))),
            "above_l1_mm": above,
            "below_s1_mm": below,
            "bowel_gas": bool(rng.random() < 0.85),
            "pathology": pathology,
        }
        return cls.random(seed, **{**drawn, **others})


def _as_tuple(values: Mapping[str, float] | Sequence[float]) -> tuple[float, ...]:
    names = [site.name for site in SITES]
    if isinstance(values, Mapping):
        if set(values) != set(names):
            wrong = sorted(set(values) ^ set(names))
            raise ValueError(f"true_hu needs the 36 site names, found a difference in {wrong}")
        values = [values[name] for name in names]
    if len(values) != len(names):
        raise ValueError(f"true_hu needs 36 values, found {len(values)}")
    numbers = tuple(float(value) for value in values)
    if not all(abs(value) <= HU_LIMIT for value in numbers):
        raise ValueError(f"true_hu must be finite and within {HU_LIMIT:g} HU of 0")
    return numbers
