"""Every warning that a report can carry: its code in the Structured Report, and its words.

The node's own codes, such as ``acquisition.contrast``, are longer than the 16 characters of a DICOM
Code Value; each has a short one of the private scheme. The words are a reader's, not a program's.
"""

from dataclasses import dataclass

__all__ = ["LIMITS", "WARNING_WORDS", "WarningWords"]


@dataclass(frozen=True)
class WarningWords:
    """One warning.

    Parameters
    ----------
    short
        Code Value, at most 16 characters.
    meaning
        Code Meaning, at most 64 characters.
    limit
        What the impression names as a limit of the verdict; empty for what does not limit it.
    """

    short: str
    meaning: str
    limit: str = ""


WARNING_WORDS: dict[str, WarningWords] = {
    # what changes HU of bone, the most misleading first
    "acquisition.contrast": WarningWords("W-CONTRAST", "Contrast agent stated", "contrast"),
    "acquisition.contrast_seen": WarningWords(
        "W-CONTRAST-SEEN", "Contrast seen in the aorta", "contrast"
    ),
    "acquisition.fat_unusual": WarningWords(
        "W-FAT", "HU of fat unusual, the scanner's HU may be off", "doubtful HU"
    ),
    "acquisition.multienergy": WarningWords(
        "W-MULTIENERGY", "Acquired with several X-ray spectra", "several X-ray spectra"
    ),
    "roi.fractured": WarningWords(
        "W-FRACTURED", "Shape of a vertebral body suggests a fracture", "a possibly fractured body"
    ),
    "roi.dense_body": WarningWords(
        "W-DENSE-BODY", "A vertebral body is denser than the others", "an unusually dense body"
    ),
    "roi.dense_lesion": WarningWords(
        "W-DENSE-LESION", "Dense spot in a vertebral body", "a dense spot"
    ),
    "roi.focal_density": WarningWords(
        "W-FOCAL-DENSITY", "Part of a region is much denser than the rest", "a dense spot"
    ),
    "model.muscle_imputed": WarningWords(
        "W-MUSCLE-IMPUTED", "Cohort's medians stand in for muscles"
    ),
    "model.vertebra_imputed": WarningWords(
        "W-BODY-IMPUTED", "Cohort's median stands in for a vertebra", "a vertebra replaced"
    ),
    "model.far_outside_cohort": WarningWords(
        "W-FAR-OUTSIDE", "Values far outside the cohort's range", "values outside the cohort's"
    ),
    "model.outside_cohort": WarningWords(
        "W-OUTSIDE", "Values outside the cohort's range", "values outside the cohort's"
    ),
    "model.unusual_values": WarningWords(
        "W-UNUSUAL", "Values unusual for the cohort", "values unusual for the cohort"
    ),
    "model.age_far_outside_cohort": WarningWords(
        "W-AGE-FAR", "Age far outside the cohort's range", "age outside the cohort's"
    ),
    "model.age_outside_cohort": WarningWords(
        "W-AGE", "Age outside the cohort's range", "age outside the cohort's"
    ),
    "model.age_imputed": WarningWords(
        "W-AGE-UNKNOWN", "Age unknown, the cohort's median stands in", "age unknown"
    ),
    "model.sex_imputed": WarningWords(
        "W-SEX-UNKNOWN", "Sex unknown, the cohort's commoner sex stands in", "sex unknown"
    ),
    "levels.iliac_crests_unusual": WarningWords(
        "W-CRESTS", "Iliac crests at an unusual height", "levels that may be shifted"
    ),
    "levels.twelve_ribs_assumed": WarningWords(
        "W-RIBS-ASSUMED", "Twelve pairs of ribs assumed", "levels named from ribs"
    ),
    "reading.superseded": WarningWords("W-READ-BEFORE", "A reader had read an earlier report"),
    "roi.levels_renamed": WarningWords("W-RENAMED", "Levels named anew by the reader"),
    "levels.five_lumbar_assumed": WarningWords("W-FIVE-ASSUMED", "Five lumbar vertebrae assumed"),
    "acquisition.kernel_lung_bone": WarningWords(
        "W-KERNEL-BONE", "Kernel for lung or bone", "a lung or bone kernel"
    ),
    "acquisition.kernel_sharp": WarningWords(
        "W-KERNEL-SHARP", "Kernel sharper than a standard body kernel", "a sharp kernel"
    ),
    "acquisition.kernel_unknown": WarningWords(
        "W-KERNEL-UNKNOWN", "Kernel not stated or not known", "an unknown kernel"
    ),
    "acquisition.noise": WarningWords(
        "W-NOISE", "Noise makes the means uncertain by over 4 HU", "noise"
    ),
    "acquisition.scanner_offset": WarningWords(
        "W-OFFSET", "Allowed for the scanner's known offset"
    ),
    "acquisition.other_scanner": WarningWords(
        "W-SCANNER", "Another scanner than the cohort's", "another scanner than the cohort's"
    ),
    "acquisition.large_pixels": WarningWords(
        "W-LARGE-PIXELS", "Pixels larger than 1.5 mm", "large pixels"
    ),
    "acquisition.thick_slices": WarningWords(
        "W-THICK-SLICES", "Slices thicker than the cohort's 3 mm", "thick slices"
    ),
    "acquisition.thickness_unknown": WarningWords(
        "W-THICKNESS", "Slice thickness not stated, the step stands in"
    ),
    "acquisition.gantry_tilt": WarningWords("W-TILT", "Gantry tilt of 1 to 10 degrees"),
    "acquisition.gantry_tilt_unclear": WarningWords(
        "W-TILT-UNCLEAR", "Stated gantry tilt and positions differ", "an unclear gantry tilt"
    ),
    "acquisition.pixel_spacing_doubtful": WarningWords(
        "W-SPACING", "Pixel spacing doubtful: no lumbar body is so wide", "doubtful pixel spacing"
    ),
    "acquisition.patient_position_missing": WarningWords(
        "W-POSITION", "Patient Position not stated: sides follow the orientation"
    ),
    "acquisition.short_coverage": WarningWords("W-COVERAGE", "Short scan", "a short scan"),
    "roi.slices_spread": WarningWords(
        "W-SLICES-SPREAD", "The three slices of a region differ", "slices that differ"
    ),
    "label_map.levels_absent": WarningWords(
        "W-LEVELS-ABSENT", "The segmentation lacks levels", "levels not segmented"
    ),
    "segmentation.levels_unchecked": WarningWords(
        "W-SEG-UNCHECKED", "Levels of the segmentation could not be compared", "levels unchecked"
    ),
    "segmentation.untrusted_source": WarningWords(
        "W-SEG-UNTRUSTED", "Segmentation of an untrusted sender not used"
    ),
    "segmenter.passed_over": WarningWords("W-SEGMENTER", "A segmenter failed, another was used"),
    # what was sent
    "input.incomplete": WarningWords("W-INCOMPLETE", "Slices missing", "missing slices"),
    "input.gap": WarningWords("W-GAP", "Slices missing in the middle", "missing slices"),
    "input.foreign_instances": WarningWords(
        "W-FOREIGN", "Images of another patient left out", "another patient's images left out"
    ),
    "input.partly_corrected": WarningWords(
        "W-CORRECTED", "Patient or study data corrected in part", "patient data corrected in part"
    ),
    "input.not_surveyed": WarningWords(
        "W-NOT-SURVEYED", "Completeness and patient not checked", "an unchecked study"
    ),
    "input.count_unchecked": WarningWords(
        "W-COUNT", "Number of slices not compared with the archive"
    ),
    "input.earlier_unasked": WarningWords(
        "W-EARLIER", "Earlier reports in the archive not asked for"
    ),
    "input.unreadable_files": WarningWords("W-UNREADABLE", "Files that cannot be read left out"),
    "input.foreign_segmentation": WarningWords(
        "W-SEG-FOREIGN", "Segmentation of other images not used"
    ),
    "input.other_eligible_series": WarningWords(
        "W-OTHER-SERIES", "Another series could have been measured"
    ),
    "input.better_series_refused": WarningWords(
        "W-BETTER-SERIES", "A better series could not be measured"
    ),
    "series.images_left_out": WarningWords(
        "W-IMAGES-OUT", "Images outside the axial stack left out"
    ),
    "series.doubled_images": WarningWords("W-DOUBLED", "A slice came twice, one was left out"),
    "header.invalid_values": WarningWords("W-INVALID", "Header elements without a valid value"),
    "header.sex_unknown": WarningWords("W-SEX-INVALID", "Patient's Sex is none of M, F and O"),
    # what the model says of itself
    "model.unsteady": WarningWords("W-UNSTEADY", "Another stage where HU are 10 lower or higher"),
    "model.undetermined": WarningWords("W-UNDETERMINED", "No stage can be ruled out"),
    "model.lumbosacral_missing": WarningWords(
        "W-NO-L5-S1", "Neither L5 nor S1 measured, so not staged"
    ),
    "model.too_few_vertebrae": WarningWords("W-FEW-BODIES", "Too few vertebrae measured to stage"),
    "model.too_few_muscles": WarningWords("W-FEW-MUSCLES", "Too few muscles measured to stage"),
}
"""Every warning by the node's own code; those that limit the verdict most come first."""

LIMITS = {code: words.limit for code, words in WARNING_WORDS.items() if words.limit}
"""What the impression names, the most misleading first."""
