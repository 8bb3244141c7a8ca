"""Builders of DICOM SEG objects from label maps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
import numpy.typing as npt
import pydicom
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.sr import CodedConcept

from roi_extraction.volume import CtVolume

ANATOMY = CodedConcept("123037004", "SCT", "Anatomical Structure")
SIDES = {
    "left": CodedConcept("7771000", "SCT", "Left"),
    "right": CodedConcept("24028007", "SCT", "Right"),
}
ALGORITHM = hd.AlgorithmIdentificationSequence(
    "test", CodedConcept("123109", "DCM", "Manual Processing"), "1"
)


@dataclass(frozen=True)
class Part:
    """A segment to write: which voxels, and how it is described."""

    mask: npt.NDArray[np.bool_]
    label: str
    code: tuple[str, str, str]
    side: str | None = None
    category: CodedConcept = ANATOMY


LEVEL_CODES = {
    33: ("12989004", "SCT", "T11 vertebra"),
    32: ("23215003", "SCT", "T12 vertebra"),
    31: ("66794005", "SCT", "L1 vertebra"),
    30: ("14293000", "SCT", "L2 vertebra"),
    29: ("36470004", "SCT", "L3 vertebra"),
    28: ("11994002", "SCT", "L4 vertebra"),
    27: ("49668003", "SCT", "L5 vertebra"),
    26: ("65985001", "SCT", "S1 vertebra"),
    25: ("54735007", "SCT", "Sacrum"),
}
MUSCLE_CODES = {
    86: ("44947003", "SCT", "Erector spinae muscle"),
    87: ("44947003", "SCT", "Erector spinae muscle"),
    88: ("68455001", "SCT", "Iliopsoas muscle"),
    89: ("68455001", "SCT", "Iliopsoas muscle"),
}


def parts_of(labels: npt.NDArray[np.uint8]) -> list[Part]:
    """The segments of a label map in TotalSegmentator's numbering, coded."""
    bones = [Part(labels == n, code[2], code) for n, code in LEVEL_CODES.items()]
    muscles = [
        Part(labels == n, code[2], code, "left" if n in (86, 88) else "right")
        for n, code in MUSCLE_CODES.items()
    ]
    return [part for part in (*bones, *muscles) if part.mask.any()]


def write_seg(
    path: Path,
    source: Sequence[Path],
    volume: CtVolume,
    parts: Sequence[Part],
    *,
    affine: npt.NDArray[np.float64] | None = None,
    kind: str = "BINARY",
    edit: Callable[[pydicom.Dataset], None] | None = None,
    **values: str,
) -> Path:
    """Write a SEG of a series.

    Parameters
    ----------
    source
        The files of the series.
    volume
        Gives the place of the masks, unless ``affine`` does.
    values
        Elements to set afterwards, by keyword.
    """
    images = [pydicom.dcmread(p) for p in source]
    array = np.stack([part.mask for part in parts], axis=-1).astype(np.uint8)
    stack = hd.Volume(
        array,
        volume.affine if affine is None else affine,
        coordinate_system="PATIENT",
        frame_of_reference_uid=images[0].FrameOfReferenceUID,
        channels={"SegmentNumber": list(range(1, len(parts) + 1))},
    )
    descriptions = [
        SegmentDescription(k, p.label, p.category, CodedConcept(*p.code), "MANUAL", ALGORITHM)
        for k, p in enumerate(parts, 1)
    ]
    seg = Segmentation(
        images, stack, kind, descriptions, hd.UID(), 300, hd.UID(), 1, "test", "test", "1", "1",
        omit_empty_frames=True,
    )  # fmt: skip
    for item, part in zip(seg.SegmentSequence, parts, strict=True):
        if part.side:
            kind_of = item.SegmentedPropertyTypeCodeSequence[0]
            kind_of.SegmentedPropertyTypeModifierCodeSequence = [SIDES[part.side]]
    for keyword, value in values.items():
        setattr(seg, keyword, value)
    if edit is not None:
        edit(seg)
    path.parent.mkdir(parents=True, exist_ok=True)
    seg.save_as(path)
    return path
