"""Acquisition rules that need the pixels: contrast, fat, noise, proportions."""

import math
from dataclasses import dataclass

from dicom_node.series.acquisition import refuse_or_report
from dicom_node.settings.node import AcquisitionRules
from roi_extraction.anatomy import Anatomy, Finding
from roi_extraction.checks.aorta import Aorta, find_aorta
from roi_extraction.checks.contrast_phase import ContrastPhase, contrast_phase
from roi_extraction.checks.fat import USUAL_FAT_HU, Fat, FatNotFound, find_fat
from roi_extraction.checks.noise import estimate_noise_hu, roi_standard_error_hu
from roi_extraction.checks.proportions import body_proportions
from roi_extraction.checks.vena_cava import VenaCava, VenaCavaNotFound, find_vena_cava
from roi_extraction.volume import CtVolume

__all__ = ["PHASE_EFFECTS", "ImageFacts", "check_image"]

MAX_STANDARD_ERROR_HU = 4.0
"""Highest standard error that noise may give to a site's mean under the rule ``noise``, HU: as much
as turning the patient by 3 degrees and moving by 2 mm changes a mean (SD of 2-4 HU on a real
scan)."""

PHASE_EFFECTS: dict[ContrastPhase, str] = {
    ContrastPhase.UNENHANCED: "",
    ContrastPhase.ARTERIAL: (
        "arterial phase, in which L1 reads higher by 14 HU on average (Pompe 2015)"
    ),
    ContrastPhase.PORTAL_VENOUS: (
        "portal venous phase, in which L1 reads higher by 11 HU (SD 19; Pickhardt 2016) to 18 HU "
        "(Pompe 2015) on average"
    ),
    ContrastPhase.DELAYED: (
        "delayed phase, in which bone reads higher, though less than in the portal venous phase, "
        "and muscle most (Boutin 2016)"
    ),
    ContrastPhase.UNDETERMINED: (
        "phase undetermined; L1 reads higher by 11 to 18 HU on average (Pickhardt 2016, Pompe 2015)"
    ),
}
"""What a contrast agent does to L1 by its phase, in words.

Pompe 2015, doi 10.1007/s00330-014-3408-2: 99 people without malignancy, L1 129 HU unenhanced, 142
arterial, 147 portal venous. Pickhardt 2016, doi 10.1007/s00198-015-3224-9. Boutin 2016, AJR: L4 and
muscles of 201 people in four phases. No study of L1 in the delayed phase is known to us.
"""


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
    vein
        Blood in the inferior vena cava, or why it was not measured.
    fat
        Fat near the spine, or why it was not measured.
    phase
        The phase of the contrast agent.
    """

    noise_sd_hu: float
    noise_standard_error_hu: float
    aorta_hu: float
    aorta_missing: str | None
    vein: VenaCava | VenaCavaNotFound
    fat: Fat | FatNotFound
    phase: ContrastPhase


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
    spine = anatomy.spine
    aorta, vein = find_aorta(volume, spine), find_vena_cava(volume, spine)
    facts = ImageFacts(
        noise_sd_hu=noise,
        noise_standard_error_hu=error,
        aorta_hu=aorta.mean_hu if isinstance(aorta, Aorta) else math.nan,
        aorta_missing=None if isinstance(aorta, Aorta) else aorta.reason,
        vein=vein,
        fat=find_fat(volume, spine),
        phase=contrast_phase(volume, spine, aorta, vein),
    )
    findings = _proportions(volume, anatomy, rules)
    if isinstance(aorta, Aorta) and aorta.enhanced:
        findings += refuse_or_report(rules.contrast_seen, _contrast(aorta, facts))
    if isinstance(facts.fat, Fat) and not facts.fat.usual:
        finding = Finding(
            "acquisition.fat_unusual",
            f"{facts.fat.place} fat has {facts.fat.mean_hu:.0f} HU, while it has "
            f"{USUAL_FAT_HU[0]:.0f} to {USUAL_FAT_HU[1]:.0f} in 95 % of abdominal CT: the "
            "scanner's HU, and with them those of bone, may be off; nothing was corrected",
        )
        findings += refuse_or_report(rules.fat_unusual, finding)
    if error > MAX_STANDARD_ERROR_HU:
        finding = Finding(
            "acquisition.noise",
            f"noise of {noise:.0f} HU: each mean is uncertain by {error:.1f} HU for that alone",
        )
        findings += refuse_or_report(rules.noise, finding)
    return facts, findings


def _contrast(aorta: Aorta, facts: ImageFacts) -> Finding:
    blood = f"blood in the aorta has {aorta.mean_hu:.0f} HU"
    if isinstance(facts.vein, VenaCava):
        blood += f", in the vena cava {facts.vein.mean_hu:.0f} HU"
    return Finding(
        "acquisition.contrast_seen",
        f"{blood}: a contrast agent was given; {PHASE_EFFECTS[facts.phase]}; muscle reads higher "
        "too, so the stage may be too favourable; nothing was corrected",
    )


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
