"""Codes of the report, each with its source and whether it was verified.

Every code is a (value, scheme, meaning) triple. A verified code is defined in DICOM PS3.16 (annex
D or the context groups, as pydicom has them) or was accepted by the validators. Where no verified
code is known, a broader verified one or the project's own scheme is used, never a guess.

| Concept | Source |
|---|---|
| L1..L5, sacrum, longissimus | PS3.16 anatomy context groups (pydicom's SCT table) |
| S1 65985001, iliopsoas 68455001, deep back muscle 244849004 | accepted by the validators |
| psoas major, transversospinalis | no verified code: the broader iliopsoas, deep back muscle |
| impression, supplementary data, contrast | PS3.16 annex D (pydicom's DCM table) |
| the frame of the report, measurement groups, algorithms | PS3.16 TID 1500, 1411, 1501, 4019 |
| standard deviation, yes, no, undetermined | PS3.16 context groups 7464, 230 |
| Qualitative Evaluations C0034375 | PS3.16 TID 1500, row 12 |
| change of HU 442707000, study date 111060 | PS3.16 context group 6207, annex D |
| aorta, inferior vena cava, subcutaneous tissue, retroperitoneum | pydicom's SCT table |
| stage, probability, thresholds, warnings, contributions | private scheme 99OSTEONODE |
| phase of the contrast agent | private: PS3.16 has it for catheterisation only |
| comparison, earlier report, change a year, least significant change | private scheme |
"""

from highdicom.sr import CodedConcept

from dicom_node.reporting.words.site_words import site_words
from dicom_node.reporting.words.warning_words import WARNING_WORDS
from roi_extraction.checks.contrast_phase import ContrastPhase
from roi_extraction.checks.fat import FatPlace
from roi_extraction.sites import SITES, Level, Muscle, Side, Site

__all__ = [
    "ALGORITHM_NAME",
    "ALGORITHM_PARAMETERS",
    "ALGORITHM_VERSION",
    "AORTA",
    "ATTENUATION",
    "CHANGE",
    "CHANGE_A_YEAR",
    "COMMENT",
    "COMPARISON",
    "CONTRAST",
    "CONTRIBUTION",
    "CT_PROCEDURE",
    "DERIVATION",
    "DEVICE",
    "DEVICE_MANUFACTURER",
    "DEVICE_MODEL",
    "DEVICE_NAME",
    "DEVICE_UID",
    "EARLIER_REPORT",
    "ENGLISH",
    "FAT_PLACES",
    "FINDING",
    "FINDING_SITE",
    "HOUNSFIELD",
    "HOUNSFIELD_A_YEAR",
    "IMPRESSION",
    "IMPRESSIONS",
    "L1_ALONE",
    "L1_THRESHOLD",
    "L1_THRESHOLD_VALUES",
    "LANGUAGE",
    "LATERALITY",
    "LEAST_SIGNIFICANT",
    "LEVEL_CODES",
    "MEAN",
    "MEASUREMENTS",
    "MEASUREMENT_GROUP",
    "MUSCLE_CODES",
    "NO",
    "NOT_STAGED",
    "OBSERVER_TYPE",
    "OSTEOPOROSIS",
    "OTHER_WARNING",
    "PERSON",
    "PERSON_NAME",
    "PERSON_ORGANIZATION",
    "PHASE",
    "PHASES",
    "PREDICTION_SET",
    "PROBABILITY",
    "PROCEDURE",
    "QUALITATIVE_EVALUATIONS",
    "RATIO",
    "REGION",
    "REGIONS",
    "REPORT",
    "ROI_FINDING",
    "SIDE_CODES",
    "SITE_FINDINGS",
    "SOURCE",
    "STAGE",
    "STAGES",
    "STANDARD_DEVIATION",
    "STUDY_DATE",
    "SUPPLEMENTARY_DATA",
    "TRACKING_IDENTIFIER",
    "TRACKING_UID",
    "UNDETERMINED",
    "VENA_CAVA",
    "WARNING",
    "WARNINGS",
    "YES",
    "site_code",
]

PRIVATE_SCHEME = "99OSTEONODE"
"""Coding scheme designator of the project's own codes; private ones begin with 99 (PS3.16)."""


def _own(value: str, meaning: str) -> CodedConcept:
    return CodedConcept(value, PRIVATE_SCHEME, meaning)


ATTENUATION = CodedConcept("112031", "DCM", "Attenuation Coefficient")
HOUNSFIELD = CodedConcept("[hnsf'U]", "UCUM", "Hounsfield unit")
RATIO = CodedConcept("1", "UCUM", "no units")
HOUNSFIELD_A_YEAR = CodedConcept("[hnsf'U]/a", "UCUM", "Hounsfield unit per year")
CHANGE = CodedConcept("442707000", "SCT", "Difference in attenuation")
DERIVATION = CodedConcept("121401", "DCM", "Derivation")
STUDY_DATE = CodedConcept("111060", "DCM", "Study Date")
MEAN = CodedConcept("373098007", "SCT", "Mean")
STANDARD_DEVIATION = CodedConcept("386136009", "SCT", "Standard Deviation")
COMMENT = CodedConcept("121106", "DCM", "Comment")
CT_PROCEDURE = CodedConcept("25045-6", "LN", "CT unspecified body region")
IMPRESSIONS = CodedConcept("121072", "DCM", "Impressions")
IMPRESSION = CodedConcept("121073", "DCM", "Impression")
QUALITATIVE_EVALUATIONS = CodedConcept("C0034375", "UMLS", "Qualitative Evaluations")
SUPPLEMENTARY_DATA = CodedConcept("111414", "DCM", "Supplementary Data")
CONTRAST = CodedConcept("123011", "DCM", "Contrast/Bolus Agent")
YES = CodedConcept("373066001", "SCT", "Yes")
NO = CodedConcept("373067005", "SCT", "No")
UNDETERMINED = CodedConcept("373068000", "SCT", "Undetermined")
REPORT = CodedConcept("126000", "DCM", "Imaging Measurement Report")
LANGUAGE = CodedConcept("121049", "DCM", "Language of Content Item and Descendants")
ENGLISH = CodedConcept("en-US", "RFC5646", "English (United States)")
OBSERVER_TYPE = CodedConcept("121005", "DCM", "Observer Type")
DEVICE = CodedConcept("121007", "DCM", "Device")
DEVICE_UID = CodedConcept("121012", "DCM", "Device Observer UID")
PERSON = CodedConcept("121006", "DCM", "Person")
PERSON_NAME = CodedConcept("121008", "DCM", "Person Observer Name")
PERSON_ORGANIZATION = CodedConcept("121009", "DCM", "Person Observer's Organization Name")
DEVICE_NAME = CodedConcept("121013", "DCM", "Device Observer Name")
DEVICE_MANUFACTURER = CodedConcept("121014", "DCM", "Device Observer Manufacturer")
DEVICE_MODEL = CodedConcept("121015", "DCM", "Device Observer Model Name")
PROCEDURE = CodedConcept("121058", "DCM", "Procedure reported")
MEASUREMENTS = CodedConcept("126010", "DCM", "Imaging Measurements")
MEASUREMENT_GROUP = CodedConcept("125007", "DCM", "Measurement Group")
TRACKING_IDENTIFIER = CodedConcept("112039", "DCM", "Tracking Identifier")
TRACKING_UID = CodedConcept("112040", "DCM", "Tracking Unique Identifier")
FINDING = CodedConcept("121071", "DCM", "Finding")
FINDING_SITE = CodedConcept("363698007", "SCT", "Finding Site")
LATERALITY = CodedConcept("272741003", "SCT", "Laterality")
ALGORITHM_NAME = CodedConcept("111001", "DCM", "Algorithm Name")
ALGORITHM_VERSION = CodedConcept("111003", "DCM", "Algorithm Version")
ALGORITHM_PARAMETERS = CodedConcept("111002", "DCM", "Algorithm Parameters")
REGION = CodedConcept("111030", "DCM", "Image Region")
SOURCE = CodedConcept("260753009", "SCT", "Source")
ROI_FINDING = _own("ROI", "Region of interest in three central slices")

SITE_FINDINGS: dict[str, CodedConcept] = {
    site.name: _own(site.name, site_words(site.name)) for site in SITES
}
"""Each site by its name in the cohort: what a group of one slice has found (planar profile)."""

LEVEL_CODES: dict[Level, CodedConcept] = {
    Level.L1: CodedConcept("66794005", "SCT", "L1 vertebra"),
    Level.L2: CodedConcept("14293000", "SCT", "L2 vertebra"),
    Level.L3: CodedConcept("36470004", "SCT", "L3 vertebra"),
    Level.L4: CodedConcept("11994002", "SCT", "L4 vertebra"),
    Level.L5: CodedConcept("49668003", "SCT", "L5 vertebra"),
    Level.S1: CodedConcept("65985001", "SCT", "S1 vertebra"),
}

MUSCLE_CODES: dict[Muscle, CodedConcept] = {
    Muscle.TRANSVERSOSPINALIS: CodedConcept("244849004", "SCT", "Deep back muscle"),
    Muscle.LONGISSIMUS: CodedConcept("88340001", "SCT", "Longissimus muscle"),
    Muscle.PSOAS_MAJOR: CodedConcept("68455001", "SCT", "Iliopsoas muscle"),
}

SIDE_CODES: dict[Side, CodedConcept] = {
    Side.RIGHT: CodedConcept("24028007", "SCT", "Right"),
    Side.LEFT: CodedConcept("7771000", "SCT", "Left"),
}


def site_code(site: Site) -> CodedConcept:
    """The anatomy that a site lies in, without its side.

    Raises
    ------
    ValueError
        The site is neither a vertebra nor a muscle.
    """
    if site.level is not None:
        return LEVEL_CODES[site.level]
    if site.muscle is None:
        raise ValueError(f"site {site.name} is neither a vertebra nor a muscle")
    return MUSCLE_CODES[site.muscle]


AORTA = CodedConcept("7832008", "SCT", "Abdominal aorta")
VENA_CAVA = CodedConcept("64131007", "SCT", "Inferior vena cava")
FAT_PLACES: dict[FatPlace, CodedConcept] = {
    FatPlace.SUBCUTANEOUS: CodedConcept("71966008", "SCT", "Subcutaneous tissue"),
    FatPlace.RETROPERITONEAL: CodedConcept("82849001", "SCT", "Retroperitoneum"),
}

PHASE = _own("CONTRAST-PHASE", "Phase of the contrast agent")
PHASES: dict[ContrastPhase, CodedConcept] = {
    ContrastPhase.UNENHANCED: _own("PHASE-NONE", "Unenhanced"),
    ContrastPhase.ARTERIAL: _own("PHASE-ARTERIAL", "Arterial phase"),
    ContrastPhase.PORTAL_VENOUS: _own("PHASE-VENOUS", "Portal venous phase"),
    ContrastPhase.DELAYED: _own("PHASE-DELAYED", "Delayed phase"),
}
"""The phases; one that is undetermined has the code for that."""

STAGE = _own("STAGE", "Predicted stage")
PREDICTION_SET = _own("STAGE-SET", "Stage that the 90 % prediction set holds")
COMPARISON = _own("COMPARISON", "Comparison with an earlier report")
EARLIER_REPORT = _own("EARLIER-REPORT", "Earlier report")
CHANGE_A_YEAR = _own("CHANGE-A-YEAR", "Change of the attenuation per year")
LEAST_SIGNIFICANT = _own("LEAST-SIGNIF", "Least significant change of the attenuation")
CONTRIBUTION = _own("CONTRIBUTION", "Contribution to the predicted stage")
WARNING = _own("WARNING", "Warning")
REGIONS = _own("REGIONS", "Segmentation of the measured regions")

WARNINGS: dict[str, CodedConcept] = {
    code: _own(words.short, words.meaning) for code, words in WARNING_WORDS.items()
}
OTHER_WARNING = _own("W-OTHER", "Another warning, in words")
"""Of a warning that has no code: its words stand beside it."""

STAGES: dict[str, CodedConcept] = {
    "A": _own("STAGE-A", "Looks like patients with normal bone density"),
    "B": _own("STAGE-B", "Looks like patients with osteopenia"),
    "C": _own("STAGE-C", "Looks like patients with osteoporosis"),
    "D": _own("STAGE-D", "Looks like patients with an osteoporotic fracture"),
}
"""What is said of a patient, by the letter of the stage."""

L1_ALONE = _own("STAGE-L1", "Not staged: L1 alone against its thresholds")
NOT_STAGED = _own("STAGE-NONE", "Not staged")
"""What stands in place of a stage where the model gives none."""

PROBABILITY: dict[str, CodedConcept] = {
    "A": _own("PROB-A", "Probability of stage A, normal"),
    "B": _own("PROB-B", "Probability of stage B, osteopenia"),
    "C": _own("PROB-C", "Probability of stage C, osteoporosis"),
    "D": _own("PROB-D", "Probability of stage D, like patients with fragility fracture"),
}

OSTEOPOROSIS = _own("OSTEOPOROSIS", "Stage C or D by the model")

L1_THRESHOLD = _own("L1-HU", "L1 attenuation against 110 and 160 HU")

L1_THRESHOLD_VALUES: dict[str, CodedConcept] = {
    "low": _own("L1-LE-110", "At or below 110 HU"),
    "middle": _own("L1-110-160", "Above 110 and at or below 160 HU"),
    "high": _own("L1-GT-160", "Above 160 HU"),
}
