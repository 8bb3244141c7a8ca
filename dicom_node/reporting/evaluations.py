"""What the Structured Report says in codes and words, beside the measurements (TID 1500).

Three containers: the impression comes first, the coded results after it, and what the model weighed
last. None is a measurement group: a group without a region on an image stops viewers that draw
measurements (OHIF).
"""

from collections.abc import Sequence
from importlib.metadata import version

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentSequence,
    ImageContentItem,
    NumContentItem,
    RelationshipTypeValues,
    TextContentItem,
)
from highdicom.sr.value_types import ContentItem
from pydicom.dataset import Dataset

from dicom_node.assessment.assessment import Assessment
from dicom_node.reporting import codes as own
from dicom_node.reporting.report_model import RESEARCH_USE
from dicom_node.reporting.words.impression import (
    COHORT_MIX,
    evidence_of,
    impression,
    is_decided,
)
from dicom_node.reporting.words.site_words import not_measured, site_words
from dicom_node.reporting.words.thresholds import l1_category
from roi_extraction.anatomy import Finding

__all__ = [
    "algorithm",
    "coded_results",
    "container",
    "impressions",
    "supplement",
    "text_item",
]

CONTAINS = RelationshipTypeValues.CONTAINS

MAX_CONTRIBUTIONS = 5
"""Inputs of the model that the report names, the strongest first; report.json has all."""


def impressions(assessment: Assessment) -> ContainerContentItem:
    """The verdict in words."""
    sentences = impression(evidence_of(assessment))
    items = [text_item(own.IMPRESSION, words) for words in sentences]
    return container(own.IMPRESSIONS, [*items, text_item(own.COMMENT, RESEARCH_USE)])


def coded_results(assessment: Assessment) -> ContainerContentItem:
    """Stage, category of L1, contrast and warnings, each as a code, with what was not measured."""
    prediction = assessment.prediction
    stage = own.STAGES[""]
    if prediction.predicted is not None:
        decided = is_decided(prediction)
        stage = own.STAGES[prediction.predicted.value] if decided else own.UNDETERMINED
    items: list[ContentItem] = [_code(own.STAGE, stage)]
    if prediction.abstained:
        items.append(text_item(own.COMMENT, f"Not staged: {prediction.abstained}"))
    else:
        items += [
            _code(own.PREDICTION_SET, own.STAGES[member.value])
            for member in prediction.prediction_set
        ]
    category = l1_category(assessment)
    if category is not None:
        items.append(_code(own.L1_THRESHOLD, own.L1_THRESHOLD_VALUES[category]))
    items.append(_code(own.CONTRAST, _contrast(assessment)))
    items += [item for found in assessment.warnings for item in _warning(found)]
    missing = not_measured(assessment.features.measurements)
    if missing:
        items.append(text_item(own.COMMENT, f"Not measured: {missing}"))
    return container(own.QUALITATIVE_EVALUATIONS, items)


def supplement(assessment: Assessment, segmentation: Dataset | None = None) -> ContainerContentItem:
    """The model with its probabilities, what moved them, and the Segmentation of the regions."""
    prediction = assessment.prediction
    items: list[ContentItem] = [*algorithm(assessment, "osteonode staging", prediction.model_id)]
    if prediction.probabilities:
        items.append(text_item(own.COMMENT, COHORT_MIX))
    items += [
        NumContentItem(
            name=own.PROBABILITY[letter.value],
            value=round(float(value), 4),
            unit=own.RATIO,
            relationship_type=CONTAINS,
        )
        for letter, value in prediction.probabilities.items()
    ]
    for item in assessment.contributions[:MAX_CONTRIBUTIONS]:
        value = "not measured" if item.value is None else f"{item.value:.1f}"
        ranks = "; ".join(
            f"{site_words(site)} is number {assessment.places[site].strength_rank} by strength "
            f"in community {assessment.places[site].community}"
            for site in item.sites[:3]
            if site in assessment.places
        )
        items.append(
            text_item(
                own.CONTRIBUTION,
                f"{site_words(item.feature)}: {value}, SHAP value {item.shap:+.3f}"
                + (f". In the bone-muscle network {ranks}" if ranks else ""),
            )
        )
    if segmentation is not None:
        items.append(
            ImageContentItem(
                name=own.REGIONS,
                referenced_sop_class_uid=segmentation.SOPClassUID,
                referenced_sop_instance_uid=segmentation.SOPInstanceUID,
                relationship_type=CONTAINS,
            )
        )
    return container(own.SUPPLEMENTARY_DATA, items)


def algorithm(
    assessment: Assessment, name: str, model_id: str | None = None
) -> AlgorithmIdentification:
    """Name, version and parameters of one of the node's algorithms (TID 4019)."""
    segmenter = assessment.features.segmenter
    parameters = [f"segmenter {segmenter.name} {segmenter.version}"]
    if model_id:
        parameters.append(f"model {model_id}")
    return AlgorithmIdentification(name=name, version=version("osteonode"), parameters=parameters)


def _contrast(assessment: Assessment) -> CodedConcept:
    """Whether the scan has contrast: by its header, or else by the blood in the aorta."""
    codes = {found.code for found in assessment.warnings}
    if codes & {"acquisition.contrast", "acquisition.contrast_seen"}:
        return own.YES
    return own.NO if assessment.image.aorta_missing is None else own.UNDETERMINED


def _warning(found: Finding) -> tuple[CodeContentItem, TextContentItem]:
    """A warning as a code, and in words beside it, where renderers show them."""
    code = own.WARNINGS.get(found.code, own.OTHER_WARNING)
    return _code(own.WARNING, code), text_item(own.COMMENT, found.message)


def container(name: CodedConcept, items: Sequence[ContentItem]) -> ContainerContentItem:
    """A container with its items, of a container above it."""
    found = ContainerContentItem(name=name, relationship_type=CONTAINS)
    found.ContentSequence = ContentSequence(items)
    return found


def text_item(name: CodedConcept, value: str) -> TextContentItem:
    """Words with their name, of a container."""
    return TextContentItem(name=name, value=value, relationship_type=CONTAINS)


def _code(name: CodedConcept, value: CodedConcept) -> CodeContentItem:
    return CodeContentItem(name=name, value=value, relationship_type=CONTAINS)
