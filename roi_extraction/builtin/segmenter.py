"""The built-in segmenter: classical, deterministic, without network weights."""

from collections.abc import Mapping

from roi_extraction.anatomy import (
    Anatomy,
    Missing,
    MissingReason,
    NamingRoute,
    Region,
    SegmenterIdentity,
    SpineLandmarks,
)
from roi_extraction.back_muscles.posterior import posterior_regions
from roi_extraction.builtin.bodies import body_region
from roi_extraction.builtin.psoas import psoas_regions
from roi_extraction.builtin.spine import find_spine
from roi_extraction.sites import SITES, DiscLevel, Level, Muscle, Side
from roi_extraction.volume import CtVolume

__all__ = ["BUILTIN_VERSION", "BuiltinSegmenter", "muscle_regions"]

BUILTIN_VERSION = "8"
"""Raised whenever a change of the method may move a region."""

FROM_RIBS = (NamingRoute.RIBS_PAIR, NamingRoute.RIBS_COUNT)
"""Ways of naming from the ribs alone."""


class BuiltinSegmenter:
    """Finds the lumbar spine and its muscles from bone, symmetry and spacing alone.

    The same scan always gives the same result. Levels are named from the sacrum
    upwards, from the last ribs downwards, or from both, which then must agree.
    """

    @property
    def identity(self) -> SegmenterIdentity:
        """Name and version, as reported."""
        return SegmenterIdentity("builtin", BUILTIN_VERSION)

    def segment(self, volume: CtVolume) -> Anatomy:
        """Localise the 36 sites.

        Raises
        ------
        RoiError
            The scan cannot be used: see `find_spine`.
        """
        spine = find_spine(volume)
        regions = {level.value: _body(volume, spine, level) for level in Level}
        return Anatomy(
            self.identity, spine, {**regions, **muscle_regions(volume, spine)}, spine.findings
        )


def _body(volume: CtVolume, spine: SpineLandmarks, level: Level) -> Region | Missing:
    from_ribs = spine.naming is not None and spine.naming.route in FROM_RIBS
    if from_ribs and level in (Level.L5, Level.S1):
        return Missing(
            MissingReason.OUTSIDE_SCAN,
            f"{level} is not told from a transitional vertebra without enough of the sacrum in the "
            "scan",
        )
    return body_region(volume, spine, level)


def muscle_regions(volume: CtVolume, spine: SpineLandmarks) -> Mapping[str, Region | Missing]:
    """A region or a reason for each of the 30 muscle sites, by the site's name."""
    muscles: dict[tuple[DiscLevel, Side, Muscle], Region | Missing] = {}
    psoas = psoas_regions(volume, spine)
    for disc in DiscLevel:
        for side in Side:
            if disc not in spine.discs:
                gone = Missing(MissingReason.OUTSIDE_SCAN, f"{disc} lies outside the named discs")
                muscles |= {(disc, side, muscle): gone for muscle in Muscle}
                continue
            muscles[disc, side, Muscle.PSOAS_MAJOR] = psoas[disc, side]
            for muscle, region in posterior_regions(volume, spine, disc, side).items():
                muscles[disc, side, muscle] = region
    return {
        site.name: muscles[site.disc, site.side, site.muscle]
        for site in SITES
        if site.disc is not None and site.side is not None and site.muscle is not None
    }
