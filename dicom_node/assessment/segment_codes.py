"""Identify the segments of a DICOM SEG: by their codes, and by their words where no code is known.

| Structure | SNOMED CT | SNOMED RT (retired) | Source |
|---|---|---|---|
| T10-T12, L1-L5 | 7610001 .. 49668003 | T-117A0 .. T-11950 | PS3.16 CID 7603 (pydicom's table) |
| sacrum | 54735007 | T-11AD0 | PS3.16 CID 7602, 4031 |
| S1 | 65985001 | | TotalSegmentator's table of codes |
| erector spinae, longissimus | 44947003, 88340001 | T-14020, T-14040 | PS3.16 CID 6116 |
| iliopsoas, deep muscle of back | 68455001, 244849004 | | TotalSegmentator's table of codes |
| psoas major, transversospinalis, multifidus | none verified: by their names | | |

Some public tables give 64038003 for psoas major, others for a lymph node: this code is not used,
the meaning or the label decides.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from pydicom.dataset import Dataset

from dicom_node.foreign_text import cleaned
from roi_extraction.errors import InvalidSegmentation
from roi_extraction.sites import Side

__all__ = ["Segment", "Structure", "describe_segment"]


class Structure(StrEnum):
    """A structure that the extraction can use."""

    T10 = "T10"
    T11 = "T11"
    T12 = "T12"
    L1 = "L1"
    L2 = "L2"
    L3 = "L3"
    L4 = "L4"
    L5 = "L5"
    S1 = "S1"
    SACRUM = "sacrum"
    ILIOPSOAS = "iliopsoas"
    PSOAS = "psoas"
    ERECTOR_SPINAE = "erector spinae"
    LONGISSIMUS = "longissimus"
    TRANSVERSOSPINALIS = "transversospinalis"
    DEEP_BACK = "deep muscle of back"

    @property
    def is_bone(self) -> bool:
        """Whether it is a vertebra or the sacrum."""
        return self in BONES


BONES = frozenset(
    {
        Structure.T10, Structure.T11, Structure.T12, Structure.L1, Structure.L2, Structure.L3,
        Structure.L4, Structure.L5, Structure.S1, Structure.SACRUM,
    }
)  # fmt: skip

STRUCTURES_BY_CODE: dict[tuple[str, str], Structure] = {
    ("SCT", "7610001"): Structure.T10,
    ("SCT", "12989004"): Structure.T11,
    ("SCT", "23215003"): Structure.T12,
    ("SCT", "66794005"): Structure.L1,
    ("SCT", "14293000"): Structure.L2,
    ("SCT", "36470004"): Structure.L3,
    ("SCT", "11994002"): Structure.L4,
    ("SCT", "49668003"): Structure.L5,
    ("SCT", "65985001"): Structure.S1,
    ("SCT", "54735007"): Structure.SACRUM,
    ("SCT", "44947003"): Structure.ERECTOR_SPINAE,
    ("SCT", "88340001"): Structure.LONGISSIMUS,
    ("SCT", "68455001"): Structure.ILIOPSOAS,
    ("SCT", "244849004"): Structure.DEEP_BACK,
    ("SRT", "T-117A0"): Structure.T10,
    ("SRT", "T-117B0"): Structure.T11,
    ("SRT", "T-117C0"): Structure.T12,
    ("SRT", "T-11910"): Structure.L1,
    ("SRT", "T-11920"): Structure.L2,
    ("SRT", "T-11930"): Structure.L3,
    ("SRT", "T-11940"): Structure.L4,
    ("SRT", "T-11950"): Structure.L5,
    ("SRT", "T-11AD0"): Structure.SACRUM,
    ("SRT", "T-14020"): Structure.ERECTOR_SPINAE,
    ("SRT", "T-14040"): Structure.LONGISSIMUS,
}

SCHEMES = {"SNM3": "SRT", "99SDM": "SRT"}
"""Old designators of SNOMED RT (PS3.16, chapter 8)."""

SIDES_BY_CODE: dict[tuple[str, str], Side] = {
    ("SCT", "7771000"): Side.LEFT,
    ("SCT", "24028007"): Side.RIGHT,
    ("SRT", "G-A101"): Side.LEFT,
    ("SRT", "G-A100"): Side.RIGHT,
}

ABNORMAL = {("SCT", "49755003"), ("SRT", "M-01000")}
"""Category codes of lesions: a lesion of a vertebra is not the vertebra."""

FILLERS = frozenset(
    {
        "vertebra", "vertebrae", "vertebral", "lumbar", "thoracic", "sacral", "spine", "muscle",
        "muscles", "musculus", "m", "major", "of", "the", "structure", "segment", "segmentation",
        "bone", "whole", "side",
    }
)  # fmt: skip
"""Words that do not change which structure is meant."""

STRUCTURES_BY_WORDS: dict[frozenset[str], Structure] = {
    frozenset({"sacrum"}): Structure.SACRUM,
    frozenset({"iliopsoas"}): Structure.ILIOPSOAS,
    frozenset({"psoas"}): Structure.PSOAS,
    frozenset({"erector", "spinae"}): Structure.ERECTOR_SPINAE,
    frozenset({"longissimus"}): Structure.LONGISSIMUS,
    frozenset({"longissimus", "thoracis"}): Structure.LONGISSIMUS,
    frozenset({"transversospinalis"}): Structure.TRANSVERSOSPINALIS,
    frozenset({"multifidus"}): Structure.TRANSVERSOSPINALIS,
    frozenset({"autochthon"}): Structure.DEEP_BACK,
    frozenset({"deep", "back"}): Structure.DEEP_BACK,
    frozenset({"deep", "muscle", "back"}): Structure.DEEP_BACK,
}
"""Names without fillers and sides."""

SIDE_WORDS = {"left": Side.LEFT, "l": Side.LEFT, "right": Side.RIGHT, "r": Side.RIGHT}


@dataclass(frozen=True)
class Segment:
    """One segment: its structure and its side.

    ``side`` is None for bone, and for a muscle that is drawn on both sides in one segment or
    whose side is not stated.
    """

    number: int
    label: str
    structure: Structure
    side: Side | None


def describe_segment(description: Dataset) -> Segment | None:
    """Identify a segment.

    Parameters
    ----------
    description
        An item of the Segment Sequence.

    Returns
    -------
    segment
        None if the extraction cannot use it.

    Raises
    ------
    InvalidSegmentation
        ``segmentation.contradiction``: codes, meanings and label name different levels,
        muscles or sides.
    """
    number = int(description.SegmentNumber)
    label = str(description.get("SegmentLabel", ""))
    if any(_key(item) in ABNORMAL for item in _codes(description, "Category")):
        return None
    types = _codes(description, "Type")
    places = [
        *description.get("AnatomicRegionSequence", ()),
        *description.get("PrimaryAnatomicStructureSequence", ()),
    ]
    texts = [label, *(str(item.get("CodeMeaning", "")) for item in types)]
    coded = {
        STRUCTURES_BY_CODE[_key(item)]
        for item in (*types, *places)
        if _key(item) in STRUCTURES_BY_CODE
    }
    named = {structure for text in texts if (structure := _named(text))}
    structures = coded or named
    if not structures:
        return None
    if not _agree(coded, named):
        found = ", ".join(sorted(coded | named))
        raise InvalidSegmentation(
            f"segment {number} {cleaned(label)} names {found} at once", "segmentation.contradiction"
        )
    structure = sorted(structures, key=list(Structure).index)[0]
    if structure is Structure.ILIOPSOAS and Structure.PSOAS in named:
        structure = Structure.PSOAS
    if structure in (Structure.DEEP_BACK, Structure.ERECTOR_SPINAE):
        finer = named & {Structure.LONGISSIMUS, Structure.TRANSVERSOSPINALIS}
        structure = next(iter(finer), structure)
    if structure.is_bone:
        return Segment(number, label, structure, None)
    sides = {
        SIDES_BY_CODE[_key(modifier)]
        for item in (*types, *places)
        for modifier in _modifiers(item)
        if _key(modifier) in SIDES_BY_CODE
    }
    worded = {side for text in texts for side in _worded_sides(text)}
    if worded == set(Side):
        worded = set()
    if len(sides | worded) > 1 and sides != set(Side):
        raise InvalidSegmentation(
            f"segment {number} {cleaned(label)} is called left and right at once",
            "segmentation.contradiction",
        )
    both = sides | worded
    return Segment(number, label, structure, both.pop() if len(both) == 1 else None)


def _agree(coded: set[Structure], named: set[Structure]) -> bool:
    """Whether codes and words can mean the same structure; a broad code may have a finer name."""
    together = coded | named
    if len(together) == 1:
        return True
    broader = {
        frozenset({Structure.ILIOPSOAS, Structure.PSOAS}),
        frozenset({Structure.DEEP_BACK, Structure.TRANSVERSOSPINALIS}),
        frozenset({Structure.DEEP_BACK, Structure.LONGISSIMUS}),
        frozenset({Structure.DEEP_BACK, Structure.ERECTOR_SPINAE}),
        frozenset({Structure.ERECTOR_SPINAE, Structure.LONGISSIMUS}),
        frozenset({Structure.SACRUM, Structure.S1}),
    }
    return frozenset(together) in broader


def _codes(description: Dataset, kind: str) -> list[Dataset]:
    keyword = f"SegmentedProperty{kind}CodeSequence"
    return list(description.get(keyword, ()))


def _modifiers(item: Dataset) -> list[Dataset]:
    found: list[Dataset] = []
    for keyword in (
        "SegmentedPropertyTypeModifierCodeSequence",
        "AnatomicRegionModifierSequence",
        "PrimaryAnatomicStructureModifierSequence",
    ):
        found += list(item.get(keyword, ()))
    return found


def _key(item: Dataset) -> tuple[str, str]:
    scheme = str(item.get("CodingSchemeDesignator", "")).strip().upper()
    value = str(item.get("CodeValue", "") or item.get("LongCodeValue", "")).strip().upper()
    return SCHEMES.get(scheme, scheme), value


def _tokens(text: str) -> list[str]:
    return re.findall(r"[a-z]+\d*|\d+", text.lower().replace("_", " "))


def _worded_sides(text: str) -> set[Side]:
    return {SIDE_WORDS[token] for token in _tokens(text) if token in SIDE_WORDS}


def _named(text: str) -> Structure | None:
    """The structure that a label or meaning names, if nothing else is said in it.

    >>> _named("vertebrae_L3"), _named("Left psoas major"), _named("metastasis L3")
    (<Structure.L3: 'L3'>, <Structure.PSOAS: 'psoas'>, None)
    """
    tokens = [token for token in _tokens(text) if token not in FILLERS]
    if len(tokens) == 1 and tokens[0].upper() in Structure.__members__:
        return Structure[tokens[0].upper()]
    return STRUCTURES_BY_WORDS.get(frozenset(token for token in tokens if token not in SIDE_WORDS))
