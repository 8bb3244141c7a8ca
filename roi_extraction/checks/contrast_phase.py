"""The phase of a contrast agent, from blood in aorta and vena cava and from urine."""

from enum import StrEnum

from roi_extraction.anatomy import SpineLandmarks
from roi_extraction.checks.aorta import Aorta, AortaNotFound
from roi_extraction.checks.excretion import urine_enhanced
from roi_extraction.checks.vena_cava import VenaCava, VenaCavaNotFound
from roi_extraction.volume import CtVolume

__all__ = ["ContrastPhase", "contrast_phase"]

UNENHANCED_BLOOD_HU = 40.0
"""Blood without contrast agent, HU: the middle of the 29-50 that the aorta has (`checks.aorta`)."""

ARTERIAL_SHARE = 0.44
"""Share of the aorta's enhancement that the vena cava has, below which the phase is arterial: half
way between the means of the arterial (47 of 210 HU) and the portal venous phase (73 of 110 HU;
Bartenschlager 2025, doi 10.1016/j.ejrad.2025.111923: 93 CT of the lumbar spine of 34 people)."""


class ContrastPhase(StrEnum):
    """When after the injection a scan was made."""

    UNENHANCED = "unenhanced"
    ARTERIAL = "arterial"
    PORTAL_VENOUS = "portal_venous"
    DELAYED = "delayed"
    UNDETERMINED = "undetermined"


def contrast_phase(
    volume: CtVolume,
    spine: SpineLandmarks,
    aorta: Aorta | AortaNotFound,
    vein: VenaCava | VenaCavaNotFound,
) -> ContrastPhase:
    """Tell the phase of the contrast agent.

    Parameters
    ----------
    volume
        The scan.
    spine
        Its landmarks, found by any segmenter.
    aorta, vein
        Blood in the aorta and in the inferior vena cava.

    Returns
    -------
    ContrastPhase
        Undetermined where blood was not found, or where a vein that is as bright as in the portal
        venous phase could be of the delayed one, since the kidneys are not in the scan.
    """
    if isinstance(aorta, AortaNotFound):
        return ContrastPhase.UNDETERMINED
    if not aorta.enhanced:
        return ContrastPhase.UNENHANCED
    if isinstance(vein, VenaCavaNotFound):
        return ContrastPhase.UNDETERMINED
    share = (vein.mean_hu - UNENHANCED_BLOOD_HU) / (aorta.mean_hu - UNENHANCED_BLOOD_HU)
    if share < ARTERIAL_SHARE:
        return ContrastPhase.ARTERIAL
    excreted = urine_enhanced(volume, spine, aorta.mean_hu)
    if excreted is None:
        return ContrastPhase.UNDETERMINED
    return ContrastPhase.DELAYED if excreted else ContrastPhase.PORTAL_VENOUS
