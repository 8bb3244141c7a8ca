"""The journey of one series: HU in, a complete assessment out; no files, no network."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import modeling
import network as interactions
from dicom_node.assessment.image_checks import ImageFacts, check_image
from dicom_node.series.instances import Instance
from dicom_node.series.selection import EligibleSeries
from dicom_node.settings.node import AcquisitionRules
from modeling import Contribution, Sex, StagePrediction, Stager
from network import InteractionNetwork, NodePlace
from roi_extraction.anatomy import Finding, Segmenter
from roi_extraction.features import FeatureVector
from roi_extraction.measurement import measure
from roi_extraction.placement import place
from roi_extraction.volume import CtVolume

__all__ = ["COHORT_KVP", "Assessment", "assess"]

COHORT_KVP = 120.0
"""Tube voltage of the cohort that the models were trained on (Wang 2025,
doi 10.1101/2025.02.12.25321163); HU measured at another are reported, never staged."""


@dataclass(frozen=True, eq=False)
class Assessment:
    """Everything that is known of one series after its assessment."""

    series: EligibleSeries
    features: FeatureVector
    prediction: StagePrediction
    contributions: tuple[Contribution, ...]
    places: Mapping[str, NodePlace]
    findings: tuple[Finding, ...]
    timings_s: Mapping[str, float]
    image: ImageFacts | None = None

    @property
    def at_cohort_kvp(self) -> bool:
        """Whether the tube voltage is the one that models and thresholds hold for."""
        return _at_cohort_kvp(self.series)


def assess(
    series: EligibleSeries,
    volume: CtVolume,
    segmenter: Segmenter,
    stager: Stager,
    network: InteractionNetwork | None,
    findings: Sequence[Finding] = (),
    rules: AcquisitionRules | None = None,
) -> Assessment:
    """Measure, stage, explain and locate one patient.

    Parameters
    ----------
    findings
        What else to warn of.
    rules
        What becomes of a scan whose image breaks a rule; the settings' defaults if None.

    Raises
    ------
    roi_extraction.RoiError
        The scan's anatomy cannot be used.
    SeriesRefused
        The image breaks a rule that is strict.
    """
    started = time.perf_counter()
    anatomy = segmenter.segment(volume)
    segmented = time.perf_counter()
    image, seen = check_image(volume, anatomy, rules or AcquisitionRules())
    features = measure(volume, anatomy, place(volume, anatomy))
    measured = time.perf_counter()
    kvp = series.first.kvp
    age, sex = series.first.age_years, _sex(series.first)
    if not _at_cohort_kvp(series):
        stated = "an unknown tube voltage" if kvp is None else f"{kvp:g} kVp"
        reason = f"measured at {stated}: the model holds for {COHORT_KVP:g} kVp only"
        prediction = StagePrediction(None, {}, {}, (), stager.bundle.model_id, reason)
    else:
        prediction = stager.stage(features.mean_hu, age, sex)
    contributions: tuple[Contribution, ...] = ()
    if prediction.predicted is not None:
        contributions = stager.explain(features.mean_hu, age, sex)
    places: Mapping[str, NodePlace] = {}
    if network is not None:
        sites = sorted({site for item in contributions for site in item.sites})
        places = {place.feature: place for place in interactions.locate(network, sites)}
    staged = time.perf_counter()
    return Assessment(
        series=series,
        features=features,
        prediction=prediction,
        contributions=contributions,
        places=places,
        findings=(*series.findings, *findings, *seen, *features.findings, *prediction.findings),
        timings_s={
            "segment": segmented - started,
            "measure": measured - segmented,
            "stage": staged - measured,
        },
        image=image,
    )


def _at_cohort_kvp(series: EligibleSeries) -> bool:
    return series.first.kvp is not None and abs(series.first.kvp - COHORT_KVP) <= 0.5


def _sex(instance: Instance) -> Sex | None:
    return {"M": modeling.Sex.MALE, "F": modeling.Sex.FEMALE}.get(instance.sex)
