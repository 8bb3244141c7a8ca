"""Whether a scan that was not analysed was meant for this node at all."""

from pydicom.dataset import Dataset

from dicom_node.reporting.report_model import Refusal

__all__ = ["MEANT", "NOT_MEANT", "meant_for_screening", "page_is_due", "shows_another_body_part"]

RULE = "a CT that fails a rule of acquisition: another series of the scan may serve"
BROKEN = "a CT whose images are incomplete or damaged: sent again they may serve"
SEEN = "a CT with a spine whose levels cannot all be measured"
GIVEN = "a CT that was sent with a segmentation in order to be measured"
UNFILED = "a page could not be filed under the right patient or study"
OTHER = "no axial CT of a body: nothing that could have been measured"
NO_SPINE = "no lumbar spine was seen: the scan is probably of something else"
FAULT = "a fault of the node, which its administrator sees: it says nothing of the scan"

MEANT: dict[str, str] = {
    "series.derived": "a reformation: the axial series of the same scan may serve",
    "series.spectral": "computed from spectra: the conventional images of the scan may serve",
    "series.interleaved": BROKEN,
    "series.enhanced": "a CT in a form that is not read",
    "series.kvp": RULE,
    "series.kvp_missing": RULE,
    "series.mixed_acquisition": BROKEN,
    "series.lossy": BROKEN,
    "series.no_rescale": BROKEN,
    "series.pixel_format": BROKEN,
    "series.no_position": BROKEN,
    "series.no_pixel_spacing": BROKEN,
    "series.mixed_geometry": BROKEN,
    "series.not_axial": "a reformation: the axial series of the same scan may serve",
    "series.gantry_tilt": RULE,
    "series.duplicate_positions": BROKEN,
    "series.missing_slices": BROKEN,
    "series.irregular_spacing": BROKEN,
    "series.large_pixels": RULE,
    "series.slice_thickness": RULE,
    "series.slice_step": RULE,
    "series.unreadable_pixels": BROKEN,
    "acquisition.short_coverage": RULE,
    "acquisition.kernel_unknown": RULE,
    "acquisition.kernel_sharp": RULE,
    "acquisition.kernel_lung_bone": RULE,
    "acquisition.contrast": RULE,
    "acquisition.contrast_seen": RULE,
    "acquisition.fat_unusual": RULE,
    "acquisition.gantry_tilt": RULE,
    "acquisition.gantry_tilt_unclear": RULE,
    "acquisition.large_pixels": RULE,
    "acquisition.thick_slices": RULE,
    "acquisition.thickness_unknown": RULE,
    "acquisition.noise": RULE,
    "acquisition.pixel_spacing_doubtful": RULE,
    "acquisition.other_scanner": RULE,
    "acquisition.patient_position_missing": RULE,
    "roi.field_of_view_too_small": SEEN,
    "roi.levels_ambiguous": SEEN,
    "roi.levels_not_covered": SEEN,
    "roi.invalid_segmentation": GIVEN,
    "roi.no_segmenter": GIVEN,
    "segmentation.*": GIVEN,
}
"""Why a refusal with this code is of a scan that was meant to be measured."""

NOT_MEANT: dict[str, str] = {
    "input.no_dicom": OTHER,
    "input.no_eligible_series": "decided by the codes of the study's series",
    "input.patient_mismatch": UNFILED,
    "input.conflicting_instance": UNFILED,
    "series.invalid_uid": UNFILED,
    "series.invalid_patient_id": UNFILED,
    "series.mixed_studies": UNFILED,
    "series.not_ct": OTHER,
    "series.localizer": OTHER,
    "series.not_hu": "a map of another quantity, such as perfusion",
    "series.too_few_slices": "a scout, a bolus series or a needle's guidance, rarely a spine",
    "roi.error": FAULT,
    "roi.invalid_volume": OTHER,
    "roi.spine_not_found": NO_SPINE,
    "roi.segmenter_unavailable": FAULT,
    "totalsegmentator.*": FAULT,
    "node.assessment_failed": FAULT,
    "node.instances_gone": FAULT,
    "node.outdated_work": FAULT,
    "report.withdrawn": UNFILED,
}
"""Why a refusal with this code is of no such scan, or why no page is written of it."""

OTHER_BODY_PARTS = frozenset({
    "ANKLE", "ARM", "BRAIN", "BREAST", "CALF", "CAROTID", "CEREBRUM", "CERVIX", "CHEEK",
    "CLAVICLE", "COCHLEA", "CSPINE", "EAR", "ELBOW", "EXTREMITY", "EYE", "EYELID", "FACE",
    "FINGER", "FOOT", "FOREARM", "HAND", "HEAD", "HEADNECK", "HEART", "HUMERUS", "IAC", "JAW",
    "KNEE", "LEG", "LOWERLEG", "MANDIBLE", "MAXILLA", "NECK", "NOSE", "ORBIT", "PAROTID",
    "SCAPULA", "SHOULDER", "SINUS", "SKULL", "THIGH", "THUMB", "THYROID", "TMJ", "TOE", "TONGUE",
    "TOOTH", "TSPINE", "UPPERARM", "WRIST", "ZYGOMA",
})  # fmt: skip
"""Values of Body Part Examined that hold no lumbar spine (PS3.16, annex L, and common others)."""


def meant_for_screening(code: str) -> bool:
    """Whether a refusal with this code is of a scan that was meant for this node.

    A code that is not known is not: a page too many does more harm than one too few.

    >>> meant_for_screening("series.kvp"), meant_for_screening("series.not_ct")
    (True, False)
    """
    return code in MEANT or f"{code.split('.')[0]}.*" in MEANT


def shows_another_body_part(header: Dataset) -> bool:
    """Whether the header names a part of the body that holds no lumbar spine.

    Parameters
    ----------
    header
        Of an image. Body Part Examined alone is looked at: descriptions are free text.
    """
    part = str(header.get("BodyPartExamined") or "").upper()
    return "".join(filter(str.isalnum, part)) in OTHER_BODY_PARTS


def page_is_due(refusal: Refusal, header: Dataset) -> bool:
    """Whether a page that says why the scan was not analysed helps its reader.

    Parameters
    ----------
    refusal
        Where no series of a study was eligible, one series that was meant is enough.
    header
        Of an image of the study.
    """
    codes = [refusal.refused.code]
    if refusal.refused.code == "input.no_eligible_series":
        codes = [series.code for series in refusal.rejected_series]
    return any(map(meant_for_screening, codes)) and not shows_another_body_part(header)
