"""Codes of the report, each with its source and whether it was verified.

Every code is a (value, scheme, meaning) triple. A verified code is defined in DICOM PS3.16 (annex
D or the context groups, as pydicom has them) or was accepted by the validators. Where no verified
code is known, a broader verified one or the project's own scheme is used, never a guess.

| Concept | Source |
|---|---|
| L1..L5, sacrum, longissimus | PS3.16 anatomy context groups (pydicom's SCT table) |
| S1 65985001, iliopsoas 68455001, deep back muscle 244849004 | accepted by the validators |
| psoas major, transversospinalis | no verified code: the broader iliopsoas, deep back muscle |
| stage, probability, thresholds | private scheme 99OSTEONODE |
"""

from highdicom.sr import CodedConcept

from roi_extraction.sites import Level, Muscle, Side

__all__ = [
    "ATTENUATION",
    "COMMENT",
    "CT_PROCEDURE",
    "FINDING_CATEGORY",
    "HOUNSFIELD",
    "L1_THRESHOLD",
    "L1_THRESHOLD_VALUES",
    "LEVEL_CODES",
    "MEAN",
    "MUSCLE_CODES",
    "PROBABILITY",
    "RATIO",
    "ROI_FINDING",
    "SIDE_CODES",
    "STAGE",
    "STAGES",
    "STAGE_FINDING",
    "STANDARD_DEVIATION",
]

PRIVATE_SCHEME = "99OSTEONODE"
"""Coding scheme designator of the project's own codes; private ones begin with 99 (PS3.16)."""


def _own(value: str, meaning: str) -> CodedConcept:
    return CodedConcept(value, PRIVATE_SCHEME, meaning)


ATTENUATION = CodedConcept("112031", "DCM", "Attenuation Coefficient")
HOUNSFIELD = CodedConcept("[hnsf'U]", "UCUM", "Hounsfield unit")
RATIO = CodedConcept("1", "UCUM", "no units")
MEAN = CodedConcept("373098007", "SCT", "Mean")
STANDARD_DEVIATION = CodedConcept("386136009", "SCT", "Standard Deviation")
COMMENT = CodedConcept("121106", "DCM", "Comment")
CT_PROCEDURE = CodedConcept("25045-6", "LN", "CT unspecified body region")
FINDING_CATEGORY = _own("RESEARCH", "Opportunistic screening, research use only")
ROI_FINDING = _own("ROI", "Region of interest in three central slices")
STAGE_FINDING = _own("STAGING", "Opportunistic osteoporosis staging")

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

STAGE = _own("STAGE", "Predicted stage")

STAGES: dict[str, CodedConcept] = {
    "A": _own("STAGE-A", "Looks like patients with normal bone density"),
    "B": _own("STAGE-B", "Looks like patients with osteopenia"),
    "C": _own("STAGE-C", "Looks like patients with osteoporosis"),
    "D": _own("STAGE-D", "Looks like patients with an osteoporotic fracture"),
    "": _own("STAGE-NONE", "Not staged"),
}

PROBABILITY: dict[str, CodedConcept] = {
    "A": _own("PROB-A", "Probability of stage A, normal"),
    "B": _own("PROB-B", "Probability of stage B, osteopenia"),
    "C": _own("PROB-C", "Probability of stage C, osteoporosis"),
    "D": _own("PROB-D", "Probability of stage D, like patients with fragility fracture"),
}

L1_THRESHOLD = _own("L1-HU", "L1 attenuation against 110 and 160 HU")

L1_THRESHOLD_VALUES: dict[str, CodedConcept] = {
    "low": _own("L1-LE-110", "At or below 110 HU"),
    "middle": _own("L1-110-160", "Above 110 and at or below 160 HU"),
    "high": _own("L1-GT-160", "Above 160 HU"),
}
