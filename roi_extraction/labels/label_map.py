"""A segmenter that reads label maps in TotalSegmentator's numbering."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from roi_extraction.anatomy import (
    Anatomy,
    Finding,
    Missing,
    MissingReason,
    Region,
    RegionSlice,
    SegmenterIdentity,
    SpineLandmarks,
)
from roi_extraction.back_muscles.posterior import LONGISSIMUS_WIDTH_MM, split_compartment
from roi_extraction.errors import InvalidSegmentation
from roi_extraction.labels.spine import VERTEBRA_LABELS, spine_from_labels
from roi_extraction.sites import SITES, DiscLevel, Level, Muscle, Side
from roi_extraction.slices import central_slices
from roi_extraction.volume import CtVolume

__all__ = ["LABEL_MAP", "MUSCLE_NUMBERS", "LabelMapSegmenter"]

LabelArray = npt.NDArray[np.integer[Any]]
Mask = npt.NDArray[np.bool_]

AUTOCHTHON_LABELS = {Side.LEFT: 86, Side.RIGHT: 87}
ILIOPSOAS_LABELS = {Side.LEFT: 88, Side.RIGHT: 89}
"""Numbers of TotalSegmentator v2, task ``total`` (Wasserthal 2023, doi 10.1148/ryai.230024)."""

PSOAS_REACH_MM = {
    DiscLevel.L1_L2: 50.0,
    DiscLevel.L2_L3: 60.0,
    DiscLevel.L3_L4: 68.0,
    DiscLevel.L4_L5: 72.0,
    DiscLevel.L5_S1: 66.0,
}
"""How far from the mid-line the centre of psoas may lie, mm; iliacus lies beyond."""

PSOAS_ROUND_SHARE = 0.5
"""Share of its own bounding circle that psoas fills at L5-S1 at least; iliacus is a thin sheet."""

MUSCLE_NUMBERS = {
    (Side.RIGHT, Muscle.TRANSVERSOSPINALIS): 1,
    (Side.RIGHT, Muscle.LONGISSIMUS): 2,
    (Side.RIGHT, Muscle.PSOAS_MAJOR): 3,
    (Side.LEFT, Muscle.TRANSVERSOSPINALIS): 4,
    (Side.LEFT, Muscle.LONGISSIMUS): 5,
    (Side.LEFT, Muscle.PSOAS_MAJOR): 6,
}
"""Numbers of a map of single muscles: as in the sites' names."""

LABEL_MAP = SegmenterIdentity("label-map", "4")
"""Label maps that a user gives."""


class LabelMapSegmenter:
    """Localises the sites from labels that another program drew.

    Parameters
    ----------
    labels
        Integer, shape of the volume: TotalSegmentator v2, task ``total``.
    bodies
        Integer, shape of the volume: its task ``vertebrae_body`` (1 body, 2 disc), or None.
    muscles
        Integer, shape of the volume: single muscles in the numbers of `MUSCLE_NUMBERS`, or None.
        Where a site's own muscle is labelled in its three slices, it is used as it is; elsewhere
        psoas comes from the label iliopsoas, and the two muscles behind the spine from the label
        autochthon, split by anatomy. Number 2 and 5 may hold all of erector spinae: its part next
        to transversospinalis is longissimus.
    identity
        The program that drew the labels, as reported.
    """

    def __init__(
        self,
        labels: LabelArray,
        bodies: LabelArray | None = None,
        muscles: LabelArray | None = None,
        identity: SegmenterIdentity = LABEL_MAP,
    ) -> None:
        self.labels = labels
        self.bodies = bodies
        self.muscles = muscles
        self._identity = identity

    @property
    def identity(self) -> SegmenterIdentity:
        """Name and version, as reported."""
        return self._identity

    def segment(self, volume: CtVolume) -> Anatomy:
        """Localise the 36 sites.

        Raises
        ------
        InvalidSegmentation
            The labels do not fit the volume or the numbering.
        LevelsNotCovered
            Fewer than two neighbouring lumbar vertebrae are labelled.
        """
        for array in (self.labels, self.bodies, self.muscles):
            if array is not None and array.shape != volume.shape:
                raise InvalidSegmentation(
                    f"the label map has shape {array.shape}, the scan {volume.shape}; bring it to"
                    " the scan's grid with load_label_map"
                )
        _check_numbering(self.labels, self.muscles)
        spine, masks = spine_from_labels(volume, self.labels, self.bodies)
        findings = []
        absent = [level for level in Level if level not in masks]
        if absent:
            text = f"not in the label map: {', '.join(absent)}"
            findings.append(Finding("label_map.levels_absent", text))
        regions: dict[str, Region | Missing] = {}
        posterior: dict[tuple[DiscLevel, Side], Mapping[Muscle, Region | Missing]] = {}
        for site in SITES:
            if site.level is not None:
                regions[site.name] = _body_region(volume, spine, site.level, masks)
                continue
            if site.disc is None or site.side is None or site.muscle is None:
                raise ValueError(f"{site.name} is neither a vertebra nor a muscle")
            own = self._own_muscle(volume, spine, site.disc, site.side, site.muscle)
            if own is not None:
                regions[site.name] = own
                continue
            if site.muscle is Muscle.PSOAS_MAJOR:
                regions[site.name] = self._psoas(volume, spine, site.disc, site.side)
                continue
            key = (site.disc, site.side)
            if key not in posterior:
                posterior[key] = self._posterior(volume, spine, *key)
            regions[site.name] = posterior[key][site.muscle]
        return Anatomy(self.identity, spine, regions, (*spine.findings, *findings))

    def _slices(
        self, volume: CtVolume, spine: SpineLandmarks, disc: DiscLevel, number: int
    ) -> tuple[tuple[int, int, int], tuple[Mask, Mask, Mask]] | Missing:
        if disc not in spine.discs:
            return Missing(MissingReason.NOT_FOUND, f"disc {disc} is not between two labels")
        indices = central_slices(volume, spine.discs[disc].centre_lps_mm)
        if isinstance(indices, Missing):
            return indices
        masks = tuple(self.labels[index] == number for index in indices)
        if not all(mask.any() for mask in masks):
            return Missing(MissingReason.NOT_SEGMENTED, f"label {number} is absent at {disc}")
        return indices, (masks[0], masks[1], masks[2])

    def _own_muscle(
        self,
        volume: CtVolume,
        spine: SpineLandmarks,
        disc: DiscLevel,
        side: Side,
        muscle: Muscle,
    ) -> Region | None:
        """The muscle's own label, where all three slices show it."""
        if self.muscles is None or disc not in spine.discs:
            return None
        indices = central_slices(volume, spine.discs[disc].centre_lps_mm)
        if isinstance(indices, Missing):
            return None
        number = MUSCLE_NUMBERS[side, muscle]
        masks = [np.asarray(self.muscles[index] == number) for index in indices]
        if not all(mask.any() for mask in masks):
            return None
        if muscle is Muscle.LONGISSIMUS:
            masks = [_medial_strip(volume, mask, side) for mask in masks]
        parts = [RegionSlice(index, mask) for index, mask in zip(indices, masks, strict=True)]
        return Region((parts[0], parts[1], parts[2]))

    def _psoas(
        self, volume: CtVolume, spine: SpineLandmarks, disc: DiscLevel, side: Side
    ) -> Region | Missing:
        found = self._slices(volume, spine, disc, ILIOPSOAS_LABELS[side])
        if isinstance(found, Missing):
            return found
        centre = volume.to_index(spine.discs[disc].centre_lps_mm)[1:]
        parts = []
        for index, mask in zip(*found, strict=True):
            own = _medial_part(volume, mask, centre, disc)
            if own is None:
                return Missing(
                    MissingReason.NOT_SEGMENTED, "psoas cannot be parted from iliacus in the label"
                )
            parts.append(RegionSlice(index, own))
        return Region((parts[0], parts[1], parts[2]))

    def _posterior(
        self, volume: CtVolume, spine: SpineLandmarks, disc: DiscLevel, side: Side
    ) -> Mapping[Muscle, Region | Missing]:
        found = self._slices(volume, spine, disc, AUTOCHTHON_LABELS[side])
        if isinstance(found, Missing):
            return {Muscle.TRANSVERSOSPINALIS: found, Muscle.LONGISSIMUS: found}
        return split_compartment(volume, spine, disc, side, *found)


def _check_numbering(labels: LabelArray, muscles: LabelArray | None) -> None:
    numbers = {int(n) for n in np.unique(labels)} - {0}
    wanted = set(VERTEBRA_LABELS.values())
    single = muscles is not None and bool(np.isin(muscles, list(MUSCLE_NUMBERS.values())).any())
    if len(numbers & wanted) < 2 or not (single or numbers & {86, 87, 88, 89}):
        hint = ""
        if {100, 101} & numbers:
            hint = "; this looks like the numbering of TotalSegmentator v1"
        raise InvalidSegmentation(
            "expected TotalSegmentator v2 `total` labels (27-31 vertebrae, 86-89 muscles), found"
            f" {sorted(numbers)[:12]}{hint}"
        )


def _body_region(
    volume: CtVolume, spine: SpineLandmarks, level: Level, masks: Mapping[Level, Mask]
) -> Region | Missing:
    if level not in masks:
        return Missing(MissingReason.NOT_SEGMENTED, f"{level} is not in the label map")
    indices = central_slices(volume, spine.bodies[level].centre_lps_mm)
    if isinstance(indices, Missing):
        return indices
    half = volume.slices_per_slab // 2
    parts = [
        RegionSlice(index, np.logical_and.reduce(masks[level][index - half : index + half + 1]))
        for index in indices
    ]
    return Region((parts[0], parts[1], parts[2]))


def _medial_strip(volume: CtVolume, mask: Mask, side: Side) -> Mask:
    """The part of erector spinae within longissimus' width of its medial edge.

    In a row in which the label reaches further to the mid-line than usual, as where it covers
    transversospinalis from behind, the usual edge counts.
    """
    columns_mm = np.arange(mask.shape[1]) * float(volume.spacing_mm[2])
    lateral_mm = columns_mm if side is Side.LEFT else columns_mm[::-1]
    rows = np.flatnonzero(mask.any(axis=1))
    edge_mm = np.array([lateral_mm[mask[row]].min() for row in rows])
    edge_mm = np.maximum(edge_mm, np.median(edge_mm))
    kept = np.zeros_like(mask)
    kept[rows] = mask[rows] & (lateral_mm[None, :] - edge_mm[:, None] < LONGISSIMUS_WIDTH_MM)
    kept[rows] &= lateral_mm[None, :] >= edge_mm[:, None]
    return kept


def _medial_part(
    volume: CtVolume, mask: Mask, centre: npt.NDArray[np.float64], disc: DiscLevel
) -> Mask | None:
    """The component beside the spine; at L5-S1 only if it is round, as psoas without iliacus."""
    spacing = volume.spacing_mm[1:]
    components, count = scipy.ndimage.label(mask)
    best: Mask | None = None
    nearest = PSOAS_REACH_MM[disc]
    for number in range(1, count + 1):
        part = components == number
        area_mm2 = float(part.sum() * spacing.prod())
        points = np.argwhere(part) * spacing
        middle = points.mean(axis=0)
        lateral = abs(float(middle[1] - centre[1] * spacing[1]))
        if area_mm2 < 30.0 or lateral > nearest:
            continue
        if disc is DiscLevel.L5_S1:
            radius = (
                float(np.linalg.norm(points - middle, axis=1).max()) + float(spacing.mean()) / 2
            )
            if area_mm2 < PSOAS_ROUND_SHARE * np.pi * radius**2:
                continue
        best, nearest = np.asarray(part), lateral
    return best
