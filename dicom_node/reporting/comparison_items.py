"""The comparison with an earlier report in the Structured Report (Supplementary Data)."""

from highdicom.sr import (
    CodeContentItem,
    CompositeContentItem,
    ContainerContentItem,
    ContentSequence,
    DateContentItem,
    FindingSite,
    NumContentItem,
    RelationshipTypeValues,
)
from highdicom.sr.value_types import ContentItem
from pydicom.uid import ComprehensiveSRStorage

from dicom_node.reporting import codes as own
from dicom_node.reporting.evaluations import container, text_item
from dicom_node.reporting.report_model import Comparison, EarlierReport, SiteChange
from dicom_node.reporting.words.comparison_words import comparison_words
from roi_extraction.sites import SITES_BY_NAME

__all__ = ["comparison_container"]

CONTAINS = RelationshipTypeValues.CONTAINS


def comparison_container(comparison: Comparison, earlier: EarlierReport) -> ContainerContentItem:
    """The earlier report, and the change of each vertebra with what it follows from.

    A change is a number whose properties are the change a year and the least significant change,
    inferred from the earlier mean; the present one stands in the vertebra's measurement group.
    """
    items: list[ContentItem] = [
        CompositeContentItem(
            name=own.EARLIER_REPORT,
            referenced_sop_class_uid=ComprehensiveSRStorage,
            referenced_sop_instance_uid=earlier.sop_instance_uid,
            relationship_type=CONTAINS,
        ),
        DateContentItem(name=own.STUDY_DATE, value=earlier.study_date, relationship_type=CONTAINS),
    ]
    items += [_change(change) for change in comparison.changes]
    items += [text_item(own.COMMENT, words) for words in comparison_words(comparison)]
    return container(own.COMPARISON, items)


def _change(change: SiteChange) -> NumContentItem:
    level = SITES_BY_NAME[change.name].level
    if level is None:
        raise ValueError(f"site {change.name} is no vertebra")
    properties = RelationshipTypeValues.HAS_PROPERTIES
    earlier = NumContentItem(
        name=own.ATTENUATION,
        value=change.earlier_hu,
        unit=own.HOUNSFIELD,
        relationship_type=RelationshipTypeValues.INFERRED_FROM,
    )
    earlier.ContentSequence = ContentSequence(
        [
            CodeContentItem(
                name=own.DERIVATION,
                value=own.MEAN,
                relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD,
            )
        ]
    )
    found = NumContentItem(
        name=own.CHANGE,
        value=change.change_hu,
        unit=own.HOUNSFIELD,
        relationship_type=CONTAINS,
    )
    found.ContentSequence = ContentSequence(
        [
            FindingSite(anatomic_location=own.LEVEL_CODES[level]),
            earlier,
            NumContentItem(
                name=own.CHANGE_A_YEAR,
                value=change.per_year_hu,
                unit=own.HOUNSFIELD_A_YEAR,
                relationship_type=properties,
            ),
            NumContentItem(
                name=own.LEAST_SIGNIFICANT,
                value=change.least_significant_hu,
                unit=own.HOUNSFIELD,
                relationship_type=properties,
            ),
        ]
    )
    return found
