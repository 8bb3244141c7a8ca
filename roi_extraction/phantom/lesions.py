"""Sclerosis, osteophytes, cement and screws, painted on the finished vertebrae."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roi_extraction.phantom.canvas import Array, Canvas, Patch
from roi_extraction.phantom.frame import Frame
from roi_extraction.phantom.metal import add_streaks
from roi_extraction.phantom.pathology import Cement, Osteophyte, Pathology, Sclerosis, Screws
from roi_extraction.phantom.shapes import capsule, ellipse, ellipsoid, intersect, unite
from roi_extraction.phantom.spine import Spine
from roi_extraction.phantom.vertebrae import ARCH_MM, SHELL_MM, VERTEBRA_NUMBERS, body_faces

__all__ = ["paint_lesions"]

SPUR_HU = 420.0
"""HU of an osteophyte."""

SPUR_REACH_MM = 7.0
"""How far from the disc a spur starts on the wall of the body, mm."""

CEMENT_BLOBS = 9
"""Of how many ellipsoids a filling of cement is made."""

SCREW_RADIUS_MM, ROD_RADIUS_MM, HEAD_RADIUS_MM = 3.0, 2.75, 6.0
"""Half-thickness of a pedicle screw, of a rod and of a screw's head, mm."""


def paint_lesions(canvas: Canvas, spine: Spine, pathology: Pathology, seed: int) -> None:
    """Paint what ``pathology`` asks for inside and around the vertebrae.

    ``seed`` decides where in a body a focal lesion lies and which shape cement has.
    """
    for place, osteophyte in enumerate(pathology.osteophytes):
        _paint_osteophyte(canvas, spine, osteophyte, np.random.default_rng([seed, 41, place]))
    for place, sclerosis in enumerate(pathology.sclerosis):
        _paint_sclerosis(canvas, spine, sclerosis, np.random.default_rng([seed, 42, place]))
    for place, cement in enumerate(pathology.cement):
        _paint_cement(canvas, spine, cement, np.random.default_rng([seed, 43, place]))
    if pathology.screws is not None:
        _paint_screws(canvas, spine, pathology.screws, np.random.default_rng([seed, 44]))


def _paint_osteophyte(
    canvas: Canvas, spine: Spine, osteophyte: Osteophyte, rng: np.random.Generator
) -> None:
    disc = spine.discs[osteophyte.disc]
    reach = SPUR_REACH_MM * spine.bone_scale
    out = osteophyte.size_mm * spine.bone_scale
    patch = _patch(canvas, disc, disc.width_mm / 2 + out + 4, reach + disc.height_mm)
    if patch is None:
        return
    a, b, c = disc.local(patch)
    side = ellipse(a, b, disc.width_mm / 2, disc.depth_mm / 2, 2.5)
    half = disc.height_mm / 2 + reach
    # A claw: thick at its root on either body, arched over the disc, thinner where it meets.
    height = np.clip(np.abs(c) / half, 0.0, 1.0)
    arch = out * np.sqrt(1.0 - height**2)
    # Two ridges, in front and at the side of each half, differing a little between the sides.
    turn = np.arctan2(np.abs(a), -b)
    centre = np.where(a < 0, *rng.uniform(0.9, 1.35, 2))
    width = np.where(a < 0, *rng.uniform(0.45, 0.75, 2))
    ridge = np.clip(1.0 - ((turn - centre) / width) ** 2, 0.0, 1.0)
    thick = (1.6 + 2.2 * height) * np.sqrt(ridge) * spine.bone_scale
    shell = np.maximum(side - arch * ridge, -side - 2.0)
    shell = np.maximum(shell, arch * ridge - 2.0 * thick - side)
    spur = intersect(shell, np.abs(c) - half, np.where(ridge > 0.05, -50.0, 50.0))
    if not osteophyte.bridging:
        spur = intersect(spur, 0.25 * disc.height_mm - np.abs(c))
    canvas.paint(patch, spur, SPUR_HU)
    inside = (spur < 0) & (canvas.labels[patch.index] == 0)
    upper, lower = disc.name.split("-")
    above = np.broadcast_to(c > 0, inside.shape)
    canvas.labels[patch.index][inside & above] = VERTEBRA_NUMBERS[upper]
    canvas.labels[patch.index][inside & ~above] = VERTEBRA_NUMBERS[lower]


def _paint_sclerosis(
    canvas: Canvas, spine: Spine, sclerosis: Sclerosis, rng: np.random.Generator
) -> None:
    if sclerosis.radius_mm is None:
        return
    frame = spine.bodies[sclerosis.level]
    patch = _patch(canvas, frame, frame.width_mm / 2 + 2, frame.height_mm)
    if patch is None:
        return
    a, b, c = frame.local(patch)
    radius = sclerosis.radius_mm
    # Anywhere in the middle half of the body, with room for the spot.
    room = np.array([frame.width_mm, frame.depth_mm, frame.height_mm]) / 2 - radius - 2 * SHELL_MM
    at = rng.uniform(-1.0, 1.0, 3) * np.maximum(room, 0.0) * (0.7, 0.7, 0.6)
    spot = ellipsoid(a - at[0], b - at[1], c - at[2], (radius,) * 3)
    inside = canvas.alpha(np.maximum(spot, body_faces(frame, patch).core(SHELL_MM)))
    canvas.hu[patch.index] += np.float32(sclerosis.gain_hu) * inside


def _paint_cement(canvas: Canvas, spine: Spine, cement: Cement, rng: np.random.Generator) -> None:
    frame = spine.bodies[cement.level]
    patch = _patch(canvas, frame, frame.width_mm / 2 + 2, frame.height_mm)
    if patch is None:
        return
    a, b, c = frame.local(patch)
    core = body_faces(frame, patch).core(SHELL_MM)
    # Blobs around two injections, right and left, in the front half; they overlap by about half.
    radius = (cement.volume_ml * 1000.0 * 1.7 / CEMENT_BLOBS * 3.0 / (4.0 * np.pi)) ** (1.0 / 3.0)
    blobs = []
    for i in range(CEMENT_BLOBS):
        side = 0.2 * frame.width_mm * (-1) ** i
        at = (side, -0.12 * frame.depth_mm, 0.0) + rng.normal(0.0, 0.7 * radius, 3) * (1, 1, 0.6)
        radii = radius * rng.uniform(0.7, 1.4, 3)
        blobs.append(
            ellipsoid(a - at[0], b - at[1], c - at[2], (radii[0], radii[1], 0.9 * radii[2]))
        )
    rough = _smooth(canvas, core.shape, rng, 2.0)
    sdf = np.maximum(unite(*blobs) + 1.6 * rough, core)
    hu = cement.hu * np.clip(1.0 + 0.35 * _smooth(canvas, core.shape, rng, 1.6), 0.3, 2.0)
    canvas.paint(patch, sdf.astype(np.float32), hu.astype(np.float32))


def _paint_screws(canvas: Canvas, spine: Spine, screws: Screws, rng: np.random.Generator) -> None:
    k = spine.bone_scale
    metal = np.zeros(canvas.hu.shape, np.bool_)
    order = [name for name in spine.bodies if name in screws.levels]
    for sign in (-1, 1):
        previous = None
        for name in order:
            frame = spine.bodies[name]
            canal, pedicle = (k * size for size in ARCH_MM[name][:2])
            middle, back, h = canal + 0.5 * k + pedicle, frame.depth_mm / 2, frame.height_mm
            head = frame.to_lps((sign * (middle + 5.0 * k), back + 30.0 * k, 0.3 * h))
            entry = frame.to_lps((sign * (middle + 3.0 * k), back + 21.0 * k, 0.26 * h))
            tip = frame.to_lps((sign * 0.45 * middle, -0.22 * frame.depth_mm, 0.1 * h))
            parts = [(entry, tip, SCREW_RADIUS_MM), (entry, head, HEAD_RADIUS_MM)]
            if previous is not None:
                parts.append((previous, head, ROD_RADIUS_MM))
            previous = head
            for start, end, radius in parts:
                _paint_rod(canvas, start, end, radius * k, screws.hu, metal)
    if screws.streak_hu > 0:
        add_streaks(canvas, metal, screws.streak_hu, rng)


def _paint_rod(
    canvas: Canvas,
    start: npt.NDArray[np.float64],
    end: npt.NDArray[np.float64],
    radius_mm: float,
    hu: float,
    metal: npt.NDArray[np.bool_],
) -> None:
    low, high = np.minimum(start, end) - radius_mm - 2, np.maximum(start, end) + radius_mm + 2
    patch = canvas.patch((low[0], high[0], low[1], high[1], low[2], high[2]))
    if patch is None:
        return
    rod = capsule(patch.x, patch.y, patch.z, start.tolist(), end.tolist(), radius_mm)
    canvas.paint(patch, rod, hu)
    metal[patch.index] |= rod < 0


def _patch(canvas: Canvas, frame: Frame, aside_mm: float, up_mm: float) -> Patch | None:
    return canvas.patch((
        frame.x_mm - aside_mm, frame.x_mm + aside_mm,
        frame.y_mm - aside_mm, frame.y_mm + aside_mm,
        frame.z_mm - up_mm - 0.4 * frame.depth_mm, frame.z_mm + up_mm + 0.4 * frame.depth_mm,
    ))  # fmt: skip


def _smooth(
    canvas: Canvas, shape: tuple[int, ...], rng: np.random.Generator, grain_mm: float
) -> Array:
    """Return noise of unit SD, smooth over ``grain_mm``."""
    field = rng.standard_normal(shape, dtype=np.float32)
    sizes = (grain_mm / canvas.step_mm, grain_mm / canvas.pixel_mm, grain_mm / canvas.pixel_mm)
    field = ndimage.gaussian_filter(field, sizes)
    return np.asarray(field / max(float(field.std()), 1e-6), np.float32)
