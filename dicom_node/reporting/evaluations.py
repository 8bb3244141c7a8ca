"""What the Structured Report says in codes and words, beside the measurements (TID 1500).

Three containers: the impression comes first, the coded results after it, and what the model weighed
last. None is a measurement group: a group without a region on an image stops viewers that draw
measurements (OHIF).
"""

from importlib.metadata import version

from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset

from dicom_node.assessment.assessment import Assessment
from dicom_node.records.reading import Reading
from dicom_node.reporting import codes as own
from dicom_node.reporting.content_items import (
    MODIFIES,
    code_item,
    container,
    image_item,
    number_item,
    text_item,
)
from dicom_node.reporting.references import reference_items
from dicom_node.reporting.report_model import RESEARCH_USE
from dicom_node.reporting.words.call_words import reported_values, worth_words
from dicom_node.reporting.words.impression import (
    evidence_of,
    impression,
    mix_words,
    steadiness_words,
)
from dicom_node.reporting.words.level_words import level_words
from dicom_node.reporting.words.reading_words import reading_words
from dicom_node.reporting.words.result_kind import ResultKind, result_kind
from dicom_node.reporting.words.site_words import not_measured, site_words
from dicom_node.reporting.words.thresholds import l1_category
from modeling.calibration import Osteoporosis
from roi_extraction.anatomy import Finding

__all__ = [
    "algorithm",
    "coded_results",
    "impressions",
    "supplement",
]

ANSWERS = {
    Osteoporosis.YES: own.YES,
    Osteoporosis.NO: own.NO,
    Osteoporosis.UNDETERMINED: own.UNDETERMINED,
}
"""The codes of the model's answer."""

MAX_CONTRIBUTIONS = 5
"""Inputs of the model that the report names, the strongest first; report.json has all."""


def impressions(assessment: Assessment, reading: Reading | None = None) -> Dataset:
    """The verdict in words, and what a reader said."""
    sentences = impression(evidence_of(assessment))
    items = [text_item(own.IMPRESSION, words) for words in sentences]
    if reading is not None:
        items.append(text_item(own.COMMENT, reading_words(reading)))
    return container(own.IMPRESSIONS, [*items, text_item(own.COMMENT, RESEARCH_USE)])


def coded_results(assessment: Assessment) -> Dataset:
    """Stage, category of L1, contrast with its phase and warnings as codes; what is missing."""
    prediction = assessment.prediction
    items: list[Dataset] = [code_item(own.STAGE, _stage(assessment))]
    if prediction.abstained:
        items.append(text_item(own.COMMENT, f"Not staged: {prediction.abstained}"))
    else:
        items += [
            code_item(own.PREDICTION_SET, own.STAGES[member.value])
            for member in prediction.prediction_set
        ]
    if prediction.osteoporosis is not None:
        items.append(code_item(own.OSTEOPOROSIS, ANSWERS[prediction.osteoporosis]))
    category = l1_category(assessment)
    if category is not None:
        items.append(code_item(own.L1_THRESHOLD, own.L1_THRESHOLD_VALUES[category]))
    items.append(code_item(own.CONTRAST, _contrast(assessment)))
    items.append(code_item(own.PHASE, own.PHASES.get(assessment.image.phase, own.UNDETERMINED)))
    items += [item for found in assessment.warnings for item in _warning(found)]
    missing = not_measured(assessment.features.measurements)
    if missing:
        items.append(text_item(own.COMMENT, f"Not measured: {missing}"))
    return container(own.QUALITATIVE_EVALUATIONS, items)


def supplement(assessment: Assessment, segmentation: Dataset | None = None) -> Dataset:
    """References, the model with its probabilities, what moved them, and the Segmentation."""
    prediction = assessment.prediction
    items: list[Dataset] = [*algorithm(assessment, "osteonode staging", prediction.model_id)]
    naming = assessment.features.spine.naming
    if naming is not None:
        items.append(text_item(own.COMMENT, f"Levels {level_words(naming)}"))
    items += reference_items(assessment)
    if prediction.prevalence:
        items.append(text_item(own.COMMENT, mix_words(prediction.prevalence)))
        values = reported_values(prediction)
        if values is not None and prediction.predicted is not None:
            items.append(text_item(own.COMMENT, worth_words(prediction.predicted, values)))
        items.append(
            text_item(
                own.COMMENT,
                steadiness_words(
                    prediction.predicted, prediction.at_minus_10_hu, prediction.at_plus_10_hu
                ),
            )
        )
    items += [
        number_item(own.PROBABILITY[letter.value], round(float(value), 4), own.RATIO)
        for letter, value in prediction.probabilities.items()
    ]
    for item in assessment.contributions[:MAX_CONTRIBUTIONS]:
        value = "not measured" if item.value is None else f"{item.value:.1f}"
        ranks = "; ".join(
            f"{site_words(site)} is number {assessment.places[site].strength_rank} by strength"
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
        items.append(image_item(own.REGIONS, segmentation.SOPClassUID, segmentation.SOPInstanceUID))
    return container(own.SUPPLEMENTARY_DATA, items)


def algorithm(assessment: Assessment, name: str, model_id: str | None = None) -> list[Dataset]:
    """Name, version and parameters of one of the node's algorithms (TID 4019)."""
    segmenter = assessment.features.segmenter
    parameters = [f"segmenter {segmenter.name} {segmenter.version}"]
    if model_id:
        parameters.append(f"model {model_id}")
    return [
        text_item(own.ALGORITHM_NAME, name, MODIFIES),
        text_item(own.ALGORITHM_VERSION, version("osteonode"), MODIFIES),
        *(text_item(own.ALGORITHM_PARAMETERS, words, MODIFIES) for words in parameters),
    ]


def _stage(assessment: Assessment) -> CodedConcept:
    """The stage, or what stands in its place."""
    kind = result_kind(evidence_of(assessment))
    predicted = assessment.prediction.predicted
    if predicted is None:
        return own.L1_ALONE if kind is ResultKind.L1_ALONE else own.NOT_STAGED
    return own.STAGES[predicted.value] if kind is ResultKind.STAGED else own.UNDETERMINED


def _contrast(assessment: Assessment) -> CodedConcept:
    """Whether the scan has contrast: by its header, or else by the blood in the aorta."""
    codes = {found.code for found in assessment.warnings}
    if codes & {"acquisition.contrast", "acquisition.contrast_seen"}:
        return own.YES
    return own.NO if assessment.image.aorta_missing is None else own.UNDETERMINED


def _warning(found: Finding) -> tuple[Dataset, Dataset]:
    """A warning as a code, and in words beside it, where renderers show them."""
    code = own.WARNINGS.get(found.code, own.OTHER_WARNING)
    return code_item(own.WARNING, code), text_item(own.COMMENT, found.message)
