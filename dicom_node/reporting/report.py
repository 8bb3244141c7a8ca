"""The case report: ``report.json`` (schema osteonode.report/1) and its plain-text summary."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dicom_node.assessment.assessment import Assessment
from dicom_node.assessment.image_checks import ImageFacts
from modeling import Stage, StagePrediction
from roi_extraction.anatomy import Finding
from roi_extraction.features import Roi, SiteMeasurement
from roi_extraction.sites import SITES

__all__ = [
    "L1_OSTEOPOROSIS_SENSITIVE_HU",
    "L1_OSTEOPOROSIS_SPECIFIC_HU",
    "REPORT_SCHEMA",
    "RESEARCH_USE",
    "l1_category",
    "l1_threshold",
    "refusal_report",
    "report",
    "text_summary",
]

REPORT_SCHEMA = "osteonode.report/1"
"""Raised when a field of the report changes its meaning."""

RESEARCH_USE = "Research use only. Not a medical device. Not for diagnosis or treatment."
"""Stands on every output."""

L1_OSTEOPOROSIS_SPECIFIC_HU = 110.0
"""At or below it L1 is more than 90 % specific for osteoporosis by DXA, HU
(Pickhardt 2013, doi 10.7326/0003-4819-158-8-201304160-00003)."""

L1_OSTEOPOROSIS_SENSITIVE_HU = 160.0
"""At or below it L1 is 90 % sensitive for osteoporosis by DXA, HU
(Pickhardt 2013, doi 10.7326/0003-4819-158-8-201304160-00003)."""

STAGE_NAMES = {
    Stage.A: "normal",
    Stage.B: "osteopenia",
    Stage.C: "osteoporosis",
    Stage.D: "osteoporotic fracture",
}


LIKE = {
    "A": "normal bone density",
    "B": "osteopenia",
    "C": "osteoporosis",
    "D": "an osteoporotic fracture",
}
"""What a stage says of a patient: a likeness to a group of the cohort, not a diagnosis."""


def report(assessment: Assessment, timings_s: Mapping[str, float]) -> dict[str, Any]:
    """Build the report of an assessed series, ready for JSON."""
    series, prediction = assessment.series, assessment.prediction
    sop_uids = [instance.sop_instance_uid for instance in series.slices]
    features = assessment.features
    l1 = features.by_name["L1"].mean_hu
    return {
        "schema": REPORT_SCHEMA,
        "statement": RESEARCH_USE,
        "study_uid": series.study_uid,
        "series_uid": series.series_uid,
        "refused": None,
        "warnings": _warnings(assessment.warnings),
        "acquisition": {
            "kvp": series.first.kvp,
            "slice_thickness_mm": series.slice_thickness_mm,
            "slice_step_mm": round(series.step_mm, 4),
            "slices": len(series.slices),
            "kernel": series.first.kernel,
            "kernel_class": series.kernel_class.value,
            "gantry_tilt_deg": _rounded(series.gantry_tilt_deg, 2),
            "contrast": series.contrast,
            "manufacturer": series.first.manufacturer,
            "model": series.first.model,
            **_image(assessment.image),
        },
        "segmenter": {"name": features.segmenter.name, "version": features.segmenter.version},
        "levels_confidence": _rounded(features.spine.confidence, 3),
        "sites": [_site(m, sop_uids) for m in features.measurements],
        "l1_threshold": {
            "mean_hu": _rounded(l1, 2),
            "category": l1_category(assessment),
            "specific_hu": L1_OSTEOPOROSIS_SPECIFIC_HU,
            "sensitive_hu": L1_OSTEOPOROSIS_SENSITIVE_HU,
        },
        "stage": {
            "predicted": prediction.predicted.value if prediction.predicted else None,
            "name": STAGE_NAMES[prediction.predicted] if prediction.predicted else None,
            "statement": _statement(prediction),
            "probabilities": {
                stage.value: _rounded(p, 4) for stage, p in prediction.probabilities.items()
            },
            "prediction_set": [stage.value for stage in prediction.prediction_set],
            "pairwise": {pair: _rounded(p, 4) for pair, p in prediction.pairwise.items()},
            "novelty_percentile": _rounded(prediction.novelty_percentile, 1),
            "model_id": prediction.model_id,
            "abstained": prediction.abstained,
        },
        "explanation": [
            {
                "feature": item.feature,
                "value": _rounded(item.value, 2),
                "shap": _rounded(item.shap, 5),
                "network": [
                    {
                        "site": site,
                        "community": assessment.places[site].community,
                        "strength_rank": assessment.places[site].strength_rank,
                    }
                    for site in item.sites
                    if site in assessment.places
                ],
            }
            for item in assessment.contributions
        ],
        "timings_s": {name: round(seconds, 3) for name, seconds in timings_s.items()},
    }


def refusal_report(
    study_uid: str,
    series_uid: str,
    code: str,
    message: str,
    warnings: Sequence[Finding] = (),
    rejected: Sequence[Mapping[str, str]] = (),
) -> dict[str, Any]:
    """Build the report of a series that was not assessed, in the same schema."""
    return {
        "schema": REPORT_SCHEMA,
        "statement": RESEARCH_USE,
        "study_uid": study_uid,
        "series_uid": series_uid,
        "refused": {"code": code, "message": message},
        "rejected_series": [dict(item) for item in rejected],
        "warnings": _warnings(warnings),
        "acquisition": None,
        "segmenter": None,
        "sites": [
            {
                "name": site.name,
                "label": site.label,
                "side": site.side.value if site.side else None,
                "mean_hu": None,
                "sd_hu": None,
                "status": "missing",
                "reason": "refused",
                "detail": code,
                "rois": [],
            }
            for site in SITES
        ],
        "stage": {
            "predicted": None,
            "name": None,
            "statement": f"not staged: {message}",
            "probabilities": {},
            "prediction_set": [],
            "pairwise": {},
            "novelty_percentile": None,
            "model_id": None,
            "abstained": f"refused: {message}",
        },
        "explanation": [],
        "timings_s": {},
    }


def _statement(prediction: StagePrediction) -> str:
    """What the stage says and does not say, in a sentence."""
    if prediction.predicted is None:
        return f"not staged: {prediction.abstained}"
    stage = prediction.predicted.value
    said = f"looks most like patients with {LIKE[stage]}"
    if len(prediction.prediction_set) == len(Stage):
        said = f"undetermined, no stage can be ruled out; {said}"
    if prediction.predicted is Stage.D:
        said += "; not that a fracture was seen"
    return said


def l1_category(assessment: Assessment) -> str | None:
    """Place this patient's L1; None if it was not measured, or not at the thresholds' 120 kVp."""
    if not assessment.at_cohort_kvp:
        return None
    return l1_threshold(assessment.features.by_name["L1"].mean_hu)


def l1_threshold(mean_hu: float) -> str | None:
    """Place L1 against the 110 and 160 HU thresholds: low, middle, high, or None if missing.

    >>> l1_threshold(110.0), l1_threshold(110.1), l1_threshold(161.0), l1_threshold(float("nan"))
    ('low', 'middle', 'high', None)
    """
    if math.isnan(mean_hu):
        return None
    if mean_hu <= L1_OSTEOPOROSIS_SPECIFIC_HU:
        return "low"
    return "middle" if mean_hu <= L1_OSTEOPOROSIS_SENSITIVE_HU else "high"


def text_summary(content: Mapping[str, Any]) -> str:
    """The report in plain text, for a terminal or a log reader; no patient data."""
    lines = ["osteonode report", content["statement"], ""]
    lines += [f"Series    {content['series_uid'] or '(no UID)'}"]
    if content["refused"]:
        lines += [f"REFUSED   {content['refused']['message']} [{content['refused']['code']}]"]
    else:
        lines += [*_stage_lines(content), "", *_site_lines(content), ""]
        lines += _explanation_lines(content)
    for warning in content["warnings"]:
        lines.append(f"Warning   {warning['message']} [{warning['code']}]")
    for item in content.get("rejected_series", ()):
        lines.append(f"Rejected  {item['series_uid']}: {item['message']} [{item['code']}]")
    return "\n".join(lines) + "\n"


def _stage_lines(content: Mapping[str, Any]) -> list[str]:
    stage, l1 = content["stage"], content["l1_threshold"]
    if stage["predicted"]:
        probabilities = "  ".join(f"{k} {v:.2f}" for k, v in stage["probabilities"].items())
        lines = [
            f"Stage     {stage['predicted']} - {stage['statement']}",
            f"          probabilities {probabilities}; 90 % prediction set "
            f"{{{', '.join(stage['prediction_set'])}}}",
        ]
    else:
        lines = [f"Stage     none: {stage['abstained']}"]
    if stage["novelty_percentile"] is not None:
        lines.append(
            f"Unusual   more than {stage['novelty_percentile']:.0f} % of the cohort's patients"
        )
    words = {
        "low": "at or below 110 HU: more than 90 % specific for osteoporosis (Pickhardt 2013)",
        "middle": "between 110 and 160 HU: osteoporosis not excluded (Pickhardt 2013)",
        "high": "above 160 HU: osteoporosis unlikely, 90 % sensitivity (Pickhardt 2013)",
    }
    if l1["category"]:
        lines.append(f"L1        {l1['mean_hu']:.0f} HU, {words[l1['category']]}")
    else:
        reason = "not measured" if l1["mean_hu"] is None else "no threshold at this tube voltage"
        lines.append(f"L1        {reason}")
    lines.append(f"Model     {stage['model_id']}")
    return lines


def _site_lines(content: Mapping[str, Any]) -> list[str]:
    by_name = {site["name"]: site for site in content["sites"]}

    def cell(name: str) -> str:
        site = by_name[name]
        return f"{site['mean_hu']:7.1f}" if site["mean_hu"] is not None else "      -"

    lines = ["Bone HU   " + "  ".join(f"{n} {cell(n).strip()}" for n in list(by_name)[:6])]
    columns = ("transversospinalis", "longissimus", "psoas major")
    lines.append("Muscle HU " + " " * 8 + "".join(f"{name:>20}" for name in columns))
    for disc in dict.fromkeys(name.split("_")[0] for name in list(by_name)[6:]):
        for side, numbers in (("right", (1, 2, 3)), ("left", (4, 5, 6))):
            values = "".join(f"{cell(f'{disc}_{k}'):>20}" for k in numbers)
            lines.append(f"  {disc:<8}{side:<8}{values}")
    missing = [s for s in content["sites"] if s["status"] == "missing"]
    if missing:
        lines.append("Missing   " + ", ".join(f"{s['name']} ({s['reason']})" for s in missing))
    return lines


def _explanation_lines(content: Mapping[str, Any]) -> list[str]:
    lines = []
    for item in content["explanation"][:5]:
        places = "; ".join(
            f"{p['site']}: community {p['community']}, rank {p['strength_rank']}"
            for p in item["network"][:3]
        )
        value = "missing" if item["value"] is None else f"{item['value']:.1f}"
        lines.append(
            f"Because   {item['feature']} = {value} ({item['shap']:+.3f})"
            + (f"  [network {places}]" if places else "")
        )
    return lines


def _warnings(findings: Sequence[Finding]) -> list[dict[str, str]]:
    unique = dict.fromkeys((finding.code, finding.message) for finding in findings)
    return [{"code": code, "message": message} for code, message in unique]


def _image(facts: ImageFacts) -> dict[str, Any]:
    return {
        "noise_sd_hu": _rounded(facts.noise_sd_hu, 1),
        "noise_standard_error_hu": _rounded(facts.noise_standard_error_hu, 2),
        "aorta_hu": _rounded(facts.aorta_hu, 1),
        "aorta_missing": facts.aorta_missing,
    }


def _site(measurement: SiteMeasurement, sop_uids: Sequence[str]) -> dict[str, Any]:
    site, missing = measurement.site, measurement.missing
    return {
        "name": site.name,
        "label": site.label,
        "side": site.side.value if site.side else None,
        "mean_hu": _rounded(measurement.mean_hu, 2),
        "sd_hu": _rounded(measurement.sd_hu, 2),
        "status": "measured" if missing is None else "missing",
        "reason": None if missing is None else missing.reason.value,
        "detail": None if missing is None else missing.detail,
        "rois": [_roi(roi, sop_uids) for roi in measurement.rois],
    }


def _roi(roi: Roi, sop_uids: Sequence[str]) -> dict[str, Any]:
    return {
        "sop_instance_uid": sop_uids[roi.slice_index],
        "slice_z_mm": _rounded(roi.centre_lps_mm[2], 3),
        "center_lps_mm": [_rounded(value, 3) for value in roi.centre_lps_mm],
        "area_mm2": _rounded(roi.area_mm2, 2),
        "mean_hu": _rounded(roi.mean_hu, 2),
        "sd_hu": _rounded(roi.sd_hu, 2),
        "contour_lps_mm": [[_rounded(v, 3) for v in point] for point in roi.contour_lps_mm],
    }


def _rounded(value: float | None, digits: int) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), digits)
