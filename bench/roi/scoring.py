"""One case measured and held against its labels."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bench.roi.scans import MovedScan
from roi_extraction import (
    CtVolume,
    FeatureVector,
    Missing,
    Region,
    RegionSlice,
    RoiError,
    SiteMeasurement,
    extract,
)
from roi_extraction.builtin import BuiltinSegmenter
from roi_extraction.measurement import measure_roi
from roi_extraction.phantom import PhantomTruth
from roi_extraction.placement import place_site

__all__ = ["MISNAMED_MM", "Score", "SiteScore", "measured", "misnamed_or_told", "score"]

MISNAMED_MM = 12.0
"""A body or disc farther than this from the label of its name is misnamed: a third of a level."""

S1_MISNAMED_MM = 20.0
"""The same for S1, whose label ends where its body passes into the alae, mm."""

ERODED_MM = 4.0
"""How far a body's label is eroded, in all directions, for its reference, mm: as far as ROIs stay
from walls and endplates."""


@dataclass(frozen=True)
class SiteScore:
    """One site of one case.

    Parameters
    ----------
    inside
        Share of each of the three ROIs in the label.
    eroded_hu
        Mean of the label, eroded by `ERODED_MM`, in the same slices; None without a label.
    label_placed_hu
        Of the same placing in the label in the same slices; None where nothing fits.
    altered
        Fracture, cement and the like in a phantom's body.
    """

    name: str
    mean_hu: float | None
    reason: str | None
    flags: tuple[str, ...] = ()
    inside: tuple[float, ...] = ()
    vessel: float = 0.0
    eroded_hu: float | None = None
    label_placed_hu: float | None = None
    true_hu: float | None = None
    altered: tuple[str, ...] = ()


@dataclass(frozen=True)
class Score:
    """One case: ``outcome`` is ``right``, ``wrong`` or ``refused``."""

    case: str
    group: str
    changes: str
    complete: bool
    outcome: str
    message: str = ""
    confidence: float | None = None
    findings: tuple[str, ...] = ()
    disc_mm: Mapping[str, float] = field(default_factory=dict)
    disc_along_mm: Mapping[str, float] = field(default_factory=dict)
    body_mm: Mapping[str, float] = field(default_factory=dict)
    sites: tuple[SiteScore, ...] = ()
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def measured(volume: CtVolume) -> tuple[FeatureVector | RoiError, float]:
    """The features or the refusal, and the seconds that it took."""
    started = time.perf_counter()
    try:
        return extract(volume, BuiltinSegmenter()), time.perf_counter() - started
    except RoiError as error:
        return error, time.perf_counter() - started


def score(
    scan: MovedScan,
    result: FeatureVector | RoiError,
    seconds: float,
    truth: PhantomTruth | None,
    **case: Any,
) -> Score:
    """Hold a result against the labels of the scan."""
    if isinstance(result, RoiError):
        message = f"{result.code}: {result}"
        return Score(outcome="refused", message=message, seconds=seconds, **case)
    centres = {name: scan.from_source(p) for name, p in scan.source.centres_mm.items()}
    found = [*result.spine.bodies.items(), *result.spine.discs.items()]
    away = {
        str(name): float(np.linalg.norm(landmark.centre_lps_mm - centres[str(name)]))
        for name, landmark in found
        if str(name) in centres
    }
    along = {
        str(name): float(abs((disc.centre_lps_mm - centres[str(name)]) @ disc.axis))
        for name, disc in result.spine.discs.items()
        if str(name) in centres
    }
    # without divided bodies the label's centre lies towards the canal
    spare = 0.0 if scan.source.bodies_divided else 12.0
    misnamed = [
        name
        for name, mm in away.items()
        if mm > spare + (S1_MISNAMED_MM if name == "S1" else MISNAMED_MM)
    ]
    sites = tuple(_site(scan, m, truth) for m in result.measurements)
    return Score(
        outcome="wrong" if misnamed else "right",
        message=", ".join(f"{name} {away[name]:.0f} mm off" for name in misnamed),
        confidence=result.spine.confidence,
        findings=tuple(finding.code for finding in result.findings),
        disc_mm={name: mm for name, mm in away.items() if "-" in name},
        disc_along_mm=along,
        body_mm={name: mm for name, mm in away.items() if "-" not in name},
        sites=sites,
        seconds=seconds,
        **case,
    )


def misnamed_or_told(result: FeatureVector | RoiError, seconds: float, **case: Any) -> Score:
    """Judge a scan whose names must be shifted: it is refused, or the reader is told."""
    if isinstance(result, RoiError):
        message = f"{result.code}: {result}"
        return Score(outcome="refused", message=message, seconds=seconds, **case)
    told = [finding.code for finding in result.findings if finding.code.startswith("levels.")]
    outcome, message = ("right", ", ".join(told)) if told else ("wrong", "names shifted silently")
    return Score(outcome=outcome, message=message, seconds=seconds, **case)


def _site(scan: MovedScan, found: SiteMeasurement, truth: PhantomTruth | None) -> SiteScore:
    site = found.site
    altered = () if truth is None else tuple(truth.findings.get(site.name, ()))
    if found.missing is not None:
        return SiteScore(site.name, None, str(found.missing.reason), altered=altered)
    if site.level is not None:
        mask = scan.source.body.get(site.level)
    elif site.muscle is not None and site.side is not None:
        mask = scan.source.muscle.get((site.muscle, site.side))
    inside: tuple[float, ...] = ()
    points = [_interior(roi.contour_lps_mm) for roi in found.rois]
    if mask is not None and mask.any():
        inside = tuple(scan.share_inside(mask, p) for p in points)
    eroded = placed = None
    if site.level is not None and mask is not None and mask.any():
        eroded, placed = _references(scan, found, mask)
    return SiteScore(
        name=site.name,
        mean_hu=found.mean_hu,
        reason=None,
        flags=tuple(finding.code for finding in found.findings),
        inside=inside,
        vessel=max(scan.share_inside(scan.source.vessel, p) for p in points),
        eroded_hu=eroded,
        label_placed_hu=placed,
        true_hu=None if truth is None else truth.hu[site.name],
        altered=altered,
    )


def _interior(contour_lps_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Points evenly spread over the area of an ellipse, from its contour."""
    centre = contour_lps_mm.mean(axis=0)
    shares = np.sqrt((np.arange(12) + 0.5) / 12)
    return np.concatenate([centre + share * (contour_lps_mm - centre) for share in shares])


def _references(
    scan: MovedScan, found: SiteMeasurement, mask: npt.NDArray[np.bool_]
) -> tuple[float | None, float | None]:
    source = scan.source.volume
    (box,) = ndimage.find_objects(mask.astype(np.int8))
    body = np.pad(mask[box], 1)
    first = np.array([part.start - 1 for part in box])
    depth_mm = ndimage.distance_transform_edt(body, sampling=source.spacing_mm)
    depth_mm -= 0.5 * float(source.spacing_mm.min())
    means, parts = [], []
    for roi in found.rois:
        rows, columns = np.indices(scan.volume.shape[1:])
        index = np.stack([np.full_like(rows, roi.slice_index), rows, columns], axis=-1)
        place = source.to_index(scan.in_source(scan.volume.to_lps(index))) - first
        at = np.moveaxis(place, -1, 0)
        deep = ndimage.map_coordinates(depth_mm, at, order=1) >= ERODED_MM
        plane = ndimage.map_coordinates(body.astype(np.float32), at, order=1) >= 0.5
        if not deep.any():
            return None, None
        means.append(float(scan.volume.effective_slice(roi.slice_index)[deep].mean()))
        parts.append(RegionSlice(roi.slice_index, plane))
    placed = place_site(scan.volume, found.site, Region((parts[0], parts[1], parts[2])))
    if isinstance(placed, Missing):
        return float(np.mean(means)), None
    hu = [measure_roi(scan.volume, ellipse).mean_hu for ellipse in placed]
    return float(np.mean(means)), float(np.mean(hu))
