"""A segmenter's result: where the spine lies and where each site's ROI may be placed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from roi_extraction.sites import DiscLevel, Level, Side
from roi_extraction.volume import CtVolume

__all__ = [
    "Anatomy",
    "Finding",
    "Landmark",
    "LevelNaming",
    "Missing",
    "MissingReason",
    "NamingRoute",
    "Plane",
    "Region",
    "RegionSlice",
    "Segmenter",
    "SegmenterIdentity",
    "SpineLandmarks",
]


class MissingReason(StrEnum):
    """Why a site has no value."""

    TOO_SMALL = "too_small"
    OUTSIDE_SCAN = "outside_scan"
    NOT_FOUND = "not_found"
    NOT_SEGMENTED = "not_segmented"
    METAL = "metal"
    FATTY = "fatty"
    IMPLAUSIBLE = "implausible"
    SLICES_DISAGREE = "slices_disagree"
    LEFT_OUT = "left_out"


@dataclass(frozen=True)
class Missing:
    """A site without a value, and why."""

    reason: MissingReason
    detail: str = ""


@dataclass(frozen=True)
class Finding:
    """What the reader of a report should know: a stable code and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, eq=False)
class Landmark:
    """A body's or a disc's centre.

    Parameters
    ----------
    centre_lps_mm
        float64, shape (3,), LPS mm.
    axis
        float64, shape (3,): unit vector along the spine (towards the head), normal to the disc
        or to the body's mid-plane.
    confidence
        0 (guessed) to 1 (certain).
    """

    centre_lps_mm: npt.NDArray[np.float64]
    axis: npt.NDArray[np.float64]
    confidence: float


class NamingRoute(StrEnum):
    """What the levels were named from."""

    SACRUM = "sacrum"
    RIBS_PAIR = "ribs_pair"
    RIBS_COUNT = "ribs_count"


@dataclass(frozen=True)
class LevelNaming:
    """How the levels were named.

    Parameters
    ----------
    route
        From the sacrum upwards; or from the 12th ribs downwards, known by their length beside the
        11th (``RIBS_PAIR``) or by counting twelve pairs from the first (``RIBS_COUNT``).
    rib_lengths_mm
        Length of the 11th and 12th ribs by number and side, mm from 20 mm lateral of the spine, as
        far as the scan shows them; empty where they are of no use.
    rib_pairs
        How many neighbouring pairs of ribs were followed to the spine.
    pairs_counted
        Whether twelve pairs were counted from the first; else twelve are assumed.
    """

    route: NamingRoute
    rib_lengths_mm: Mapping[tuple[int, Side], float] = field(default_factory=dict)
    rib_pairs: int = 0
    pairs_counted: bool = False

    @property
    def confirmed_by_ribs(self) -> bool:
        """Whether the levels were counted from the sacrum, and the last ribs agree."""
        return self.route is NamingRoute.SACRUM and bool(self.rib_lengths_mm)


@dataclass(frozen=True, eq=False)
class SpineLandmarks:
    """The named lumbar spine.

    Parameters
    ----------
    canal_lps_mm
        float64, shape (n, 3): the canal's centre line from feet to head, LPS mm, about 1 mm apart.
    bodies, discs
        What was found; a level that was not found is absent.
    confidence
        Confidence of the naming as a whole, 0 to 1.
    findings
        What the reader should know about the naming.
    naming
        How the levels were named; None where labels name them.
    """

    canal_lps_mm: npt.NDArray[np.float64]
    bodies: Mapping[Level, Landmark]
    discs: Mapping[DiscLevel, Landmark]
    confidence: float
    findings: tuple[Finding, ...] = ()
    naming: LevelNaming | None = None


@dataclass(frozen=True, eq=False)
class RegionSlice:
    """The part of one slice in which a ROI may lie.

    Parameters
    ----------
    index
        The slice's index in the volume: the centre of the effective slice.
    mask
        bool, shape (rows, columns) of the volume.
    """

    index: int
    mask: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane that bounds a tissue.

    Parameters
    ----------
    point_lps_mm
        float64, shape (3,): a point of it, LPS mm.
    normal
        float64, shape (3,): unit vector into the tissue.
    """

    point_lps_mm: npt.NDArray[np.float64]
    normal: npt.NDArray[np.float64]

    def height_mm(self, lps_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """How far points, shape (..., 3), lie inside, mm; negative outside."""
        height: npt.NDArray[np.float64] = (lps_mm - self.point_lps_mm) @ self.normal
        return height


@dataclass(frozen=True, eq=False)
class Region:
    """Where one site's ROI may lie: the tissue's own extent in its three central slices.

    The masks are the tissue itself (a vertebral body with its cortex, a muscle within its
    fascia); placement keeps the margins.

    Parameters
    ----------
    slices
        From feet to head.
    ends
        A body's endplates, as far as they were seen.
    """

    slices: tuple[RegionSlice, RegionSlice, RegionSlice]
    ends: tuple[Plane, ...] = ()


@dataclass(frozen=True)
class SegmenterIdentity:
    """The segmenter that found an anatomy: its name and version, as reported."""

    name: str
    version: str


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The result of a segmenter: landmarks, and a region or a reason for each of the 36 sites."""

    segmenter: SegmenterIdentity
    spine: SpineLandmarks
    regions: Mapping[str, Region | Missing]
    findings: tuple[Finding, ...] = field(default=())


class Segmenter(Protocol):
    """Finds the lumbar spine and its muscles in a volume."""

    @property
    def identity(self) -> SegmenterIdentity:
        """Name and version, as reported."""

    def segment(self, volume: CtVolume) -> Anatomy:
        """Localise the 36 sites; a `RoiError` says why a scan cannot be used."""
