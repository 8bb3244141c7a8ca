"""The case report as it leaves the program: the models behind ``report.json``.

A series that was assessed has a `Report`, one that was not has a `Refusal`. They are two models
and not one with optional fields because other programs rely on what each holds: a refusal has no
``l1_threshold`` and no ``levels_confidence``, and none of its numbers can be mistaken for a
measurement. ``refused`` tells them apart: null in a report, a code and a message in a refusal.

``docs/report.schema.json`` is made from these models by `dicom_node.reporting.report_schema`.
"""

import json
import math
from datetime import date
from json.encoder import encode_basestring_ascii as _quoted
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from dicom_node.records.reading import Reading
from dicom_node.reporting.words.result_kind import AssessedKind, ResultKind
from dicom_node.series.kernels import KernelClass
from modeling import Stage
from modeling.calibration import Osteoporosis
from roi_extraction.anatomy import MissingReason, NamingRoute
from roi_extraction.checks.contrast_phase import ContrastPhase
from roi_extraction.checks.fat import FatPlace
from roi_extraction.sites import Side

__all__ = [
    "REPORT_SCHEMA",
    "REPORT_SCHEMA_DIGEST",
    "RESEARCH_USE",
    "AcquisitionReport",
    "CallValueReport",
    "CaseReport",
    "Comparison",
    "EarlierReport",
    "Explanation",
    "L1Threshold",
    "LevelsReport",
    "NetworkPlace",
    "NotCompared",
    "PredictiveValuesReport",
    "ReferenceReport",
    "ReferencesReport",
    "Refusal",
    "RefusalReason",
    "RefusedSite",
    "RejectedSeries",
    "Report",
    "RibReport",
    "RoiReport",
    "ScannerOffsetReport",
    "SegmenterReport",
    "SiteChange",
    "SiteReport",
    "StageReport",
    "Warned",
    "report_json",
]

REPORT_SCHEMA = "osteonode.report/1"
"""Name and number of the schema; the number is raised when a field changes its meaning."""

REPORT_SCHEMA_DIGEST = "95cfe9d8cc39b746413db2d3e7a9a25a43c8dec26fd07faf21a393346ff379cf"
"""SHA-256 of the JSON Schema that stands under this number, descriptions included. A field that is
added changes the digest alone; a field that changes its meaning or goes changes both."""

RESEARCH_USE = "Research use only. Not a medical device. Not for diagnosis or treatment."
"""The statement on every output."""

Hu = Annotated[float, Field(ge=-1024, le=32767)]
SpreadHu = Annotated[float, Field(ge=0)]
PositiveMm = Annotated[float, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
PointMm = tuple[float, float, float]
Count = Annotated[int, Field(ge=0)]


class _Record(BaseModel):
    """A part of the report: set once, without fields that the schema does not know."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        json_schema_serialization_defaults_required=True,
    )


class Warned(_Record):
    """Something that the reader should know."""

    code: str
    """Stable code; docs/refusals.md lists them."""
    message: str
    """The warning in words, without patient data."""


class RefusalReason(_Record):
    """Why a series was not assessed."""

    code: str
    """Stable code; docs/refusals.md lists them."""
    message: str
    """The reason in words: what was found and what is needed."""


class RejectedSeries(_Record):
    """Another series of the study that could not be assessed."""

    series_uid: str
    """Series Instance UID."""
    code: str
    """Stable code of the reason."""
    message: str
    """The reason in words."""


class ScannerOffsetReport(_Record):
    """How this scanner reads beside the cohort's; thresholds and stage allow for it."""

    bone_hu: float
    """How much higher it reads bone, HU."""
    muscle_hu: float
    """How much higher it reads muscle, HU."""
    source: str
    """Where that is from."""


class AcquisitionReport(_Record):
    """How the images were made, from the header and from the images themselves."""

    kvp: float | None
    """Tube voltage, kV; null if it is not stated."""
    slice_thickness_mm: PositiveMm
    """Slice thickness, mm; the step between slices where none is stated."""
    slice_step_mm: PositiveMm
    """Perpendicular distance between neighbouring slices, mm."""
    slices: Count
    """Number of slices."""
    kernel: str
    """Convolution Kernel; several values are joined by backslashes, empty if none is stated."""
    kernel_class: KernelClass
    """How the kernel treats fine detail."""
    gantry_tilt_deg: Annotated[float, Field(ge=0, le=90)] | None
    """Angle between the line through the slices and their normal, degrees."""
    contrast: bool
    """Whether the header states a contrast agent."""
    manufacturer: str
    """Manufacturer; empty if it is not stated."""
    model: str
    """Manufacturer's Model Name; empty if it is not stated."""
    noise_sd_hu: SpreadHu | None
    """Standard deviation of the noise near the spine, HU; null if it cannot be told."""
    noise_standard_error_hu: SpreadHu | None
    """Standard error that the noise alone gives to the mean of one site, HU."""
    aorta_hu: Hu | None
    """Mean of the blood in the abdominal aorta, HU; null if it was not found."""
    aorta_missing: str | None
    """Why there is no value for the aorta; null if there is one."""
    scanner_offset: ScannerOffsetReport | None = None
    """What the settings say of this scanner; null if nothing."""


class ReferenceReport(_Record):
    """A tissue whose HU tell of contrast agent and scanner."""

    mean_hu: Hu | None
    """Mean, HU; null if it was not measured."""
    sd_hu: SpreadHu | None
    """Standard deviation of its pixels, HU; null if it was not measured, and for blood."""
    missing: str | None
    """Why it has no value; null if it has one."""


class ReferencesReport(_Record):
    """Internal references, measured on every scan; no other value is corrected by them."""

    aorta: ReferenceReport
    """Blood in the abdominal aorta."""
    vena_cava: ReferenceReport
    """Blood in the inferior vena cava below the liver."""
    psoas: ReferenceReport
    """Psoas major: medians of the means and standard deviations of its measured sites."""
    fat: ReferenceReport
    """Fat below the skin of the back, or else beside the spine."""
    fat_place: FatPlace | None
    """Which of the two; null if fat was not measured."""
    usual_fat_hu: tuple[Hu, Hu]
    """Lowest and highest mean of fat in 95 % of abdominal CT, HU (Pop 2023)."""
    phase: ContrastPhase
    """Phase of the contrast agent by the blood in both vessels and by the urine."""


class SegmenterReport(_Record):
    """What found the spine and the muscles."""

    name: str
    """Name of the segmenter."""
    version: str
    """Version of the segmenter."""


class RibReport(_Record):
    """One rib, as far as the scan shows it."""

    number: Annotated[int, Field(ge=1, le=12)]
    """11 or 12."""
    side: Side
    """Side of the patient that it is on."""
    length_mm: PositiveMm
    """Length from 20 mm lateral of the spine, mm."""


class LevelsReport(_Record):
    """How the levels were named."""

    route: NamingRoute
    """From the sacrum upwards, or from the last ribs downwards by their lengths or by counting
    twelve pairs."""
    confirmed_by_ribs: bool
    """Whether the levels were counted from the sacrum, and the last ribs agree."""
    words: str
    """The same in words."""
    ribs: tuple[RibReport, ...]
    """The 11th and 12th ribs that were followed."""
    rib_pairs: Count
    """Neighbouring pairs of ribs that were followed to the spine."""
    pairs_counted: bool
    """Whether twelve pairs were counted from the first; else twelve are assumed."""


class RoiReport(_Record):
    """One region of interest in one slice."""

    sop_instance_uid: str
    """SOP Instance UID of the image: the middle one if several slices were averaged."""
    slice_z_mm: float
    """LPS z of the region's centre, mm."""
    center_lps_mm: PointMm
    """Centre of the region, LPS mm."""
    area_mm2: Annotated[float, Field(ge=0)]
    """Area, mm2."""
    mean_hu: Hu
    """Mean of the pixels, each weighted by its share inside the region, HU."""
    sd_hu: SpreadHu
    """Standard deviation of the same pixels, HU."""
    contour_lps_mm: tuple[PointMm, ...]
    """Corners of the closed polygon, the first one not repeated, LPS mm."""


class _Site(_Record):
    name: str
    """The cohort's column name: L1 to S1, or a disc level and a number: 1-3 are the patient's
    right, 4-6 the left; 1 and 4 transversospinalis, 2 and 5 longissimus, 3 and 6 psoas major."""
    label: str
    """The site in words, without its side."""
    side: Side | None
    """The patient's side; null for a vertebra."""


class SiteReport(_Site):
    """One of the 36 measurement sites."""

    mean_hu: Hu | None
    """Mean of the means of the three slices, HU; null if the site is missing."""
    sd_hu: SpreadHu | None
    """Pooled standard deviation within the three slices, HU; null if the site is missing."""
    status: Literal["measured", "missing"]
    """Whether the site has a value."""
    reason: MissingReason | None
    """Why the site has no value; null if it has one."""
    detail: str | None
    """The reason in more words; null if the site has a value."""
    rois: tuple[RoiReport, ...]
    """Its regions, one a slice; empty if the site is missing."""


class RefusedSite(_Site):
    """A site of a series that was not assessed: it has no value."""

    mean_hu: None = None
    """Always null."""
    sd_hu: None = None
    """Always null."""
    status: Literal["missing"] = "missing"
    """Always missing."""
    reason: Literal["refused"] = "refused"
    """Always refused."""
    detail: str
    """Code of the refusal."""
    rois: tuple[()] = ()
    """Always empty."""


class L1Threshold(_Record):
    """Where L1 lies against the published thresholds (Pickhardt 2013)."""

    mean_hu: Hu | None
    """Mean of L1, HU; null if it was not measured."""
    category: Literal["low", "middle", "high"] | None
    """At or below the specific threshold, at or below the sensitive one, or above both; null if L1
    was not measured or the tube voltage is not that of the thresholds, 120 kV."""
    specific_hu: Hu
    """At or below it L1 is more than 90 % specific for osteoporosis, HU: 110, on a scanner with a
    known offset so much higher."""
    sensitive_hu: Hu
    """At or below it L1 is 90 % sensitive for osteoporosis, HU: 160, on a scanner with a known
    offset so much higher."""


class CallValueReport(_Record):
    """How often a call, and its contrary, are right."""

    ppv: Probability | None
    """Positive predictive value; null where nobody would be called so."""
    npv: Probability | None
    """Negative predictive value; null where everybody would be called so."""


class PredictiveValuesReport(_Record):
    """What the calls are worth at the stated prevalence, by nested sensitivity and specificity."""

    stage: CallValueReport
    """Of the predicted stage, against any other."""
    osteoporosis_call: CallValueReport
    """Of the most probable stage being C or D, against A or B."""
    osteoporosis_answer: CallValueReport
    """Of the answers on osteoporosis: ppv of a yes, npv of a no."""


class StageReport(_Record):
    """The stage, or why there is none."""

    predicted: Stage | None
    """The most probable stage; null if the series was not staged."""
    name: str | None
    """The stage in words; null if there is none."""
    statement: str
    """What the stage says and does not say, in a sentence."""
    probabilities: dict[Stage, Probability]
    """Probability of each stage, together 1; empty if there is none."""
    prediction_set: tuple[Stage, ...]
    """Stages that cannot be ruled out: 90 % of the patients of each stage have theirs in it."""
    osteoporosis: Osteoporosis | None = None
    """Whether it is one of the stages C and D: 90 % of the patients with, and of those without, are
    not told the contrary; null if there is no stage."""
    at_minus_10_hu: Stage | None = None
    """The most probable stage if all sites had 10 HU less; null if there is no stage."""
    at_plus_10_hu: Stage | None = None
    """The most probable stage if all sites had 10 HU more; null if there is no stage."""
    prevalence: dict[Stage, Probability] = Field(default_factory=dict)
    """Shares of the stages among the patients that the probabilities hold for: the cohort's, or
    those of the settings; empty if there is no stage."""
    predictive_values: PredictiveValuesReport | None = None
    """What the calls are worth at this prevalence; null if there is no stage or the model's bundle
    does not say."""
    pairwise: dict[str, Probability]
    """By pair such as A/B: the probability of the later stage for a patient of one of the two, both
    being as frequent as in the cohort; empty if there is no stage."""
    novelty_percentile: Annotated[float, Field(ge=0, le=100)] | None
    """Share of the cohort's patients whose values lie nearer to the cohort's middle, per cent; null
    if there is no stage."""
    model_id: str | None
    """Identity of the model; null if none was asked."""
    abstained: str | None
    """Why there is no stage; null if there is one."""


class NetworkPlace(_Record):
    """Where a site stands in the bone-muscle network of the cohort."""

    site: str
    """The site's name."""
    community: None = None
    """Always null: the cohort's communities change from run to run too much to be said of one
    patient."""
    strength_rank: Annotated[int, Field(ge=1)]
    """Rank of the site by the sum of its edges' weights, 1 for the strongest."""


class Explanation(_Record):
    """How much one input moved the probability of the predicted stage."""

    feature: str
    """A site's name, age, sex, or words for an input that is derived from several sites."""
    value: float | None
    """The input: HU for a site, years for age; null where the cohort's median stood in."""
    shap: float | None
    """SHAP value: what the input adds to the probability."""
    network: tuple[NetworkPlace, ...]
    """The sites behind the input in the network."""


class EarlierReport(_Record):
    """The report that this one is compared with."""

    sop_instance_uid: str
    """SOP Instance UID of its Structured Report."""
    study_uid: str
    """Study Instance UID."""
    study_date: date
    """Study Date of its images."""


class SiteChange(_Record):
    """How much a vertebra changed between two reports."""

    name: str
    """The site's name, L1 to S1."""
    mean_hu: Hu
    """Mean of this report, HU."""
    earlier_hu: Hu
    """Mean of the earlier report, HU."""
    change_hu: float
    """This mean less the earlier one, HU."""
    per_year_hu: float
    """The change divided by the years between the studies, HU a year."""
    least_significant_hu: SpreadHu
    """Least significant change, HU: a smaller one may be the measurement's own error."""
    significant: bool
    """Whether the change is larger than the least significant one."""


class NotCompared(_Record):
    """Another report of the patient that this one is not compared with."""

    study_date: date | None
    """Study Date of its images; null if it is not stated."""
    code: str
    """Stable code of the reason; docs/comparison.md lists them."""
    message: str
    """The reason in words, without patient data."""


class Comparison(_Record):
    """Before and now: this report beside the newest earlier one that allows it."""

    earlier: EarlierReport | None
    """The earlier report; null if none allows a comparison."""
    years: Annotated[float, Field(gt=0)] | None
    """Years between the two studies; null if there is no earlier report."""
    changes: Annotated[tuple[SiteChange, ...], Field(max_length=6)]
    """The change of each vertebra that can be compared; empty if there is no earlier report."""
    not_compared: tuple[NotCompared, ...]
    """Other reports of the patient and why each is not compared, the newest first."""


class _Series(_Record):
    schema_name: str = Field(
        default=REPORT_SCHEMA, alias="schema", json_schema_extra={"const": REPORT_SCHEMA}
    )
    """Name and number of this schema."""
    statement: str = RESEARCH_USE
    """What the report may be used for."""
    study_uid: str
    """Study Instance UID; empty in a refusal whose images could not be read."""
    series_uid: str
    """Series Instance UID; empty in a refusal that is of no one series."""
    impression: Annotated[tuple[str, ...], Field(min_length=1, max_length=3)]
    """The verdict for a reader, at most three sentences, the same on every output."""


class Report(_Series):
    """The report of a series that was assessed."""

    result: AssessedKind
    """What kind of result this is: a stage; a set of stages too large to call one; L1 alone against
    its thresholds, the scan showing too little for a stage; or HU alone."""
    refused: None = None
    """Always null; a refused series has another form."""
    warnings: tuple[Warned, ...]
    """What the reader should know, each once."""
    acquisition: AcquisitionReport
    """How the images were made."""
    references: ReferencesReport | None = None
    """Blood, muscle and fat as internal references; null in reports of versions before them."""
    segmenter: SegmenterReport
    """The segmenter that was used."""
    levels_confidence: Probability | None
    """Confidence in the names of the levels, 0 to 1."""
    levels: LevelsReport | None = None
    """How the levels were named; null where a segmentation named them."""
    sites: Annotated[tuple[SiteReport, ...], Field(min_length=36, max_length=36)]
    """All 36 sites in the order of the cohort's columns."""
    l1_threshold: L1Threshold
    """L1 against the published thresholds."""
    stage: StageReport
    """The stage of the patient, or why there is none."""
    reading: Reading | None = None
    """What a reader said of the report that this one supersedes; null if nobody read it."""
    comparison: Comparison | None = None
    """What changed since an earlier report; null if the node has no other of the patient."""
    explanation: tuple[Explanation, ...]
    """What moved the stage, the strongest first; empty if there is none."""
    timings_s: dict[str, Annotated[float, Field(ge=0)]]
    """Wall-clock time of the steps read, segment, measure, stage and report, s."""
    rejected_series: tuple[RejectedSeries, ...]
    """Series of the same study that could not be assessed."""


class Refusal(_Series):
    """The report of a series that was not assessed."""

    result: Literal[ResultKind.REFUSED] = ResultKind.REFUSED
    """Always refused."""
    refused: RefusalReason
    """Why the series was not assessed."""
    rejected_series: tuple[RejectedSeries, ...]
    """Series of the same study that could not be assessed."""
    warnings: tuple[Warned, ...]
    """What the reader should know, each once."""
    acquisition: None = None
    """Always null."""
    references: None = None
    """Always null."""
    segmenter: None = None
    """Always null."""
    sites: Annotated[tuple[RefusedSite, ...], Field(min_length=36, max_length=36)]
    """All 36 sites, each missing."""
    stage: StageReport
    """Why there is no stage."""
    explanation: tuple[()] = ()
    """Always empty."""
    timings_s: dict[str, float] = Field(default_factory=dict, max_length=0)
    """Always empty."""


CaseReport = Report | Refusal
"""What ``report.json`` holds."""


def report_json(report: CaseReport) -> bytes:
    """The bytes of ``report.json``: ASCII, one space of indentation a level."""
    return _indented(report.model_dump(mode="json", by_alias=True), "\n").encode()


def _indented(value: object, line: str) -> str:
    """As ``json.dumps`` writes it, which with indentation takes three times as long."""
    inner = line + " "
    if isinstance(value, dict) and value:
        parts = [f"{_quoted(key)}: {_indented(held, inner)}" for key, held in value.items()]
        return f"{{{inner}{f',{inner}'.join(parts)}{line}}}"
    if isinstance(value, list) and value:
        return f"[{inner}{f',{inner}'.join([_indented(held, inner) for held in value])}{line}]"
    if type(value) is float and math.isfinite(value):
        return repr(value)
    return _quoted(value) if type(value) is str else json.dumps(value)
