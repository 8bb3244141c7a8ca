"""From a volume to its 36 features in one call."""

from roi_extraction.anatomy import Segmenter
from roi_extraction.features import FeatureVector
from roi_extraction.measurement import measure
from roi_extraction.placement import place
from roi_extraction.volume import CtVolume

__all__ = ["extract"]


def extract(volume: CtVolume, segmenter: Segmenter) -> FeatureVector:
    """Localise, place and measure all 36 sites.

    Parameters
    ----------
    volume
        The scan.
    segmenter
        Finds the spine and the tissues.

    Returns
    -------
    features
        All 36 sites, NaN with a reason where missing.

    Raises
    ------
    RoiError
        The scan cannot be used; the message says why.
    """
    anatomy = segmenter.segment(volume)
    return measure(volume, anatomy, place(volume, anatomy))
