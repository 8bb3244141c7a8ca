"""Puts the phantom together: paints the patient, adds noise, keeps the truth."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roi_extraction.phantom.canvas import Canvas
from roi_extraction.phantom.lesions import paint_lesions
from roi_extraction.phantom.muscles import MUSCLE_NUMBER, paint_muscles, paint_pelvic_muscles
from roi_extraction.phantom.organs import paint_organs, paint_vessels
from roi_extraction.phantom.parameters import PhantomParameters
from roi_extraction.phantom.pathology import NATIVE_AORTA_HU, NATIVE_VEIN_HU
from roi_extraction.phantom.pelvis import paint_ilia, paint_sacrum
from roi_extraction.phantom.spine import Spine, build_spine
from roi_extraction.phantom.trunk import paint_ribs, paint_table, paint_trunk
from roi_extraction.phantom.vertebrae import (
    VERTEBRA_NUMBERS,
    paint_canal,
    paint_disc,
    paint_vertebra,
)
from roi_extraction.sites import SITES, Level, Side, Site
from roi_extraction.volume import CtVolume

__all__ = ["Phantom", "PhantomTruth", "make_phantom"]

NOISE_GRAIN_MM = 0.65
"""Gaussian sigma of the noise's correlation in plane, mm: a soft-tissue kernel."""

ASYMMETRY = 0.05
"""How much a side's muscles may be narrower or wider than usual, as a share."""

CENTRE_Y_MM = -18.0
"""Where the middle of the field lies, behind the centre of L3, mm."""


@dataclass(frozen=True, eq=False)
class PhantomTruth:
    """What is known about a phantom.

    Parameters
    ----------
    hu
        True HU by site name. Of a body with a finding it is that of its trabecular bone outside
        focal sclerosis, cement and metal, compaction and diffuse sclerosis included.
    body_centres_lps_mm, body_axes
        Centre and unit axis (towards the head) of each vertebral body, LPS; T12 to T9 included.
    disc_centres_lps_mm, disc_axes
        The same of the discs, by name (``T12-L1`` .. ``L5-S1``).
    canal_lps_mm
        float64, shape (n, 3): the canal's centre line from feet to head, inside the scan.
    area_mm2
        Area of each site's tissue in the slice nearest to its body's or disc's centre, mm2; 0 if
        that slice is outside the scan. A site may be too small for a region of interest.
    lumbar_vertebrae
        How many vertebrae without ribs there are. All names count from the sacrum: with six, the
        vertebra called T12 has no ribs; with four, the one called L1 has.
    ribs
        Number of the ribs that hang on a vertebra, by the vertebra's name; empty without ribs.
    findings
        ``fracture``, ``sclerosis``, ``cement`` and ``screws`` by the name of the vertebra. The
        HU of these bodies tells little about bone density.
    aorta_hu
        HU of the blood in the aorta; None without aorta.
    """

    hu: Mapping[str, float]
    body_centres_lps_mm: Mapping[str, npt.NDArray[np.float64]]
    body_axes: Mapping[str, npt.NDArray[np.float64]]
    disc_centres_lps_mm: Mapping[str, npt.NDArray[np.float64]]
    disc_axes: Mapping[str, npt.NDArray[np.float64]]
    canal_lps_mm: npt.NDArray[np.float64]
    area_mm2: Mapping[str, float]
    lumbar_vertebrae: int
    ribs: Mapping[str, int]
    findings: Mapping[str, tuple[str, ...]]
    aorta_hu: float | None


@dataclass(frozen=True, eq=False)
class Phantom:
    """A scan of an invented patient with its truth.

    Parameters
    ----------
    volume
        The scan, int16.
    labels
        uint8, the volume's shape: numbering of TotalSegmentator's task ``total`` version 2 (26 S1,
        27 L5 .. 31 L1, 32 T12, 33 T11, 34 T10, 25 rest of the sacrum, 86/87 autochthon left/right,
        88/89 iliopsoas left/right), 0 elsewhere.
    body_labels
        uint8, likewise: 1 vertebral body without its arch, 2 disc.
    muscle_labels
        uint8, likewise: 1 transversospinalis, 2 longissimus, 3 psoas of the right side, 4 to 6 of
        the left, as in the sites' names.
    truth
        What it was made from.
    parameters
        What it was asked for.
    """

    volume: CtVolume
    labels: npt.NDArray[np.uint8]
    body_labels: npt.NDArray[np.uint8]
    muscle_labels: npt.NDArray[np.uint8]
    truth: PhantomTruth
    parameters: PhantomParameters


def make_phantom(parameters: PhantomParameters, seed: int = 0) -> Phantom:
    """Make a scan; the same parameters and seed give the same voxels.

    Parameters
    ----------
    parameters
        The patient and the scan.
    seed
        Decides the noise, the textures and the course of the bowel.

    Raises
    ------
    ValueError
        The asked coverage leaves no slice.
    """
    spine = build_spine(parameters)
    canvas = _canvas(parameters, spine)
    hu = parameters.hu_by_site
    texture = parameters.texture

    def grain(part: int) -> np.random.Generator | None:
        return np.random.default_rng([seed, part]) if texture else None

    paint_trunk(canvas, spine)
    pathology = parameters.pathology
    gain = (pathology.aorta_hu - NATIVE_AORTA_HU + pathology.vein_hu - NATIVE_VEIN_HU) / 2
    paint_organs(canvas, spine, parameters.bowel_gas, np.random.default_rng([seed, 1]), gain)
    if parameters.aorta:
        paint_vessels(canvas, spine, pathology, np.random.default_rng([seed, 7]))
    if parameters.ilia:
        paint_pelvic_muscles(canvas, spine, grain(2))
        paint_ilia(canvas, spine, hu["S1"], grain(3))
    muscles = {site: hu[site.name] for site in SITES if not site.is_vertebra}
    sides = np.random.default_rng([seed, 6]).uniform(-ASYMMETRY, ASYMMETRY, 2)
    girth = {Side.RIGHT: 1.0 + float(sides[0]), Side.LEFT: 1.0 + float(sides[1])}
    paint_muscles(canvas, spine, muscles, parameters.fat_infiltration, girth, grain(4))
    if parameters.ribs:
        paint_ribs(canvas, spine, pathology)
    paint_canal(canvas, spine)
    for disc in spine.discs.values():
        paint_disc(canvas, spine, disc)
    paint_sacrum(canvas, spine, hu["S1"], parameters.ilia, grain(5))
    body_hu = _body_hu(parameters, spine)
    for number, name in enumerate(spine.bodies, start=9):
        if name != "S1":
            paint_vertebra(canvas, spine, name, body_hu[name], grain(number))
    paint_lesions(canvas, spine, pathology, seed)
    if parameters.table:
        paint_table(canvas, spine)
    _add_noise(canvas, parameters.noise_sd_hu, np.random.default_rng([seed, 30]))
    # Bone hides the muscle that was painted below it.
    canvas.muscle_labels[(canvas.labels < 86) | (canvas.body_labels > 0)] = 0
    affine = np.zeros((4, 4))
    affine[2, 0] = canvas.step_mm
    affine[1, 1] = affine[0, 2] = canvas.pixel_mm
    affine[:3, 3] = canvas.x[0], canvas.y[0], canvas.z[0]
    affine[3, 3] = 1.0
    np.rint(canvas.hu, out=canvas.hu)
    volume = CtVolume(
        np.clip(canvas.hu, -1024, 3071).astype(np.int16), affine, parameters.slice_thickness_mm
    )
    for array in (canvas.labels, canvas.body_labels, canvas.muscle_labels):
        array.setflags(write=False)
    return Phantom(
        volume, canvas.labels, canvas.body_labels, canvas.muscle_labels,
        _truth(parameters, spine, canvas), parameters,
    )  # fmt: skip


def _canvas(parameters: PhantomParameters, spine: Spine) -> Canvas:
    bottom = spine.bodies["S1"].z_mm - parameters.below_s1_mm
    top = spine.bodies["L1"].z_mm + parameters.above_l1_mm
    slices = int(np.floor((top - bottom) / parameters.slice_step_mm)) + 1
    if slices < 1:
        raise ValueError("above_l1_mm and below_s1_mm leave no slice")
    pixel = parameters.pixel_mm
    left, back = parameters.field_offset_mm
    x0 = left - pixel * (parameters.columns - 1) / 2
    y0 = back + CENTRE_Y_MM * spine.scale - pixel * (parameters.rows - 1) / 2
    return Canvas(
        (x0, y0, bottom), (slices, parameters.rows, parameters.columns),
        parameters.slice_step_mm, pixel, parameters.slice_thickness_mm,
    )  # fmt: skip


def _add_noise(canvas: Canvas, sd_hu: float, rng: np.random.Generator) -> None:
    if sd_hu <= 0:
        return
    sigma = max(NOISE_GRAIN_MM / canvas.pixel_mm, 0.35)
    for k in range(canvas.hu.shape[0]):
        noise = rng.standard_normal(canvas.hu.shape[1:], dtype=np.float32)
        noise = ndimage.gaussian_filter(noise, sigma, mode="wrap", truncate=3.0)
        canvas.hu[k] += noise * np.float32(sd_hu / noise.std())


def _truth(parameters: PhantomParameters, spine: Spine, canvas: Canvas) -> PhantomTruth:
    canal_z = np.arange(float(canvas.z[0]), float(canvas.z[-1]) + 1e-3, 1.0)
    y = spine.line(canal_z.astype(np.float32), 8.5 * spine.bone_scale).astype(np.float64)
    x = spine.lateral(canal_z.astype(np.float32)).astype(np.float64)
    body_hu = _body_hu(parameters, spine)
    return PhantomTruth(
        hu={**parameters.hu_by_site, **{level.value: body_hu[level.value] for level in Level}},
        body_centres_lps_mm={name: f.centre_lps_mm for name, f in spine.bodies.items()},
        body_axes={name: f.axis for name, f in spine.bodies.items()},
        disc_centres_lps_mm={name: f.centre_lps_mm for name, f in spine.discs.items()},
        disc_axes={name: f.axis for name, f in spine.discs.items()},
        canal_lps_mm=np.stack([x, y, canal_z], axis=1),
        area_mm2={site.name: _area_mm2(site, spine, canvas) for site in SITES},
        lumbar_vertebrae=parameters.pathology.lumbar_vertebrae,
        ribs=spine.ribs if parameters.ribs else {},
        findings=parameters.pathology.findings,
        aorta_hu=parameters.pathology.aorta_hu if parameters.aorta else None,
    )


def _body_hu(parameters: PhantomParameters, spine: Spine) -> dict[str, float]:
    """Return the trabecular HU of every body."""
    usual = parameters.hu_by_site
    return {
        name: usual.get(name, usual["L1"] + 8.0) + parameters.pathology.gain_hu(name)
        for name in spine.bodies
    }


def _area_mm2(site: Site, spine: Spine, canvas: Canvas) -> float:
    frame = {**spine.bodies, **spine.discs}[str(site.level or site.disc)]
    k = round((frame.z_mm - float(canvas.z[0])) / canvas.step_mm)
    if not 0 <= k < canvas.z.size:
        return 0.0
    if site.level is not None:
        inside = (canvas.body_labels[k] == 1) & (canvas.labels[k] == VERTEBRA_NUMBERS[site.level])
    elif site.side is not None and site.muscle is not None:
        inside = canvas.muscle_labels[k] == MUSCLE_NUMBER[site.side, site.muscle]
    return float(inside.sum()) * canvas.pixel_mm**2
