"""Build the case report from an assessment, or from the reason why there is none."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from dicom_node.assessment.assessment import Assessment
from dicom_node.records.reading import Reading
from dicom_node.reporting.references import references_report
from dicom_node.reporting.report_model import (
    AcquisitionReport,
    Explanation,
    L1Threshold,
    LevelsReport,
    NetworkPlace,
    Refusal,
    RefusalReason,
    RefusedSite,
    RejectedSeries,
    Report,
    RibReport,
    RoiReport,
    ScannerOffsetReport,
    SegmenterReport,
    SiteReport,
    StageReport,
    Warned,
)
from dicom_node.reporting.words.call_words import reported_values
from dicom_node.reporting.words.impression import (
    STAGE_NAMES,
    evidence_of,
    impression,
    is_decided,
    refusal_impression,
)
from dicom_node.reporting.words.level_words import level_words
from dicom_node.reporting.words.result_kind import result_kind
from dicom_node.reporting.words.thresholds import (
    L1_OSTEOPOROSIS_SENSITIVE_HU,
    L1_OSTEOPOROSIS_SPECIFIC_HU,
    bone_offset_hu,
    l1_category,
)
from dicom_node.series.selection import RefusedSeries
from modeling import Contribution, Stage, StagePrediction
from network import NodePlace
from roi_extraction.anatomy import Finding, LevelNaming
from roi_extraction.features import Roi, SiteMeasurement
from roi_extraction.sites import SITES

__all__ = [
    "refusal_report",
    "report",
    "stage_statement",
    "with_report_time",
]

LIKE = {
    "A": "normal bone density",
    "B": "osteopenia",
    "C": "osteoporosis",
    "D": "an osteoporotic fracture",
}
"""The group of the cohort that a patient of each stage resembles: a likeness, not a diagnosis."""


def report(
    assessment: Assessment,
    timings_s: Mapping[str, float],
    rejected: Sequence[RefusedSeries] = (),
    reading: Reading | None = None,
) -> Report:
    """Build the report of an assessed series.

    Parameters
    ----------
    assessment
        What was measured and staged.
    timings_s
        Wall-clock time of each step, s.
    rejected
        Series of the same study that could not be assessed.
    reading
        What a reader said of the report that this one supersedes.
    """
    series, features = assessment.series, assessment.features
    evidence = evidence_of(assessment)
    sop_uids = [instance.sop_instance_uid for instance in series.slices]
    return Report(
        study_uid=series.study_uid,
        series_uid=series.series_uid,
        result=result_kind(evidence),
        impression=impression(evidence),
        warnings=_warned(assessment.warnings),
        acquisition=_acquisition(assessment),
        references=references_report(assessment),
        segmenter=SegmenterReport(name=features.segmenter.name, version=features.segmenter.version),
        levels_confidence=_rounded(features.spine.confidence, 3),
        levels=_levels(features.spine.naming),
        sites=tuple(_site(measurement, sop_uids) for measurement in features.measurements),
        l1_threshold=L1Threshold(
            mean_hu=_rounded(features.by_name["L1"].mean_hu, 2),
            category=l1_category(assessment),
            specific_hu=L1_OSTEOPOROSIS_SPECIFIC_HU + bone_offset_hu(assessment),
            sensitive_hu=L1_OSTEOPOROSIS_SENSITIVE_HU + bone_offset_hu(assessment),
        ),
        stage=_stage(assessment.prediction),
        reading=reading,
        explanation=tuple(
            _explanation(item, assessment.places) for item in assessment.contributions
        ),
        timings_s={name: round(seconds, 3) for name, seconds in timings_s.items()},
        rejected_series=_rejected(rejected),
    )


def with_report_time(report: Report, seconds: float) -> Report:
    """The same report with the wall-clock time that it took to make it and its objects, s."""
    timings_s = {**report.timings_s, "report": round(seconds, 3)}
    return report.model_copy(update={"timings_s": timings_s})


def refusal_report(
    study_uid: str,
    series_uid: str,
    code: str,
    message: str,
    warnings: Sequence[Finding] = (),
    rejected: Sequence[RefusedSeries] = (),
) -> Refusal:
    """Build the report of a series that was not assessed.

    Parameters
    ----------
    study_uid, series_uid
        Of the images; empty if they could not be read or are of several series.
    code, message
        Why nothing was assessed: a stable code, and words.
    warnings
        What else the reader should know.
    rejected
        Series of the same study that could not be assessed.
    """
    return Refusal(
        study_uid=study_uid,
        series_uid=series_uid,
        impression=refusal_impression(code, message),
        refused=RefusalReason(code=code, message=message),
        rejected_series=_rejected(rejected),
        warnings=_warned(warnings),
        sites=tuple(
            RefusedSite(name=site.name, label=site.label, side=site.side, detail=code)
            for site in SITES
        ),
        stage=StageReport(
            predicted=None,
            name=None,
            statement=f"not staged: {message}",
            probabilities={},
            prediction_set=(),
            pairwise={},
            novelty_percentile=None,
            model_id=None,
            abstained=f"refused: {message}",
        ),
    )


def stage_statement(prediction: StagePrediction) -> str:
    """What the stage says and what it does not say, in one sentence."""
    if prediction.predicted is None:
        return f"not staged: {prediction.abstained}"
    stage = prediction.predicted.value
    said = f"looks most like patients with {LIKE[stage]}"
    if not is_decided(prediction):
        said = f"undetermined, {len(prediction.prediction_set)} stages fit; {said}"
    if prediction.predicted is Stage.D:
        said += "; not that a fracture was seen"
    return said


def _warned(findings: Sequence[Finding]) -> tuple[Warned, ...]:
    """The findings in their order, each once."""
    return tuple(
        Warned(code=finding.code, message=finding.message) for finding in dict.fromkeys(findings)
    )


def _rejected(refused: Sequence[RefusedSeries]) -> tuple[RejectedSeries, ...]:
    return tuple(
        RejectedSeries(series_uid=item.series_uid, code=item.code, message=item.message)
        for item in refused
    )


def _acquisition(assessment: Assessment) -> AcquisitionReport:
    series, image, offset = assessment.series, assessment.image, assessment.offset
    return AcquisitionReport(
        kvp=series.first.kvp,
        slice_thickness_mm=series.slice_thickness_mm,
        slice_step_mm=round(series.step_mm, 4),
        slices=len(series.slices),
        kernel=series.first.kernel,
        kernel_class=series.kernel_class,
        gantry_tilt_deg=_rounded(series.gantry_tilt_deg, 2),
        contrast=series.contrast,
        manufacturer=series.first.manufacturer,
        model=series.first.model,
        noise_sd_hu=_rounded(image.noise_sd_hu, 1),
        noise_standard_error_hu=_rounded(image.noise_standard_error_hu, 2),
        aorta_hu=_rounded(image.aorta_hu, 1),
        aorta_missing=image.aorta_missing,
        scanner_offset=None
        if offset is None
        else ScannerOffsetReport(
            bone_hu=offset.bone_hu, muscle_hu=offset.muscle_hu, source=offset.source
        ),
    )


def _levels(naming: LevelNaming | None) -> LevelsReport | None:
    if naming is None:
        return None
    return LevelsReport(
        route=naming.route,
        confirmed_by_ribs=naming.confirmed_by_ribs,
        words=level_words(naming),
        ribs=tuple(
            RibReport(number=number, side=side, length_mm=round(length_mm, 1))
            for (number, side), length_mm in naming.rib_lengths_mm.items()
        ),
        rib_pairs=naming.rib_pairs,
        pairs_counted=naming.pairs_counted,
    )


def _site(measurement: SiteMeasurement, sop_uids: Sequence[str]) -> SiteReport:
    site, missing = measurement.site, measurement.missing
    return SiteReport(
        name=site.name,
        label=site.label,
        side=site.side,
        mean_hu=_rounded(measurement.mean_hu, 2),
        sd_hu=_rounded(measurement.sd_hu, 2),
        status="measured" if missing is None else "missing",
        reason=None if missing is None else missing.reason,
        detail=None if missing is None else missing.detail,
        rois=tuple(_roi(roi, sop_uids[roi.slice_index]) for roi in measurement.rois),
    )


def _roi(roi: Roi, sop_uid: str) -> RoiReport:
    return RoiReport(
        sop_instance_uid=sop_uid,
        slice_z_mm=round(float(roi.centre_lps_mm[2]), 3),
        center_lps_mm=_point(roi.centre_lps_mm),
        area_mm2=round(roi.area_mm2, 2),
        mean_hu=round(roi.mean_hu, 2),
        sd_hu=round(roi.sd_hu, 2),
        contour_lps_mm=tuple(_point(corner) for corner in roi.contour_lps_mm),
    )


def _point(lps_mm: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 3) for value in lps_mm)
    return x, y, z


def _stage(prediction: StagePrediction) -> StageReport:
    return StageReport(
        predicted=prediction.predicted,
        name=STAGE_NAMES[prediction.predicted] if prediction.predicted else None,
        statement=stage_statement(prediction),
        probabilities={stage: round(float(p), 4) for stage, p in prediction.probabilities.items()},
        prediction_set=prediction.prediction_set,
        pairwise={pair: round(float(p), 4) for pair, p in prediction.pairwise.items()},
        novelty_percentile=_rounded(prediction.novelty_percentile, 1),
        osteoporosis=prediction.osteoporosis,
        at_minus_10_hu=prediction.at_minus_10_hu,
        at_plus_10_hu=prediction.at_plus_10_hu,
        prevalence={stage: round(share, 4) for stage, share in prediction.prevalence.items()},
        predictive_values=reported_values(prediction),
        model_id=prediction.model_id,
        abstained=prediction.abstained,
    )


def _explanation(item: Contribution, places: Mapping[str, NodePlace]) -> Explanation:
    return Explanation(
        feature=item.feature,
        value=_rounded(item.value, 2),
        shap=_rounded(item.shap, 5),
        network=tuple(
            NetworkPlace(
                site=site,
                strength_rank=int(places[site].strength_rank),
            )
            for site in item.sites
            if site in places
        ),
    )


def _rounded(value: float | None, digits: int) -> float | None:
    """The value, or None where there is none or it is NaN."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), digits)
