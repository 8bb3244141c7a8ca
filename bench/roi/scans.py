"""Labelled real scans, brought to one numbering, and moved copies of them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roi_extraction import CtVolume, DiscLevel, Level, Muscle, Side
from roi_extraction.phantom import Phantom
from tests.ct_builders import load_nifti_labels, load_nifti_volume

__all__ = ["LabelledScan", "MovedScan", "load_scan", "phantom_scan", "shared_ct"]

VERTEBRAE = {Level.L1: 31, Level.L2: 30, Level.L3: 29, Level.L4: 28, Level.L5: 27, Level.S1: 26}
T12 = 32
AORTA, VEIN = 52, 63
POSTERIOR = {Side.LEFT: 86, Side.RIGHT: 87}
ILIOPSOAS = {Side.LEFT: 88, Side.RIGHT: 89}
"""TotalSegmentator task ``total`` v2 numbering."""

VERSE = {Level.L1: 20, Level.L2: 21, Level.L3: 22, Level.L4: 23, Level.L5: 24}
TPTBOX_CORPUS = (49, 50)

Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LabelledScan:
    """A real scan with its labels, all on the scan's grid.

    ``vertebra`` holds whole vertebrae, ``body`` their bodies (the whole vertebra where the labels
    do not divide it), ``muscle`` the label in which a muscle's ROI must lie; ``centres_mm`` are the
    bodies' and discs', LPS mm, by name.
    """

    name: str
    volume: CtVolume
    vertebra: dict[Level, Mask]
    body: dict[Level, Mask]
    muscle: dict[tuple[Muscle, Side], Mask]
    bone: Mask
    vessel: Mask
    bodies_divided: bool
    centres_mm: dict[str, Points]


@dataclass(frozen=True, eq=False)
class MovedScan:
    """A copy of a labelled scan, and the 4 x 4 way of its points back to the original."""

    volume: CtVolume
    source: LabelledScan
    to_source: npt.NDArray[np.float64]

    def in_source(self, lps_mm: npt.ArrayLike) -> Points:
        """Points of the copy, shape (..., 3), LPS mm, in the original."""
        return np.asarray(lps_mm) @ self.to_source[:3, :3].T + self.to_source[:3, 3]

    def from_source(self, lps_mm: npt.ArrayLike) -> Points:
        """Points of the original, shape (..., 3), LPS mm, in the copy."""
        back = np.linalg.inv(self.to_source)
        return np.asarray(lps_mm) @ back[:3, :3].T + back[:3, 3]

    def share_inside(self, mask: Mask, lps_mm: npt.NDArray[np.float64]) -> float:
        """The share of points, shape (n, 3), that lie in a mask of the original."""
        index = np.rint(self.source.volume.to_index(self.in_source(lps_mm))).astype(int)
        inside = ((index >= 0) & (index < mask.shape)).all(axis=1)
        return float(mask[tuple(index[inside].T)].sum() / len(index))


def shared_ct() -> Path:
    """The folder of the shared real scans."""
    beside = Path(__file__).parents[3] / "shared"
    return Path(os.environ.get("OSTEONODE_SHARED", beside)) / "data" / "ct"


@cache
def load_scan(name: str) -> LabelledScan:
    """``totalseg``, ``verse014`` or ``tptbox``."""
    return {"totalseg": _totalseg, "verse014": _verse, "tptbox": _tptbox}[name]()


def _totalseg() -> LabelledScan:
    folder = shared_ct() / "totalseg_example_ct"
    volume = load_nifti_volume(folder / "ct.nii.gz")
    labels = load_nifti_labels(folder / "seg_merged_v2_numbering.nii.gz", volume)
    parts = load_nifti_labels(folder / "seg_vertebrae_body_and_discs.nii.gz", volume)
    components, count = ndimage.label(parts == 2)
    middles = [
        (float(np.nonzero(components == k)[0].mean()), k)
        for k in range(1, count + 1)
        if (components == k).sum() > 100
    ]
    discs = [components == k for _, k in sorted(middles)]
    vertebra = {level: labels == number for level, number in VERTEBRAE.items()}
    body = {level: mask & (parts == 1) for level, mask in vertebra.items()}
    disc = dict(zip(tuple(DiscLevel)[::-1], discs, strict=False))
    return LabelledScan(
        name="totalseg",
        volume=volume,
        vertebra=vertebra,
        body=body,
        muscle={
            (muscle, side): labels
            == (ILIOPSOAS if muscle is Muscle.PSOAS_MAJOR else POSTERIOR)[side]
            for muscle in Muscle
            for side in Side
        },
        bone=(labels >= 25) & (labels <= 33),
        vessel=(labels == AORTA) | (labels == VEIN),
        bodies_divided=True,
        centres_mm=_centres(volume, [*body.items(), *disc.items()]),
    )


def _verse() -> LabelledScan:
    folder = shared_ct() / "verse014_L1-L5"
    volume = load_nifti_volume(folder / "sub-verse014_ct.nii.gz")
    labels = load_nifti_labels(folder / "sub-verse014_seg-vert_msk.nii.gz", volume)
    vertebra = {level: labels == number for level, number in VERSE.items()}
    return _bones("verse014", volume, vertebra, vertebra, labels > 0, divided=False)


def _tptbox() -> LabelledScan:
    folder = shared_ct() / "tptbox_L2-L4_crop"
    volume = load_nifti_volume(folder / "sub-ct_label-22_ct.nii.gz")
    labels = load_nifti_labels(folder / "sub-ct_seg-vert_label-22_msk.nii.gz", volume)
    parts = load_nifti_labels(folder / "sub-ct_seg-subreg_label-22_msk.nii.gz", volume)
    vertebra = {level: labels == number for level, number in list(VERSE.items())[1:4]}
    body = {Level.L3: vertebra[Level.L3] & np.isin(parts, TPTBOX_CORPUS)}
    return _bones("tptbox", volume, vertebra, body, labels > 0, divided=True)


def phantom_scan(phantom: Phantom) -> MovedScan:
    """A phantom with its labels as a scan that was not moved."""
    vertebra = {level: phantom.labels == number for level, number in VERTEBRAE.items()}
    sides = ((Side.RIGHT, 0), (Side.LEFT, 3))
    muscle = {
        (name, side): phantom.muscle_labels == first + number
        for side, first in sides
        for number, name in enumerate(Muscle, start=1)
    }
    source = LabelledScan(
        name="phantom",
        volume=phantom.volume,
        vertebra=vertebra,
        body={level: mask & (phantom.body_labels == 1) for level, mask in vertebra.items()},
        muscle=muscle,
        bone=(phantom.labels >= 25) & (phantom.labels <= 34),
        vessel=(phantom.labels == AORTA) | (phantom.labels == VEIN),
        bodies_divided=True,
        centres_mm={**phantom.truth.body_centres_lps_mm, **phantom.truth.disc_centres_lps_mm},
    )
    return MovedScan(phantom.volume, source, np.eye(4))


def _bones(
    name: str,
    volume: CtVolume,
    vertebra: dict[Level, Mask],
    body: dict[Level, Mask],
    bone: Mask,
    *,
    divided: bool,
) -> LabelledScan:
    nothing = np.zeros(volume.shape, bool)
    return LabelledScan(
        name, volume, vertebra, body, {}, bone, nothing, divided, _centres(volume, body.items())
    )


def _centres(
    volume: CtVolume, masks: Iterable[tuple[Level | DiscLevel, Mask]]
) -> dict[str, Points]:
    return {
        str(name): volume.to_lps(np.argwhere(mask)).mean(axis=0)
        for name, mask in masks
        if mask.any()
    }
