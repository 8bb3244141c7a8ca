"""The 36 measurement sites: their levels, muscles, sides, names and order."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["SITES", "SITES_BY_NAME", "DiscLevel", "Level", "Muscle", "Side", "Site"]


class Level(StrEnum):
    """Vertebral levels that are measured, from head to feet."""

    L1 = "L1"
    L2 = "L2"
    L3 = "L3"
    L4 = "L4"
    L5 = "L5"
    S1 = "S1"


class DiscLevel(StrEnum):
    """Intervertebral discs at whose height muscles are measured, from head to feet."""

    L1_L2 = "L1-L2"
    L2_L3 = "L2-L3"
    L3_L4 = "L3-L4"
    L4_L5 = "L4-L5"
    L5_S1 = "L5-S1"

    @property
    def above(self) -> Level:
        """The vertebra on the head side of the disc."""
        return Level(self.value.split("-")[0])

    @property
    def below(self) -> Level:
        """The vertebra on the foot side of the disc."""
        return Level(self.value.split("-")[1])


class Muscle(StrEnum):
    """The three paravertebral muscles of the published method."""

    TRANSVERSOSPINALIS = "transversospinalis"
    LONGISSIMUS = "longissimus"
    PSOAS_MAJOR = "psoas major"


class Side(StrEnum):
    """The patient's side."""

    RIGHT = "right"
    LEFT = "left"


@dataclass(frozen=True)
class Site:
    """One measurement site.

    Parameters
    ----------
    name
        The cohort's column name, such as ``L1`` or ``L4-L5_3``.
    level
        The vertebra, or None for a muscle.
    disc, muscle, side
        Set for a muscle, None for a vertebra. Numbers 1-3 are taken as the patient's right and
        4-6 as the left; the publication does not say which side is which.
    """

    name: str
    level: Level | None = None
    disc: DiscLevel | None = None
    muscle: Muscle | None = None
    side: Side | None = None

    @property
    def is_vertebra(self) -> bool:
        """Whether the site is a vertebral body."""
        return self.level is not None

    @property
    def label(self) -> str:
        """The site's name in words, without its side."""
        if self.level is not None:
            return f"{self.level} vertebral body"
        return f"{self.muscle}, {self.disc}"


def _sites() -> tuple[Site, ...]:
    vertebrae = [Site(level.value, level=level) for level in Level]
    muscles = [
        Site(f"{disc}_{number}", disc=disc, muscle=muscle, side=side)
        for disc in DiscLevel
        for number, (side, muscle) in enumerate(
            ((side, muscle) for side in (Side.RIGHT, Side.LEFT) for muscle in Muscle), start=1
        )
    ]
    return (*vertebrae, *muscles)


SITES: tuple[Site, ...] = _sites()
"""All 36 sites in the order of the published cohort's columns (Wang 2025)."""

SITES_BY_NAME: dict[str, Site] = {site.name: site for site in SITES}
"""The sites by the cohort's column name."""
