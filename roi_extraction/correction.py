"""What a reader corrects in the regions of a scan, before they are measured again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from roi_extraction.anatomy import Anatomy, Finding, Missing, MissingReason, Region
from roi_extraction.errors import CorrectionInvalid
from roi_extraction.placement import EllipseRoi
from roi_extraction.sites import SITES, SITES_BY_NAME, DiscLevel, Level
from roi_extraction.volume import CtVolume

__all__ = ["MAX_MOVE_MM", "Correction", "MovedRoi"]

MAX_MOVE_MM = 60.0
"""How far a region may be moved, mm: a body is about 50 mm wide."""

LEFT_OUT = Missing(MissingReason.LEFT_OUT)
RENAMED = Missing(MissingReason.NOT_FOUND, "no such level once the levels were named anew")

Name = TypeVar("Name")
Placed = Mapping[str, Sequence[EllipseRoi] | Missing]


@dataclass(frozen=True)
class MovedRoi:
    """One region that is moved within its slice.

    Parameters
    ----------
    site
        Name of the site, as the levels are named after the correction.
    slice_index
        The slice in the volume.
    right_mm, down_mm
        How far, along the rows of the image and along its columns, mm.
    """

    site: str
    slice_index: int
    right_mm: float
    down_mm: float


@dataclass(frozen=True)
class Correction:
    """What a reader wants to be measured otherwise.

    Parameters
    ----------
    levels_down
        How many levels lower every level is named: 1 makes L2 of L1, -1 makes L1 of L2.
    left_out
        Names of the sites that are not to be measured.
    moved
        Regions that are moved.

    Raises
    ------
    CorrectionInvalid
        It names no site, moves a region too far or twice, or names levels beyond the neighbours.
    """

    levels_down: int = 0
    left_out: frozenset[str] = frozenset()
    moved: tuple[MovedRoi, ...] = ()

    def __post_init__(self) -> None:
        if abs(self.levels_down) > 1:
            raise CorrectionInvalid("levels can be named one higher or one lower")
        named = [*self.left_out, *(roi.site for roi in self.moved)]
        if unknown := sorted(set(named) - SITES_BY_NAME.keys()):
            raise CorrectionInvalid(f"no site is named {', '.join(unknown)}")
        places = [(roi.site, roi.slice_index) for roi in self.moved]
        if len(set(places)) < len(places):
            raise CorrectionInvalid("a region is moved once")
        if any(roi.site in self.left_out for roi in self.moved):
            raise CorrectionInvalid("a site that is left out has no region to be moved")
        for roi in self.moved:
            if not np.hypot(roi.right_mm, roi.down_mm) <= MAX_MOVE_MM:
                raise CorrectionInvalid(f"a region is moved by at most {MAX_MOVE_MM:.0f} mm")

    def renamed(self, anatomy: Anatomy) -> Anatomy:
        """The anatomy with its levels as the reader names them, without the sites left out."""
        if self.levels_down:
            anatomy = _shifted(anatomy, self.levels_down)
        if not self.left_out:
            return anatomy
        regions = {**anatomy.regions, **dict.fromkeys(self.left_out, LEFT_OUT)}
        return replace(anatomy, regions=regions)

    def applied(self, volume: CtVolume, placed: Placed) -> Placed:
        """The placed regions, with those that the reader moved at their new places.

        Raises
        ------
        CorrectionInvalid
            A region that is moved is not there, or would leave the image.
        """
        changed: dict[str, Sequence[EllipseRoi] | Missing] = dict(placed)
        for move in self.moved:
            rois = changed[move.site]
            found = [] if isinstance(rois, Missing) else [r.slice_index for r in rois]
            if isinstance(rois, Missing) or move.slice_index not in found:
                raise CorrectionInvalid(f"{move.site} has no region in slice {move.slice_index}")
            changed[move.site] = [
                _moved(volume, roi, move) if roi.slice_index == move.slice_index else roi
                for roi in rois
            ]
        return changed


def _moved(volume: CtVolume, roi: EllipseRoi, move: MovedRoi) -> EllipseRoi:
    spacing = volume.spacing_mm
    row = roi.row + move.down_mm / float(spacing[1])
    column = roi.column + move.right_mm / float(spacing[2])
    reach_mm = roi.semi_axes_mm[0]
    rows, columns = reach_mm / float(spacing[1]), reach_mm / float(spacing[2])
    inside = rows <= row < volume.shape[1] - rows and columns <= column < volume.shape[2] - columns
    if not inside:
        raise CorrectionInvalid(f"{move.site} would leave the image")
    return replace(roi, row=row, column=column)


def _shifted(anatomy: Anatomy, down: int) -> Anatomy:
    levels, discs = list(Level), list(DiscLevel)
    spine = anatomy.spine
    old_names = {level: _neighbour(levels, level, -down) for level in levels}
    old_discs = {disc: _neighbour(discs, disc, -down) for disc in discs}
    regions: dict[str, Region | Missing] = {}
    for site in SITES:
        if site.level is not None:
            old = old_names[site.level]
            name = None if old is None else old.value
        else:
            disc = old_discs[site.disc] if site.disc is not None else None
            name = None if disc is None else f"{disc}_{site.name.rpartition('_')[2]}"
        regions[site.name] = RENAMED if name is None else anatomy.regions.get(name, RENAMED)
    words = "lower" if down > 0 else "higher"
    text = f"a reader named all levels one {words} than this program did"
    return replace(
        anatomy,
        regions=regions,
        spine=replace(
            spine,
            bodies={
                new: spine.bodies[old]
                for new, old in old_names.items()
                if old is not None and old in spine.bodies
            },
            discs={
                new: spine.discs[old]
                for new, old in old_discs.items()
                if old is not None and old in spine.discs
            },
            confidence=1.0,
            findings=(*spine.findings, Finding("roi.levels_renamed", text)),
            naming=None,
        ),
    )


def _neighbour(names: Sequence[Name], name: Name, step: int) -> Name | None:
    position = names.index(name) + step
    return names[position] if 0 <= position < len(names) else None
