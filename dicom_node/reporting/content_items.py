"""The content items of a Structured Report (PS3.3, C.17.3), as plain data sets.

highdicom's own items check and copy all that they hold: a report of 96 slices took them 8 CPU
seconds. What the node says is checked once, when the report is read back (`checks.report_check`).
"""

from collections.abc import Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
from highdicom.sr import CodedConcept, RelationshipTypeValues, ValueTypeValues
from pydicom.charset import default_encoding
from pydicom.dataset import Dataset
from pydicom.valuerep import DS

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
    "date_item",
    "finding_site_item",
    "image_item",
    "number_item",
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
    found = _item(ValueTypeValues.CONTAINER, name, relationship)
    found.ContinuityOfContent = "SEPARATE"
    if template:
        identification = _new()
        identification.MappingResource = "DCMR"
        identification.TemplateIdentifier = template
        found.ContentTemplateSequence = [identification]
    found.ContentSequence = list(items)
    return found


def text_item(
    name: CodedConcept, value: str, relationship: RelationshipTypeValues = CONTAINS
) -> Dataset:
    """Words with their name."""
    found = _item(ValueTypeValues.TEXT, name, relationship)
    found.TextValue = value
    return found


def code_item(
    name: CodedConcept, value: CodedConcept, relationship: RelationshipTypeValues = CONTAINS
) -> Dataset:
    """A code with its name."""
    found = _item(ValueTypeValues.CODE, name, relationship)
    found.ConceptCodeSequence = [value]
    return found


def uid_item(name: CodedConcept, value: str, relationship: RelationshipTypeValues) -> Dataset:
    """A UID with its name."""
    found = _item(ValueTypeValues.UIDREF, name, relationship)
    found.UID = value
    return found


def date_item(name: CodedConcept, value: date) -> Dataset:
    """A date with its name, of a container."""
    found = _item(ValueTypeValues.DATE, name, CONTAINS)
    found.Date = value.strftime("%Y%m%d")
    return found


def number_item(
    name: CodedConcept,
    value: float,
    unit: CodedConcept,
    relationship: RelationshipTypeValues = CONTAINS,
    items: Sequence[Dataset] = (),
) -> Dataset:
    """A number with its name and unit, and what qualifies it."""
    measured = _new()
    measured.NumericValue = DS(value, auto_format=True)
    measured.FloatingPointValue = value
    measured.MeasurementUnitsCodeSequence = [unit]
    found = _item(ValueTypeValues.NUM, name, relationship)
    found.MeasuredValueSequence = [measured]
    if items:
        found.ContentSequence = list(items)
    return found


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
    found = _item(ValueTypeValues.SCOORD, name, relationship)
    found.GraphicType = "POLYLINE"
    found.GraphicData = points.ravel().tolist()
    found.ContentSequence = [image]
    return found


def finding_site_item(place: CodedConcept, side: CodedConcept | None = None) -> Dataset:
    """Where something was found, with its side if it has one."""
    found = code_item(own.FINDING_SITE, place, MODIFIES)
    if side is not None:
        found.ContentSequence = [code_item(own.LATERALITY, side, MODIFIES)]
    return found


def _reference(
    value_type: ValueTypeValues,
    name: CodedConcept,
    sop_class_uid: str,
    sop_instance_uid: str,
    relationship: RelationshipTypeValues,
) -> Dataset:
    instance = _new()
    instance.ReferencedSOPClassUID = sop_class_uid
    instance.ReferencedSOPInstanceUID = sop_instance_uid
    found = _item(value_type, name, relationship)
    found.ReferencedSOPSequence = [instance]
    return found


def _item(
    value_type: ValueTypeValues, name: CodedConcept, relationship: RelationshipTypeValues | None
) -> Dataset:
    found = _new()
    found.ValueType = value_type.value
    found.ConceptNameCodeSequence = [name]
    if relationship is not None:
        found.RelationshipType = relationship.value
    return found


def _new() -> Dataset:
    """A data set that pydicom writes without a search for values whose VR depends on others."""
    found = Dataset()
    found.set_original_encoding(False, True, default_encoding)
    return found
