"""Find two scans that lie interleaved in one series, evenly spaced together."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dicom_node.errors import SeriesRefused
from dicom_node.series.instances import Instance
from roi_extraction.kernels import median_off_neighbours

__all__ = ["COMPARED_STEP", "check_alternation", "check_interleaving"]

CODE = "series.interleaved"

LEAST_PAUSE_S = 2.0
"""Least time between two scans of the same region, s: the table has to go back."""

TISSUE_HU = (-50, 300)
"""HU of the soft tissue whose brightness is compared between neighbouring slices."""

ALTERNATION_HU = 5.0
"""Median difference of a slice's soft tissue to the mean of both neighbours, its sign changing with
every slice, from which on two scans are interleaved, HU; of one scan's slices it is near 0."""

COMPARED_STEP = 4
"""Every fourth row and column will do: thousands of pixels a slice remain."""


def check_interleaving(slices: Sequence[Instance]) -> None:
    """Check by acquisition number and time that no slice of another scan lies between two others.

    Several acquisitions one behind the other, or each slice its own, are in order.

    Parameters
    ----------
    slices
        From feet to head.

    Raises
    ------
    SeriesRefused
        ``series.interleaved``.
    """
    places: dict[int, list[int]] = defaultdict(list)
    for place, instance in enumerate(slices):
        if instance.acquisition_number is not None:
            places[instance.acquisition_number].append(place)
    ends = sorted((min(found), max(found)) for found in places.values())
    # a slice of overlap between neighbouring acquisitions is a matter of rounding
    if any(last - following > 1 for (_, last), (following, _) in pairwise(ends)):
        raise SeriesRefused(
            CODE,
            f"slices of {len(places)} acquisitions lie between each other; send each acquisition "
            "as a series of its own",
        )
    times = np.array([i.acquisition_time_s for i in slices if i.acquisition_time_s is not None])
    if len(times) < len(slices) or len(slices) < 4:
        return
    spans = sorted((float(half.min()), float(half.max())) for half in (times[::2], times[1::2]))
    pause_s = spans[1][0] - spans[0][1]
    if pause_s >= LEAST_PAUSE_S:
        raise SeriesRefused(
            CODE,
            f"every second slice was acquired {pause_s:.0f} s later than all others: two scans in "
            "one series; send each as a series of its own",
        )


def check_alternation(planes: Sequence[npt.NDArray[np.int16]]) -> None:
    """Check that the brightness of soft tissue does not change to and fro from slice to slice.

    Two scans that differ by contrast agent are found even where the header says nothing.

    Parameters
    ----------
    planes
        int16 HU, shape (rows, columns) each, one a slice: whole or thinned by `COMPARED_STEP`.

    Raises
    ------
    SeriesRefused
        ``series.interleaved``.
    """
    offs = [
        median_off_neighbours(*three, TISSUE_HU)
        for three in zip(planes, planes[1:], planes[2:], strict=False)
    ]
    if len(offs) < 2:
        return
    signs = np.where(np.arange(len(offs)) % 2, -1.0, 1.0)
    alternation_hu = abs(float(np.median(signs * np.array(offs))))
    if alternation_hu > ALTERNATION_HU:
        raise SeriesRefused(
            CODE,
            f"soft tissue is {alternation_hu:.0f} HU brighter in every second slice: two scans in "
            "one series; send each as a series of its own",
        )
