"""Acquisition rules that need the pixels: contrast in the aorta, noise, proportions."""

import math
from dataclasses import dataclass

from dicom_node.series.acquisition import refuse_or_report
from dicom_node.settings.node import AcquisitionRules
from roi_extraction.anatomy import Anatomy, Finding
from roi_extraction.checks.aorta import Aorta, find_aorta
from roi_extraction.checks.noise import estimate_noise_hu, roi_standard_error_hu
from roi_extraction.checks.proportions import body_proportions
from roi_extraction.volume import CtVolume

__all__ = ["ImageFacts", "check_image"]

MAX_STANDARD_ERROR_HU = 4.0
"""Highest standard error that noise may give to a site's mean under the rule ``noise``, HU: as much
as turning the patient by 3 degrees and moving by 2 mm changes a mean (SD of 2-4 HU on a real
scan)."""


@dataclass(frozen=True)
class ImageFacts:
    """What the image says about its acquisition; NaN where it cannot be determined.

    Parameters
    ----------
    noise_sd_hu
        Standard deviation of the noise in effective slices near the spine, HU.
    noise_standard_error_hu
        Standard error that the noise gives to the mean of one site, HU.
    aorta_hu
        Mean of the blood in the abdominal aorta, HU.
    aorta_missing
        Why there is no ``aorta_hu``.
    """

    noise_sd_hu: float
    noise_standard_error_hu: float
    aorta_hu: float
    aorta_missing: str | None


def check_image(
    volume: CtVolume, anatomy: Anatomy, rules: AcquisitionRules
) -> tuple[ImageFacts, list[Finding]]:
    """Look at the image and apply the rules.

    Parameters
    ----------
    volume
        The scan: int16 HU, shape (slices, rows, columns).
    anatomy
        Its spine and tissues.
    rules
        Which broken rule refuses the scan and which is reported.

    Returns
    -------
    facts, findings
        What was seen, and the warnings.

    Raises
    ------
    SeriesRefused
        A rule that is ``strict`` is broken.
    """
    noise = estimate_noise_hu(volume, anatomy.spine)
    error = roi_standard_error_hu(noise, volume)
    aorta = find_aorta(volume, anatomy.spine)
    facts = ImageFacts(
        noise_sd_hu=noise,
        noise_standard_error_hu=error,
        aorta_hu=aorta.mean_hu if isinstance(aorta, Aorta) else math.nan,
        aorta_missing=None if isinstance(aorta, Aorta) else aorta.reason,
    )
    findings = _proportions(volume, anatomy, rules)
    if isinstance(aorta, Aorta) and aorta.enhanced:
        finding = Finding(
            "acquisition.contrast_seen",
            f"blood in the aorta has {aorta.mean_hu:.0f} HU: a contrast agent was given; iodine "
            "raises the HU of bone (L1 by 11 HU on average in the portal venous phase) and of "
            "muscle, so the stage may be too favourable",
        )
        findings += refuse_or_report(rules.contrast_seen, finding)
    if error > MAX_STANDARD_ERROR_HU:
        finding = Finding(
            "acquisition.noise",
            f"noise of {noise:.0f} HU: each mean is uncertain by {error:.1f} HU for that alone",
        )
        findings += refuse_or_report(rules.noise, finding)
    return facts, findings


def _proportions(volume: CtVolume, anatomy: Anatomy, rules: AcquisitionRules) -> list[Finding]:
    proportions = body_proportions(volume, anatomy)
    if proportions is None or proportions.believable:
        return []
    finding = Finding(
        "acquisition.pixel_spacing_doubtful",
        f"by the stated Pixel Spacing the lumbar bodies are {proportions.width_mm:.0f} mm wide and "
        f"{proportions.depth_mm:.0f} mm deep, which vertebrae never are; check the spacing",
    )
    return refuse_or_report(rules.pixel_spacing_doubtful, finding)
