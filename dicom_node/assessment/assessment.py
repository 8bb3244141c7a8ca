"""From the volume of one series to a complete assessment: no files, no network."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import modeling
import network as interactions
from dicom_node.assessment.image_checks import ImageFacts, check_image
from dicom_node.foreign_text import cleaned
from dicom_node.memory import trim_memory
from dicom_node.series.instances import Instance
from dicom_node.series.selection import EligibleSeries
from dicom_node.settings.node import AcquisitionRules, ScannerOffset
from modeling import Contribution, Sex, StagePrediction, Stager
from network import InteractionNetwork, NodePlace
from roi_extraction import (
    Anatomy,
    Correction,
    CtVolume,
    FeatureVector,
    Finding,
    Segmenter,
    extract,
)
from roi_extraction.sites import SITES

__all__ = ["COHORT_KVP", "SAME_KVP", "Assessment", "assess", "stated_sex"]

COHORT_KVP = 120.0
"""Tube voltage of the cohort that the models were trained on (Wang 2025,
doi 10.1101/2025.02.12.25321163); HU measured at another are reported, never staged."""

SAME_KVP = 0.5
"""Largest difference to it that counts as the same, kV: some headers round."""


@dataclass(frozen=True, eq=False)
class Assessment:
    """Everything that is known of one series after its assessment.

    Parameters
    ----------
    series
        The series that was measured.
    features
        Its 36 sites, HU.
    prediction
        Its stage, or why there is none.
    contributions
        What moved the stage, the strongest first; empty if there is none.
    places
        Where the sites behind the contributions stand in the network, by site name.
    findings
        What the reader should know of the scan, its anatomy and its stage.
    timings_s
        Seconds that the steps ``segment``, ``measure`` and ``stage`` took.
    image
        What the image says of its acquisition.
    offset
        How this scanner reads beside the cohort's; None where the settings do not say.
    """

    series: EligibleSeries
    features: FeatureVector
    prediction: StagePrediction
    contributions: tuple[Contribution, ...]
    places: Mapping[str, NodePlace]
    findings: tuple[Finding, ...]
    timings_s: Mapping[str, float]
    image: ImageFacts
    offset: ScannerOffset | None = None

    @property
    def at_cohort_kvp(self) -> bool:
        """Whether the X-ray spectrum is the one that models and thresholds hold for."""
        return _unlike_cohort(self.series) is None

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings of the scan and of its sites, each once."""
        sites = (finding for site in self.features.measurements for finding in site.findings)
        return tuple(dict.fromkeys((*self.findings, *sites)))


def assess(
    series: EligibleSeries,
    volume: CtVolume,
    segmenter: Segmenter,
    stager: Stager,
    network: InteractionNetwork | None,
    findings: Sequence[Finding] = (),
    rules: AcquisitionRules | None = None,
    scanners: Sequence[ScannerOffset] = (),
    correction: Correction | None = None,
) -> Assessment:
    """Measure, stage, explain and locate one patient.

    Parameters
    ----------
    series
        The series, with its header.
    volume
        Its volume: int16 HU, shape (slices, rows, columns).
    segmenter
        Finds the spine and the muscles.
    stager
        The model.
    network
        The bone-muscle network in which the sites are located; None for none.
    findings
        Further findings that the reader should know.
    rules
        What happens to a scan whose image breaks a rule; the settings' defaults if None.
    scanners
        Scanners whose offset from the cohort's is known.
    correction
        What a reader wants to be measured otherwise; None for nothing.

    Raises
    ------
    roi_extraction.RoiError
        The scan's anatomy cannot be used.
    SeriesRefused
        The image breaks a rule that is strict; nothing was measured.
    """
    checked: list[tuple[float, ImageFacts, list[Finding]]] = []

    def check(anatomy: Anatomy) -> None:
        trim_memory()  # what the segmenter took would else be held beside what follows
        segmented = time.perf_counter()
        checked.append((segmented, *check_image(volume, anatomy, rules or AcquisitionRules())))

    started = time.perf_counter()
    features = extract(volume, segmenter, check, correction)
    measured = time.perf_counter()
    [(segmented, image, seen)] = checked
    first = series.first
    offset = next((known for known in scanners if known.of(first.manufacturer, first.model)), None)
    prediction, contributions = _staged(series, _as_in_cohort(features, offset), stager)
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
        findings=(
            *series.findings,
            *_offset_finding(offset),
            *findings,
            *seen,
            *features.findings,
            *prediction.findings,
        ),
        timings_s={
            "segment": segmented - started,
            "measure": measured - segmented,
            "stage": staged - measured,
        },
        image=image,
        offset=offset,
    )


def _as_in_cohort(features: FeatureVector, offset: ScannerOffset | None) -> npt.NDArray[np.float64]:
    """Mean HU of the 36 sites as the cohort's scanner would have read them; NaN where missing."""
    if offset is None:
        return features.mean_hu
    by_site = [offset.bone_hu if site.is_vertebra else offset.muscle_hu for site in SITES]
    return features.mean_hu - np.array(by_site)


def _offset_finding(offset: ScannerOffset | None) -> tuple[Finding, ...]:
    if offset is None:
        return ()
    message = (
        f"this scanner reads bone {offset.bone_hu:+g} HU and muscle {offset.muscle_hu:+g} HU "
        "beside the cohort's; thresholds and stage allow for it, the HU are as measured "
        f"({cleaned(offset.source)})"
    )
    return (Finding("acquisition.scanner_offset", message),)


def _staged(
    series: EligibleSeries, mean_hu: npt.NDArray[np.float64], stager: Stager
) -> tuple[StagePrediction, tuple[Contribution, ...]]:
    """The stage with what moved it, or the reason why there is none."""
    reason = _unlike_cohort(series)
    if reason is not None:
        return StagePrediction(None, {}, {}, (), stager.bundle.model_id, reason), ()
    age, sex = series.first.age_years, stated_sex(series.first)
    prediction = stager.stage(mean_hu, age, sex)
    if prediction.predicted is None:
        return prediction, ()
    return prediction, stager.explain(mean_hu, age, sex, prediction.predicted)


def _unlike_cohort(series: EligibleSeries) -> str | None:
    """Why HU of this X-ray spectrum are not those of the cohort; None if they are."""
    kvp = series.first.kvp
    if kvp is None or abs(kvp - COHORT_KVP) > SAME_KVP:
        stated = "an unknown tube voltage" if kvp is None else f"{kvp:g} kVp"
    elif any(instance.multienergy for instance in series.slices):
        stated = "several X-ray spectra"
    else:
        return None
    return f"measured at {stated}: the model holds for {COHORT_KVP:g} kVp only"


def stated_sex(instance: Instance) -> Sex | None:
    """The sex that an image states; None if it is neither of the cohort's two."""
    return {"M": modeling.Sex.MALE, "F": modeling.Sex.FEMALE}.get(instance.sex)
