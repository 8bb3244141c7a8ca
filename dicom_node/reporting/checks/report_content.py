"""The content of a Structured Report of this node: every content item, code and unit.

The tables repeat on purpose what the modules that build the report say, and do not import it: so
the check of the report finds a mistake made there. The words of warnings and sites
alone are shared.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from dicom_node.decoding.prepared import held_element, same_tag
from dicom_node.decoding.raw_elements import split_items
from dicom_node.reporting.words.site_words import site_words
from dicom_node.reporting.words.warning_words import WARNING_WORDS
from roi_extraction.sites import SITES_BY_NAME

__all__ = [
    "CHANGE_NAME",
    "COMPARISON_NAME",
    "COMPREHENSIVE_SR",
    "CONTENT",
    "L1_ALONE",
    "MEANINGS",
    "MEASUREMENT_GROUP_NAME",
    "NOT_STAGED",
    "PROBABILITIES",
    "RESULTS_NAME",
    "SITE_CODES",
    "STAGE_LETTERS",
    "SUPPLEMENT_NAME",
    "UNDETERMINED",
    "UNITS",
    "Code",
    "ContentItem",
    "ItemForm",
]

COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"
"""Comprehensive SR Storage (PS3.4, table B.5-1)."""

Code = tuple[str, str, str]
"""Value, scheme, meaning."""


@dataclass(frozen=True)
class ItemForm:
    """Value type of a content item and its relationship to the item above it."""

    value_type: str
    relationship: str | None


def _dcm(value: str, meaning: str) -> Code:
    return value, "DCM", meaning


def _sct(value: str, meaning: str) -> Code:
    return value, "SCT", meaning


def _own(value: str, meaning: str) -> Code:
    return value, "99OSTEONODE", meaning


REPORT_NAME = _dcm("126000", "Imaging Measurement Report")
MEASUREMENTS_NAME = _dcm("126010", "Imaging Measurements")
MEASUREMENT_GROUP_NAME = _dcm("125007", "Measurement Group")
FINDING_SITE_NAME = _sct("363698007", "Finding Site")
ATTENUATION_NAME = _dcm("112031", "Attenuation Coefficient")
MEAN_NAME = _sct("373098007", "Mean")
SOURCE_NAME = _sct("260753009", "Source")
STANDARD_DEVIATION_NAME = _sct("386136009", "Standard Deviation")
REGION_NAME = _dcm("111030", "Image Region")
IMPRESSIONS_NAME = _dcm("121072", "Impressions")
RESULTS_NAME = "C0034375", "UMLS", "Qualitative Evaluations"
SUPPLEMENT_NAME = _dcm("111414", "Supplementary Data")
COMMENT_NAME = _dcm("121106", "Comment")
COMPARISON_NAME = _own("COMPARISON", "Comparison with an earlier report")
CHANGE_NAME = _sct("442707000", "Difference in attenuation")

PROBABILITIES: dict[tuple[str, str], str] = {
    (f"PROB-{letter}", "99OSTEONODE"): letter for letter in "ABCD"
}
STAGE_LETTERS: dict[tuple[str, str], str] = {
    (f"STAGE-{letter}", "99OSTEONODE"): letter for letter in "ABCD"
}
L1_ALONE = ("STAGE-L1", "99OSTEONODE")
NOT_STAGED, UNDETERMINED = ("STAGE-NONE", "99OSTEONODE"), ("373068000", "SCT")
"""What stands in place of a stage: none was asked for, or none can be called."""

_PROBABILITY_NAMES = (
    _own("PROB-A", "Probability of stage A, normal"),
    _own("PROB-B", "Probability of stage B, osteopenia"),
    _own("PROB-C", "Probability of stage C, osteoporosis"),
    _own("PROB-D", "Probability of stage D, like patients with fragility fracture"),
)
_STAGE = _own("STAGE", "Predicted stage")
_L1 = _own("L1-HU", "L1 attenuation against 110 and 160 HU")
_WARNING = _own("WARNING", "Warning")

CONTENT: dict[tuple[Code | None, Code | None], ItemForm] = {
    (None, REPORT_NAME): ItemForm("CONTAINER", None),
    **{
        (REPORT_NAME, _dcm(value, meaning)): ItemForm(kind, relationship)
        for value, meaning, kind, relationship in (
            ("121049", "Language of Content Item and Descendants", "CODE", "HAS CONCEPT MOD"),
            ("121058", "Procedure reported", "CODE", "HAS CONCEPT MOD"),
            ("121005", "Observer Type", "CODE", "HAS OBS CONTEXT"),
            ("121008", "Person Observer Name", "PNAME", "HAS OBS CONTEXT"),
            ("121009", "Person Observer's Organization Name", "TEXT", "HAS OBS CONTEXT"),
            ("121012", "Device Observer UID", "UIDREF", "HAS OBS CONTEXT"),
            ("121013", "Device Observer Name", "TEXT", "HAS OBS CONTEXT"),
            ("121014", "Device Observer Manufacturer", "TEXT", "HAS OBS CONTEXT"),
            ("121015", "Device Observer Model Name", "TEXT", "HAS OBS CONTEXT"),
            ("121072", "Impressions", "CONTAINER", "CONTAINS"),
            ("126010", "Imaging Measurements", "CONTAINER", "CONTAINS"),
            ("111414", "Supplementary Data", "CONTAINER", "CONTAINS"),
        )
    },
    (REPORT_NAME, RESULTS_NAME): ItemForm("CONTAINER", "CONTAINS"),
    (IMPRESSIONS_NAME, _dcm("121073", "Impression")): ItemForm("TEXT", "CONTAINS"),
    (IMPRESSIONS_NAME, COMMENT_NAME): ItemForm("TEXT", "CONTAINS"),
    **{
        (RESULTS_NAME, name): ItemForm(kind, "CONTAINS")
        for name, kind in (
            (_STAGE, "CODE"),
            (_own("STAGE-SET", "Stage that the 90 % prediction set holds"), "CODE"),
            (_own("OSTEOPOROSIS", "Stage C or D by the model"), "CODE"),
            (_L1, "CODE"),
            (_dcm("123011", "Contrast/Bolus Agent"), "CODE"),
            (_own("CONTRAST-PHASE", "Phase of the contrast agent"), "CODE"),
            (_WARNING, "CODE"),
            (COMMENT_NAME, "TEXT"),
        )
    },
    **{
        (SUPPLEMENT_NAME, name): ItemForm(kind, relationship)
        for name, kind, relationship in (
            (_dcm("111001", "Algorithm Name"), "TEXT", "HAS CONCEPT MOD"),
            (_dcm("111003", "Algorithm Version"), "TEXT", "HAS CONCEPT MOD"),
            (_dcm("111002", "Algorithm Parameters"), "TEXT", "HAS CONCEPT MOD"),
            (COMMENT_NAME, "TEXT", "CONTAINS"),
            (_own("CONTRIBUTION", "Contribution to the predicted stage"), "TEXT", "CONTAINS"),
            (_own("REGIONS", "Segmentation of the measured regions"), "IMAGE", "CONTAINS"),
            (ATTENUATION_NAME, "NUM", "CONTAINS"),
            *((name, "NUM", "CONTAINS") for name in _PROBABILITY_NAMES),
        )
    },
    (SUPPLEMENT_NAME, COMPARISON_NAME): ItemForm("CONTAINER", "CONTAINS"),
    **{
        (COMPARISON_NAME, name): ItemForm(kind, "CONTAINS")
        for name, kind in (
            (_own("EARLIER-REPORT", "Earlier report"), "COMPOSITE"),
            (_dcm("111060", "Study Date"), "DATE"),
            (CHANGE_NAME, "NUM"),
            (COMMENT_NAME, "TEXT"),
        )
    },
    **{
        (CHANGE_NAME, name): ItemForm(kind, relationship)
        for name, kind, relationship in (
            (FINDING_SITE_NAME, "CODE", "HAS CONCEPT MOD"),
            (ATTENUATION_NAME, "NUM", "INFERRED FROM"),
            (_own("CHANGE-A-YEAR", "Change of the attenuation per year"), "NUM", "HAS PROPERTIES"),
            (
                _own("LEAST-SIGNIF", "Least significant change of the attenuation"),
                "NUM",
                "HAS PROPERTIES",
            ),
        )
    },
    (MEASUREMENTS_NAME, MEASUREMENT_GROUP_NAME): ItemForm("CONTAINER", "CONTAINS"),
    **{
        (MEASUREMENT_GROUP_NAME, name): ItemForm(kind, relationship)
        for name, kind, relationship in (
            (_dcm("112039", "Tracking Identifier"), "TEXT", "HAS OBS CONTEXT"),
            (_dcm("112040", "Tracking Unique Identifier"), "UIDREF", "HAS OBS CONTEXT"),
            (_dcm("121071", "Finding"), "CODE", "CONTAINS"),
            (_dcm("111001", "Algorithm Name"), "TEXT", "HAS CONCEPT MOD"),
            (_dcm("111003", "Algorithm Version"), "TEXT", "HAS CONCEPT MOD"),
            (_dcm("111002", "Algorithm Parameters"), "TEXT", "HAS CONCEPT MOD"),
            (FINDING_SITE_NAME, "CODE", "HAS CONCEPT MOD"),
            (ATTENUATION_NAME, "NUM", "CONTAINS"),
            (MEAN_NAME, "NUM", "CONTAINS"),
            (STANDARD_DEVIATION_NAME, "NUM", "CONTAINS"),
            (REGION_NAME, "SCOORD", "CONTAINS"),
        )
    },
    (ATTENUATION_NAME, _dcm("121401", "Derivation")): ItemForm("CODE", "HAS CONCEPT MOD"),
    (ATTENUATION_NAME, FINDING_SITE_NAME): ItemForm("CODE", "HAS CONCEPT MOD"),
    (ATTENUATION_NAME, STANDARD_DEVIATION_NAME): ItemForm("NUM", "HAS PROPERTIES"),
    (FINDING_SITE_NAME, _sct("272741003", "Laterality")): ItemForm("CODE", "HAS CONCEPT MOD"),
    (REGION_NAME, SOURCE_NAME): ItemForm("IMAGE", "SELECTED FROM"),
    (MEAN_NAME, SOURCE_NAME): ItemForm("SCOORD", "INFERRED FROM"),
    (STANDARD_DEVIATION_NAME, SOURCE_NAME): ItemForm("SCOORD", "INFERRED FROM"),
    (SOURCE_NAME, SOURCE_NAME): ItemForm("IMAGE", "SELECTED FROM"),
}
"""The allowed content items, by the concept names of parent and item (TID 1500, 1411, 1501)."""

VALUES: tuple[Code, ...] = (
    ("en-US", "RFC5646", "English (United States)"),
    _dcm("121007", "Device"),
    _dcm("121006", "Person"),
    ("25045-6", "LN", "CT unspecified body region"),
    _sct("66794005", "L1 vertebra"),
    _sct("14293000", "L2 vertebra"),
    _sct("36470004", "L3 vertebra"),
    _sct("11994002", "L4 vertebra"),
    _sct("49668003", "L5 vertebra"),
    _sct("65985001", "S1 vertebra"),
    _sct("244849004", "Deep back muscle"),
    _sct("88340001", "Longissimus muscle"),
    _sct("68455001", "Iliopsoas muscle"),
    _sct("7832008", "Abdominal aorta"),
    _sct("64131007", "Inferior vena cava"),
    _sct("71966008", "Subcutaneous tissue"),
    _sct("82849001", "Retroperitoneum"),
    _sct("24028007", "Right"),
    _sct("7771000", "Left"),
    _sct("373098007", "Mean"),
    _sct("386136009", "Standard Deviation"),
    ("[hnsf'U]", "UCUM", "Hounsfield unit"),
    ("[hnsf'U]/a", "UCUM", "Hounsfield unit per year"),
    ("1", "UCUM", "no units"),
    _own("ROI", "Region of interest in three central slices"),
    _sct("373066001", "Yes"),
    _sct("373067005", "No"),
    _sct("373068000", "Undetermined"),
    _own("STAGE-A", "Looks like patients with normal bone density"),
    _own("STAGE-B", "Looks like patients with osteopenia"),
    _own("STAGE-C", "Looks like patients with osteoporosis"),
    _own("STAGE-D", "Looks like patients with an osteoporotic fracture"),
    _own("STAGE-L1", "Not staged: L1 alone against its thresholds"),
    _own("STAGE-NONE", "Not staged"),
    _own("PHASE-NONE", "Unenhanced"),
    _own("PHASE-ARTERIAL", "Arterial phase"),
    _own("PHASE-VENOUS", "Portal venous phase"),
    _own("PHASE-DELAYED", "Delayed phase"),
    _own("L1-LE-110", "At or below 110 HU"),
    _own("L1-110-160", "Above 110 and at or below 160 HU"),
    _own("L1-GT-160", "Above 160 HU"),
    *(_own(words.short, words.meaning) for words in WARNING_WORDS.values()),
    *(_own(name, site_words(name)) for name in SITES_BY_NAME),
    _own("W-OTHER", "Another warning, in words"),
)

MEANINGS: dict[tuple[str, str], str] = {
    (value, scheme): meaning
    for value, scheme, meaning in (*VALUES, *(name for _, name in CONTENT if name is not None))
}
"""The meaning of each code, by value and scheme."""

UNITS: dict[tuple[str, str], Code] = {
    ATTENUATION_NAME[:2]: ("[hnsf'U]", "UCUM", "Hounsfield unit"),
    MEAN_NAME[:2]: ("[hnsf'U]", "UCUM", "Hounsfield unit"),
    STANDARD_DEVIATION_NAME[:2]: ("[hnsf'U]", "UCUM", "Hounsfield unit"),
    **{name[:2]: ("1", "UCUM", "no units") for name in _PROBABILITY_NAMES},
}
"""The unit of each measurement, by value and scheme of its name."""

SITE_CODES: dict[str, str] = {
    "L1": "66794005",
    "L2": "14293000",
    "L3": "36470004",
    "L4": "11994002",
    "L5": "49668003",
    "S1": "65985001",
    "transversospinalis": "244849004",
    "longissimus": "88340001",
    "psoas major": "68455001",
    "right": "24028007",
    "left": "7771000",
}
"""SNOMED code of each vertebra, muscle and side."""


@dataclass(frozen=True, eq=False)
class ContentItem:
    """A content item of the SR document tree (PS3.3, C.17.3), with its parent's name.

    What it holds is read once, when it is first asked for.
    """

    item: Dataset
    parent: Code | None

    @cached_property
    def name(self) -> Code | None:
        """Its concept name."""
        return _code(self.item, _CONCEPT_NAME)

    @cached_property
    def words(self) -> str:
        """Its concept name for a message."""
        return self.name[2] if self.name else "an item without name"

    @cached_property
    def concept(self) -> Code | None:
        """The value of a CODE item."""
        return _code(self.item, _CONCEPT)

    @cached_property
    def value_type(self) -> str:
        """Its value type, such as NUM."""
        return _text(self.item, _VALUE_TYPE) or ""

    @cached_property
    def relationship(self) -> str | None:
        """Its relationship to its parent; None for the root."""
        return _text(self.item, _RELATIONSHIP)

    @cached_property
    def codes(self) -> list[Code]:
        """Every code of the item itself: name, value, unit."""
        return [found for found in (self.name, self.concept, self.unit) if found is not None]

    @cached_property
    def unit(self) -> Code | None:
        """The unit of a NUM item."""
        measured = self._measured
        return _code(measured[0], _UNIT) if len(measured) == 1 else None

    @cached_property
    def number(self) -> float | None:
        """The value of a NUM item; None if there is none or it is not finite."""
        measured = self._measured
        try:
            value = float(_text(measured[0], _NUMBER) or "") if len(measured) == 1 else None
        except ValueError:
            return None
        return value if value is not None and np.isfinite(value) else None

    @cached_property
    def finding(self) -> str:
        """The code value of a measurement group's finding; empty unless it has exactly one."""
        found = [node.concept[0] for node in self.children("121071") if node.concept]
        return found[0] if len(found) == 1 else ""

    @cached_property
    def image(self) -> str:
        """SOP Instance UID of the image that an IMAGE item names; empty unless it is one."""
        named = self.references
        return str(_text(named[0], _REFERENCED)) if len(named) == 1 else ""

    @cached_property
    def references(self) -> Sequence[Dataset]:
        """The items that name what an IMAGE or a COMPOSITE item refers to."""
        return _items(self.item, _REFERENCES)

    @cached_property
    def points(self) -> npt.NDArray[np.float64] | None:
        """(column, row) of an SCOORD item, pixels, float64, shape (n, 2); None if invalid."""
        numbers = _floats(self.item, _GRAPHIC)
        if not len(numbers) or len(numbers) % 2 or not np.isfinite(numbers).all():
            return None
        return numbers.reshape(-1, 2)

    def children(self, value: str | None = None) -> list["ContentItem"]:
        """Its child items; with ``value`` only those whose concept name has this code value."""
        if value is None:
            return self._children
        return [node for node in self._children if node.name and node.name[0] == value]

    @cached_property
    def _children(self) -> list["ContentItem"]:
        return [ContentItem(child, self.name) for child in _items(self.item, _CONTENT)]

    @cached_property
    def _measured(self) -> Sequence[Dataset]:
        return _items(self.item, _MEASURED)


def _known_tag(keyword: str) -> BaseTag:
    return same_tag(int(Tag(keyword)))


_VALUE_TYPE, _RELATIONSHIP = _known_tag("ValueType"), _known_tag("RelationshipType")
_CONCEPT_NAME = _known_tag("ConceptNameCodeSequence")
_CONCEPT = _known_tag("ConceptCodeSequence")
_CONTENT, _MEASURED = _known_tag("ContentSequence"), _known_tag("MeasuredValueSequence")
_UNIT, _REFERENCES = _known_tag("MeasurementUnitsCodeSequence"), _known_tag("ReferencedSOPSequence")
_REFERENCED, _GRAPHIC = _known_tag("ReferencedSOPInstanceUID"), _known_tag("GraphicData")
_NUMBER = _known_tag("NumericValue")


def _text(item: Dataset, tag: BaseTag) -> str | None:
    """One element as text; None if there is none."""
    found = held_element(item, tag)
    if isinstance(found, RawDataElement):
        return _encoded_text(*_content_of(found))
    return None if found is None else _as_text(found.value)


def _floats(item: Dataset, tag: BaseTag) -> npt.NDArray[np.float64]:
    """The numbers of an element of single precision."""
    found = held_element(item, tag)
    if isinstance(found, RawDataElement) and found.VR == "FL" and found.is_little_endian:
        encoded = found.value or b""
        if len(encoded) % 4 == 0:
            return np.frombuffer(encoded, "<f4").astype(np.float64)
    return np.array((() if found is None else item[tag].value) or (), dtype=np.float64)


@lru_cache(maxsize=1024)
def _encoded_text(*content: Any) -> str | None:
    return _as_text(_decoded(*content).value)


def _content_of(element: RawDataElement) -> tuple[Hashable, ...]:
    """All of an element but its place in the file."""
    vr, is_implicit, is_little = element.VR, element.is_implicit_VR, element.is_little_endian
    return element.tag, vr, element.value, is_implicit, is_little


def _decoded(
    tag: BaseTag, vr: str, value: bytes, is_implicit: bool, is_little: bool
) -> DataElement:
    return convert_raw_data_element(
        RawDataElement(tag, vr, len(value), value, 0, is_implicit, is_little)
    )


def _as_text(value: object) -> str | None:
    return None if value is None else str(value)


def _items(item: Dataset, tag: BaseTag) -> Sequence[Dataset]:
    """The items of a sequence; none if it is missing."""
    found = held_element(item, tag)
    if isinstance(found, RawDataElement):
        items = split_items(found, item.original_character_set)
        if items is not None:
            return items
    return () if found is None else list(item[tag].value or ())


def _code(item: Dataset, tag: BaseTag) -> Code | None:
    found = held_element(item, tag)
    if isinstance(found, RawDataElement):
        return _encoded_code(*_content_of(found))
    return None if found is None else _only_code(found.value)


@lru_cache(maxsize=1024)
def _encoded_code(*content: Any) -> Code | None:
    """The same few codes stand in a report a thousand times: each is decoded once."""
    return _only_code(_decoded(*content).value)


def _only_code(sequence: Sequence[Dataset] | None) -> Code | None:
    if sequence is None or len(sequence) != 1:
        return None
    [code] = sequence
    return (
        str(code.get("CodeValue") or ""),
        str(code.get("CodingSchemeDesignator") or ""),
        str(code.get("CodeMeaning") or ""),
    )
