"""The content items of a Structured Report (PS3.3, C.17.3), as plain data sets.

highdicom's own items check and copy all that they hold: a report of 96 slices took them 8 CPU
seconds. What the node says is checked once, when the report is read back (`checks.report_check`).
"""

from collections.abc import Sequence
from datetime import date
from functools import cache

import numpy as np
import numpy.typing as npt
from highdicom.sr import CodedConcept, RelationshipTypeValues, ValueTypeValues
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import DS, PersonName

from dicom_node.decoding.prepared import prepared_dataset, same_tag
from dicom_node.reporting import codes as own

__all__ = [
    "CONTAINS",
    "INFERRED",
    "MODIFIES",
    "OBSERVATION",
    "PROPERTY",
    "SELECTED",
    "code_item",
    "composite_item",
    "container",
    "data_set",
    "date_item",
    "finding_site_item",
    "image_item",
    "number_item",
    "person_item",
    "polygon_item",
    "text_item",
    "uid_item",
]

CONTAINS = RelationshipTypeValues.CONTAINS
INFERRED = RelationshipTypeValues.INFERRED_FROM
MODIFIES = RelationshipTypeValues.HAS_CONCEPT_MOD
OBSERVATION = RelationshipTypeValues.HAS_OBS_CONTEXT
PROPERTY = RelationshipTypeValues.HAS_PROPERTIES
SELECTED = RelationshipTypeValues.SELECTED_FROM


def container(
    name: CodedConcept,
    items: Sequence[Dataset],
    relationship: RelationshipTypeValues | None = CONTAINS,
    template: str = "",
) -> Dataset:
    """A container with its items, of a container above it.

    Its items are no running text: renderers drop the names of those that are.

    Parameters
    ----------
    name
        Its concept name.
    items
        What it holds.
    relationship
        To the item above it; None for the root.
    template
        Number of the template of PS3.16 that it follows; empty for none.
    """
    more: dict[str, object] = {"ContinuityOfContent": "SEPARATE", "ContentSequence": items}
    if template:
        identification = data_set(MappingResource="DCMR", TemplateIdentifier=template)
        more["ContentTemplateSequence"] = [identification]
    return _item(ValueTypeValues.CONTAINER, name, relationship, **more)


def text_item(
    name: CodedConcept, value: str, relationship: RelationshipTypeValues = CONTAINS
) -> Dataset:
    """Words with their name."""
    return _item(ValueTypeValues.TEXT, name, relationship, TextValue=value)


def person_item(name: CodedConcept, value: str, relationship: RelationshipTypeValues) -> Dataset:
    """A person's name, as in DICOM, with its concept name."""
    return _item(ValueTypeValues.PNAME, name, relationship, PersonName=PersonName(value))


def code_item(
    name: CodedConcept,
    value: CodedConcept,
    relationship: RelationshipTypeValues = CONTAINS,
    items: Sequence[Dataset] = (),
) -> Dataset:
    """A code with its name, and what qualifies it."""
    more = {"ContentSequence": items} if items else {}
    return _item(ValueTypeValues.CODE, name, relationship, ConceptCodeSequence=[value], **more)


def uid_item(name: CodedConcept, value: str, relationship: RelationshipTypeValues) -> Dataset:
    """A UID with its name."""
    return _item(ValueTypeValues.UIDREF, name, relationship, UID=value)


def date_item(name: CodedConcept, value: date) -> Dataset:
    """A date with its name, of a container."""
    return _item(ValueTypeValues.DATE, name, CONTAINS, Date=value.strftime("%Y%m%d"))


def number_item(
    name: CodedConcept,
    value: float,
    unit: CodedConcept,
    relationship: RelationshipTypeValues = CONTAINS,
    items: Sequence[Dataset] = (),
) -> Dataset:
    """A number with its name and unit, and what qualifies it."""
    measured = data_set(
        NumericValue=DS(value, auto_format=True),
        FloatingPointValue=value,
        MeasurementUnitsCodeSequence=[unit],
    )
    more = {"ContentSequence": items} if items else {}
    return _item(ValueTypeValues.NUM, name, relationship, MeasuredValueSequence=[measured], **more)


def image_item(
    name: CodedConcept,
    sop_class_uid: str,
    sop_instance_uid: str,
    relationship: RelationshipTypeValues = CONTAINS,
) -> Dataset:
    """A reference to an image."""
    return _reference(ValueTypeValues.IMAGE, name, sop_class_uid, sop_instance_uid, relationship)


def composite_item(name: CodedConcept, sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """A reference, of a container, to an object that is no image."""
    return _reference(ValueTypeValues.COMPOSITE, name, sop_class_uid, sop_instance_uid, CONTAINS)


def polygon_item(
    name: CodedConcept,
    points: npt.NDArray[np.float64],
    image: Dataset,
    relationship: RelationshipTypeValues = CONTAINS,
) -> Dataset:
    """A polygon on an image.

    Parameters
    ----------
    name
        Its concept name.
    points
        float64, shape (n, 2): (column, row) in pixels, the first point repeated at the end.
    image
        The item of the image that it is drawn on.
    relationship
        To the item above it.
    """
    return _item(
        ValueTypeValues.SCOORD,
        name,
        relationship,
        GraphicType="POLYLINE",
        GraphicData=MultiValue(float, points.ravel().tolist()),
        ContentSequence=[image],
    )


def finding_site_item(place: CodedConcept, side: CodedConcept | None = None) -> Dataset:
    """Where something was found, with its side if it has one."""
    sides = [] if side is None else [code_item(own.LATERALITY, side, MODIFIES)]
    return code_item(own.FINDING_SITE, place, MODIFIES, sides)


def _reference(
    value_type: ValueTypeValues,
    name: CodedConcept,
    sop_class_uid: str,
    sop_instance_uid: str,
    relationship: RelationshipTypeValues,
) -> Dataset:
    instance = data_set(
        ReferencedSOPClassUID=sop_class_uid, ReferencedSOPInstanceUID=sop_instance_uid
    )
    return _item(value_type, name, relationship, ReferencedSOPSequence=[instance])


def _item(
    value_type: ValueTypeValues,
    name: CodedConcept,
    relationship: RelationshipTypeValues | None,
    **more: object,
) -> Dataset:
    if relationship is not None:
        more["RelationshipType"] = relationship.value
    return data_set(ValueType=value_type.value, ConceptNameCodeSequence=[name], **more)


def data_set(**values: object) -> Dataset:
    """A data set of values that need no conversion, by their keywords.

    Attributes set one by one are looked up, converted and checked each, which takes ten times as
    long.
    """
    elements: dict[BaseTag, DataElement | RawDataElement] = {}
    for keyword, value in values.items():
        tag, vr = _element_of(keyword)
        held = DicomSequence(value) if vr == "SQ" else value  # type: ignore[arg-type]
        elements[tag] = DataElement(tag, vr, held, already_converted=True)
    return prepared_dataset(elements)


@cache
def _element_of(keyword: str) -> tuple[BaseTag, str]:
    """Tag and value representation."""
    return same_tag(int(Tag(keyword))), dictionary_VR(keyword)
