"""The comparison with an earlier report in the Structured Report (Supplementary Data)."""

from pydicom.dataset import Dataset
from pydicom.uid import ComprehensiveSRStorage

from dicom_node.reporting import codes as own
from dicom_node.reporting.content_items import (
    INFERRED,
    MODIFIES,
    PROPERTY,
    code_item,
    composite_item,
    container,
    date_item,
    finding_site_item,
    number_item,
    text_item,
)
from dicom_node.reporting.report_model import Comparison, EarlierReport, SiteChange
from dicom_node.reporting.words.comparison_words import comparison_words
from roi_extraction.sites import SITES_BY_NAME

__all__ = ["comparison_container"]


def comparison_container(comparison: Comparison, earlier: EarlierReport) -> Dataset:
    """The earlier report, and the change of each vertebra with what it follows from.

    A change is a number whose properties are the change a year and the least significant change,
    inferred from the earlier mean; the present one stands in the vertebra's measurement group.
    """
    return container(
        own.COMPARISON,
        [
            composite_item(own.EARLIER_REPORT, ComprehensiveSRStorage, earlier.sop_instance_uid),
            date_item(own.STUDY_DATE, earlier.study_date),
            *(_change(change) for change in comparison.changes),
            *(text_item(own.COMMENT, words) for words in comparison_words(comparison)),
        ],
    )


def _change(change: SiteChange) -> Dataset:
    level = SITES_BY_NAME[change.name].level
    if level is None:
        raise ValueError(f"site {change.name} is no vertebra")
    mean = code_item(own.DERIVATION, own.MEAN, MODIFIES)
    yearly, limit = change.per_year_hu, change.least_significant_hu
    return number_item(
        own.CHANGE,
        change.change_hu,
        own.HOUNSFIELD,
        items=[
            finding_site_item(own.LEVEL_CODES[level]),
            number_item(own.ATTENUATION, change.earlier_hu, own.HOUNSFIELD, INFERRED, [mean]),
            number_item(own.CHANGE_A_YEAR, yearly, own.HOUNSFIELD_A_YEAR, PROPERTY),
            number_item(own.LEAST_SIGNIFICANT, limit, own.HOUNSFIELD, PROPERTY),
        ],
    )
