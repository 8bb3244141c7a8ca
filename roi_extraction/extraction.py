"""From a volume to its 36 features in one call."""

from collections.abc import Callable

from roi_extraction.anatomy import Anatomy, Segmenter
from roi_extraction.correction import Correction
from roi_extraction.features import FeatureVector
from roi_extraction.measurement import measure
from roi_extraction.placement import place
from roi_extraction.volume import CtVolume

__all__ = ["extract"]


def extract(
    volume: CtVolume,
    segmenter: Segmenter,
    on_anatomy: Callable[[Anatomy], None] | None = None,
    correction: Correction | None = None,
) -> FeatureVector:
    """Localise, place and measure all 36 sites.

    Parameters
    ----------
    volume
        The scan: int16 HU, shape (slices, rows, columns), positions in LPS mm.
    segmenter
        Finds the spine and the tissues.
    on_anatomy
        Called once with the anatomy after it was found and before anything is placed or measured.
        It may look at the scan and raise to refuse it; whatever it raises ends the extraction.
    correction
        What a reader wants to be measured otherwise; None for nothing.

    Returns
    -------
    features
        All 36 sites in HU, NaN with a reason where missing.

    Raises
    ------
    RoiError
        The scan cannot be used; the message says why.
    """
    correction = correction or Correction()
    anatomy = correction.renamed(segmenter.segment(volume))
    if on_anatomy is not None:
        on_anatomy(anatomy)
    placed = correction.applied(volume, place(volume, anatomy))
    return measure(volume, anatomy, placed)
