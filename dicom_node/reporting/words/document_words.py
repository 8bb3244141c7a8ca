"""The words of the report's pages, free of the names that only programs use."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from importlib.metadata import version

from dicom_node.reporting.report_model import Explanation, Refusal, Report, SiteReport
from dicom_node.reporting.words.identity_words import printable
from dicom_node.reporting.words.impression import MAX_CALLED, STAGE_WORDS, steadiness_words
from dicom_node.reporting.words.reference_words import reference_rows
from dicom_node.reporting.words.refusal_words import refusal_advice
from dicom_node.reporting.words.screening_scope import meant_for_screening
from dicom_node.reporting.words.site_words import MISSING_WORDS, site_words
from dicom_node.reporting.words.thresholds import L1_OSTEOPOROSIS_SPECIFIC_HU, l1_words
from dicom_node.reporting.words.warning_words import WARNING_WORDS
from modeling import Stage
from modeling.calibration import Osteoporosis
from modeling.design import AGE, SEX, USED_SITES
from roi_extraction.anatomy import MissingReason
from roi_extraction.sites import SITES, SITES_BY_NAME, DiscLevel, Muscle

__all__ = [
    "LIMIT_LINES",
    "METHOD_LINES",
    "NOTHING_MEASURED",
    "SCREENING",
    "acquisition_rows",
    "explanation_rows",
    "explanation_title",
    "l1_line",
    "missing_lines",
    "origin_rows",
    "other_series_lines",
    "percentage",
    "plain_words",
    "refusal_advices",
    "refusal_reason",
    "site_value",
    "stage_lines",
    "stage_rows",
    "warning_lines",
]

CODE = re.compile(r" ?\[[a-z_]+\.[a-z_]+\]")
SITE = re.compile(r"L\d-[LS]\d_\d")
UID = re.compile(r"\b(?:series )?[0-2](?:\.\d+){4,}")

SEGMENTERS = {
    "builtin": "the node's own segmentation",
    "label-map": "a label map that was given",
    "dicom-seg": "a DICOM segmentation that was sent",
    "totalsegmentator": "TotalSegmentator",
}
"""What found the spine and the muscles, by the segmenter's name."""

KERNELS = {"lung_bone": "lung or bone", "unknown": "not known"}
"""Classes of kernels that their name does not explain."""

SCREENING = "Opportunistic osteoporosis screening on lumbar CT"
"""What was done, or could not be done."""

NOTHING_MEASURED = "Nothing was measured: this says nothing of the bone."
"""The last sentence on a scan that was not analysed."""

L1_WORDS = {
    "low": "at or below {specific:g} HU: more than 90 % specific for osteoporosis (Pickhardt 2013)",
    "middle": (
        "between {specific:g} and {sensitive:g} HU: osteoporosis not excluded (Pickhardt 2013)"
    ),
    "high": "above {sensitive:g} HU: osteoporosis unlikely, 90 % sensitivity (Pickhardt 2013)",
}
"""What the category of L1 says."""

OSTEOPOROSIS_WORDS = {
    Osteoporosis.YES: "Osteoporosis, with or without fracture: likely.",
    Osteoporosis.NO: "Osteoporosis, with or without fracture: unlikely.",
    Osteoporosis.UNDETERMINED: "Osteoporosis, with or without fracture: undetermined.",
}
"""The model's answer to whether it is one of the stages C and D."""

METHOD_LINES = (
    "Regions of 150 mm² in three slices: in the trabecular bone of the bodies L1 to S1, and in "
    "transversospinalis, longissimus and psoas major on both sides at the discs L1-L2 to L5-S1 "
    "(after Wang et al. 2025, doi 10.1101/2025.02.12.25321163). A value is the mean of the three "
    "regions' means, its SD that of the pixels within them. Sides are the patient's.",
    "L1 is compared with published thresholds: 110 HU or lower is more than 90 % specific, "
    "160 HU or lower 90 % sensitive for osteoporosis by DXA (Pickhardt 2013, "
    "doi 10.7326/0003-4819-158-8-201304160-00003).",
    f"The model weighs {len(USED_SITES)} of the {len(SITES)} regions (not longissimus and psoas "
    "major at L5-S1), age and sex, and says which patients of its cohort the values resemble most: "
    "A normal bone (T-score -1.0 or higher), B osteopenia, C osteoporosis (-2.5 or lower) or "
    "D osteoporosis with a fragility fracture. The stages that cannot be ruled out hold the true "
    "one for 90 % of the cohort's patients of each stage.",
)
"""How the values and the stage come about."""

LIMIT_LINES = (
    "Not a diagnosis, not a replacement of DXA or of a radiologist's report, not for follow-up of "
    "one patient. Fractures are not looked for: stage D means a likeness of "
    "values, not that one was seen.",
    "The cohort: patients of one hospital aged 50 and over, one scanner model, 120 kVp, 3 mm "
    "slices, without an external test. Expect less elsewhere.",
    "Thresholds and model hold for 120 kVp. Contrast agent raises HU; dense fractured, sclerotic "
    "or cemented bodies read as strong bone; sharp kernels and noise make values uncertain.",
)
"""What the report is not, and what it does not hold for."""


def plain_words(text: str) -> str:
    """A message without codes, UIDs and the cohort's names of sites.

    >>> plain_words("outside: L1-L2_2 67 HU [model.outside_cohort]")
    'outside: right longissimus at L1-L2 67 HU'
    """
    return UID.sub("a series", SITE.sub(lambda name: site_words(name[0]), CODE.sub("", text)))


def percentage(probability: float) -> str:
    """A probability in per cent; none is written as impossible or certain.

    >>> percentage(0.004), percentage(0.5), percentage(0.997)
    ('< 1 %', '50 %', '> 99 %')
    """
    if probability < 0.01:
        return "< 1 %"
    return "> 99 %" if probability > 0.99 else f"{100 * probability:.0f} %"


def l1_line(report: Report) -> tuple[str, str]:
    """L1 with its unit, and what it says by the published thresholds, or why nothing."""
    l1 = report.l1_threshold
    if l1.mean_hu is None:
        reason = report.sites[0].reason
        why = "" if reason is None else f" ({MISSING_WORDS[reason]})"
        return f"L1 not measured{why}", "so no verdict by the published thresholds"
    offset_hu = l1.specific_hu - L1_OSTEOPOROSIS_SPECIFIC_HU
    value = f"L1 {l1_words(l1.mean_hu, offset_hu)} HU"
    if l1.category is None:
        return value, "no verdict: the published thresholds hold for 120 kVp and one spectrum only"
    words = L1_WORDS[l1.category].format(specific=l1.specific_hu, sensitive=l1.sensitive_hu)
    return value, words + (f"; thresholds moved by {offset_hu:+g} HU" if offset_hu else "")


def stage_rows(report: Report) -> tuple[tuple[str, float, bool], ...]:
    """Each stage in words, its probability, and whether it cannot be ruled out."""
    stage = report.stage
    return tuple(
        (
            f"{letter}  {STAGE_WORDS[letter]}",
            stage.probabilities[letter],
            letter in stage.prediction_set,
        )
        for letter in Stage
        if letter in stage.probabilities
    )


def stage_lines(report: Report) -> tuple[str, ...]:
    """What the model says, in sentences."""
    stage = report.stage
    if stage.predicted is None:
        return (f"The cohort's model gives no stage: {plain_words(stage.abstained or '')}.",)
    left = [STAGE_WORDS[letter] for letter in stage.prediction_set]
    every = len(left) == len(Stage)
    lines = [f"Cannot be ruled out: {'any of the four' if every else ', '.join(left) or 'none'}."]
    if len(left) > MAX_CALLED or not left:
        lines.insert(0, "Undetermined: no stage is called.")
    if stage.osteoporosis is not None:
        lines.append(OSTEOPOROSIS_WORDS[stage.osteoporosis])
    if stage.at_minus_10_hu is not None:
        lines.append(steadiness_words(stage.predicted, stage.at_minus_10_hu, stage.at_plus_10_hu))
    if stage.predicted is Stage.D:
        lines.append("Stage D is a likeness: it does not say that a fracture was seen.")
    return tuple(lines)


def warning_lines(report: Report | Refusal) -> tuple[tuple[str, str], ...]:
    """The short and the full words of each warning; several of a kind share the short ones."""
    found: dict[str, list[str]] = defaultdict(list)
    for warning in report.warnings:
        words = WARNING_WORDS.get(warning.code)
        message = plain_words(warning.message)
        found[message if words is None else words.meaning].append(message)
    return tuple((short, _sentence("; ".join(full))) for short, full in found.items())


def site_value(site: SiteReport) -> str:
    """Mean and SD of a site in HU, a dash where it has none."""
    if site.mean_hu is None:
        return "–"
    return f"{site.mean_hu:z.0f}" + ("" if site.sd_hu is None else f" ± {site.sd_hu:.0f}")


def missing_lines(report: Report) -> tuple[str, ...]:
    """The sites without a value, a sentence for each reason; empty if there are none."""
    found: dict[MissingReason, dict[tuple[Muscle | None, DiscLevel | None], list[str]]] = {}
    for entry in report.sites:
        if entry.reason is not None:
            site = SITES_BY_NAME[entry.name]
            places = found.setdefault(entry.reason, {})
            sides = places.setdefault((site.muscle, site.disc), [])
            sides.append(entry.name if site.side is None else site.side)
    return tuple(
        f"{MISSING_WORDS[reason].capitalize()}: {_places_words(places)}."
        for reason, places in found.items()
    )


def acquisition_rows(report: Report) -> tuple[tuple[str, str], ...]:
    """How the images were made, as names and values."""
    scan = report.acquisition
    kernel = printable(scan.kernel.replace("\\", ", ")) or "not stated"
    tilt = "not known" if scan.gantry_tilt_deg is None else f"{scan.gantry_tilt_deg:.1f}°"
    noise = "not measured"
    if scan.noise_sd_hu is not None:
        noise = f"SD {scan.noise_sd_hu:.0f} HU"
    if scan.noise_standard_error_hu is not None:
        noise += f", each mean uncertain by {scan.noise_standard_error_hu:.1f} HU for it"
    return (
        ("Scanner", printable(f"{scan.manufacturer} {scan.model}") or "not stated"),
        ("Tube voltage", "not stated" if scan.kvp is None else f"{scan.kvp:g} kVp"),
        (
            "Slices",
            f"{scan.slices} of {scan.slice_thickness_mm:g} mm, every {scan.slice_step_mm:g} mm",
        ),
        ("Kernel", f"{kernel} (class: {KERNELS.get(scan.kernel_class, scan.kernel_class)})"),
        ("Gantry tilt", tilt),
        ("Contrast agent", "stated in the header" if scan.contrast else "not stated in the header"),
        *((name, plain_words(value)) for name, value in reference_rows(report)),
        ("Noise", noise),
    )


def explanation_title(report: Report) -> str:
    """What the explanation explains."""
    if report.stage.predicted is None:
        return ""
    return f"What moved the probability of {STAGE_WORDS[report.stage.predicted]} most"


def explanation_rows(report: Report, most: int = 8) -> tuple[tuple[str, str, str, str], ...]:
    """Input, its value, what it did to the probability, and its place in the network, in words."""
    return tuple(
        (
            site_words(item.feature),
            _input_value(item),
            _effect(item),
            _network_place(item),
        )
        for item in report.explanation[:most]
    )


def origin_rows(report: Report) -> tuple[tuple[str, str], ...]:
    """What the report was made by, as names and values."""
    segmenter = report.segmenter
    named = SEGMENTERS.get(segmenter.name, plain_words(segmenter.name))
    rows = [
        ("Software", f"osteonode {version('osteonode')}"),
        ("Segmentation", f"{named}, version {segmenter.version}"),
        ("Model", report.stage.model_id or "none"),
    ]
    if report.levels is not None:
        rows.append(("Levels", report.levels.words))
    if report.levels_confidence is not None:
        rows.append(("Confidence in levels", f"{100 * report.levels_confidence:.0f} %"))
    if report.stage.novelty_percentile is not None:
        share = f"{report.stage.novelty_percentile:.0f} %"
        rows.append(("Likeness to the cohort", f"more unusual than {share} of its patients"))
    return tuple(rows)


def refusal_reason(refusal: Refusal) -> str:
    """Why nothing was analysed, as a sentence."""
    reason = plain_words(refusal.refused.message)
    if refusal.refused.code == "input.no_eligible_series":
        reason = reason.partition(":")[0]
    return _sentence(reason)


def refusal_advices(refusal: Refusal) -> tuple[str, ...]:
    """What would help, the most general first, each once."""
    codes = [refusal.refused.code]
    if refusal.refused.code == "input.no_eligible_series":
        codes += [item.code for item in refusal.rejected_series if meant_for_screening(item.code)]
    return tuple(dict.fromkeys(f"{refusal_advice(code)}." for code in codes))


def other_series_lines(report: Report | Refusal) -> tuple[str, ...]:
    """The series of the study that were refused, a line for each reason."""
    found = Counter(plain_words(series.message) for series in report.rejected_series)
    return tuple(
        _sentence(f"{'one' if count == 1 else count} series: {reason}")
        for reason, count in found.items()
    )


def _places_words(places: Mapping[tuple[Muscle | None, DiscLevel | None], list[str]]) -> str:
    """Vertebrae, then each muscle and side with its discs."""
    discs: dict[str, list[str]] = {}
    vertebrae: list[str] = []
    for (muscle, disc), sides in places.items():
        if muscle is None:
            vertebrae += sides
        else:
            discs.setdefault(f"{' and '.join(sides)} {muscle}", []).append(str(disc))
    return "; ".join(
        ([", ".join(vertebrae)] if vertebrae else [])
        + [f"{tissue} at {', '.join(levels)}" for tissue, levels in discs.items()]
    )


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."


def _input_value(item: Explanation) -> str:
    if item.value is None:
        return "not known, the cohort's median stands in"
    if item.feature == SEX:
        return "male" if item.value > 0.5 else "female"
    if item.feature == AGE:
        return f"{item.value:.0f} years"
    return f"{item.value:.0f} HU"


def _effect(item: Explanation) -> str:
    """A SHAP value in percentage points."""
    if item.shap is None:
        return "not known"
    points = 100 * abs(item.shap)
    return f"{'raised' if item.shap > 0 else 'lowered'} by {points:.1f} points"


def _network_place(item: Explanation) -> str:
    """The rank of a site, or of the strongest of the sites behind a derived input."""
    if not item.network:
        return "–"
    strongest = min(item.network, key=lambda place: place.strength_rank)
    rank = f"number {strongest.strength_rank}"
    return rank if len(item.network) == 1 else f"{site_words(strongest.site)} is {rank}"
