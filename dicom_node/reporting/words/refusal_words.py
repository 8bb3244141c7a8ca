"""What would help: a sentence for each reason why a scan was not analysed."""

__all__ = ["REFUSAL_ADVICE", "refusal_advice"]

AXIAL_120 = "Send the axial series at 120 kVp with a soft or standard kernel"
WHOLE = "Send the whole series again"
SPINE = "Send a series that shows L1 to S1 whole, or L1 and L2 with the last ribs"
OTHER_SERIES = "Send another series of the study"
OWN_IMAGES = "Send a segmentation of these images, or none"
ADMINISTRATOR = "Tell the administrator of the node"

REFUSAL_ADVICE: dict[str, str] = {
    "input.no_dicom": "Give the folder of a DICOM series",
    "input.no_eligible_series": AXIAL_120,
    "input.patient_mismatch": "Correct the patient data in the archive and send the study again",
    "input.conflicting_instance": "Remove the wrong images with osteonode discard",
    "series.invalid_uid": "Correct the UIDs in the archive and send the study again",
    "series.invalid_patient_id": "Correct Patient ID in the archive and send the study again",
    "series.mixed_studies": "Send each study by itself",
    "series.not_ct": "Send the CT images",
    "series.localizer": AXIAL_120,
    "series.derived": "Send the original axial series, not a reformation",
    "series.spectral": "Send the conventional 120 kVp images of the scan",
    "series.interleaved": "Send each acquisition as a series of its own",
    "series.enhanced": "Send the series as single-frame CT images",
    "series.kvp": "Send a series that was acquired at 120 kVp",
    "series.kvp_missing": "Send the images with their tube voltage (KVP)",
    "series.mixed_acquisition": "Send each acquisition as a series of its own",
    "series.lossy": "Send the images without lossy compression",
    "series.no_rescale": "Send the images with Rescale Slope and Intercept",
    "series.not_hu": "Send images in Hounsfield units",
    "series.pixel_format": OTHER_SERIES,
    "series.no_position": "Send the images with their positions",
    "series.no_pixel_spacing": "Send the images with Pixel Spacing",
    "series.mixed_geometry": "Send one stack of slices as a series of its own",
    "series.not_axial": AXIAL_120,
    "series.gantry_tilt": "Send a series without gantry tilt",
    "series.too_few_slices": SPINE,
    "series.duplicate_positions": "Send each acquisition as a series of its own",
    "series.missing_slices": WHOLE,
    "series.irregular_spacing": "Send a series with even steps",
    "series.large_pixels": "Send a reconstruction with pixels of at most 1.5 mm",
    "series.slice_thickness": "Send a reconstruction with slices of at most 5 mm",
    "series.slice_step": "Send a reconstruction with steps of at most 5 mm",
    "series.unreadable_pixels": WHOLE,
    "acquisition.short_coverage": SPINE,
    "acquisition.kernel_unknown": "Send a reconstruction with a soft or standard kernel",
    "acquisition.kernel_sharp": "Send a reconstruction with a soft or standard kernel",
    "acquisition.kernel_lung_bone": "Send a reconstruction with a soft or standard kernel",
    "acquisition.contrast": "Send an unenhanced series",
    "acquisition.contrast_seen": "Send an unenhanced series",
    "acquisition.fat_unusual": "Check the calibration of the scanner and Rescale Intercept",
    "acquisition.gantry_tilt": "Send a series without gantry tilt",
    "acquisition.gantry_tilt_unclear": OTHER_SERIES,
    "acquisition.large_pixels": "Send a reconstruction with pixels of at most 1.5 mm",
    "acquisition.thick_slices": "Send a reconstruction with slices of 3 mm",
    "acquisition.thickness_unknown": "Send the images with Slice Thickness",
    "acquisition.noise": "Send a reconstruction with thicker slices or a softer kernel",
    "acquisition.pixel_spacing_doubtful": "Check Pixel Spacing in the archive",
    "acquisition.other_scanner": "Report such scans with a warning (rule other_scanner)",
    "acquisition.patient_position_missing": "Send the images with Patient Position",
    "roi.error": OTHER_SERIES,
    "roi.invalid_volume": OTHER_SERIES,
    "roi.spine_not_found": SPINE,
    "roi.field_of_view_too_small": "Send a reconstruction that shows the whole body across",
    "roi.levels_ambiguous": "Send a segmentation that names the levels",
    "roi.levels_not_covered": SPINE,
    "roi.invalid_segmentation": OWN_IMAGES,
    "roi.no_segmenter": OWN_IMAGES,
    "roi.segmenter_unavailable": ADMINISTRATOR,
    "node.assessment_failed": ADMINISTRATOR,
}
"""By the code of the refusal."""

OF_A_KIND = {"segmentation.": OWN_IMAGES, "totalsegmentator.": ADMINISTRATOR}
"""By how the code begins, where all reasons of a kind ask for the same."""


def refusal_advice(code: str) -> str:
    """What would help, without its full stop.

    >>> refusal_advice("series.kvp"), refusal_advice("segmentation.empty")
    ('Send a series that was acquired at 120 kVp', 'Send a segmentation of these images, or none')
    """
    kind = next((words for start, words in OF_A_KIND.items() if code.startswith(start)), None)
    return REFUSAL_ADVICE.get(code) or kind or ADMINISTRATOR
