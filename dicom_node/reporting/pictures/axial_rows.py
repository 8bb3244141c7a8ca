"""Rows of axial slices: the vertebral bodies, and the discs with their six muscles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dicom_node.reporting.pictures.axial_framing import (
    AXIAL_CAPTION,
    BODY_FRAMING,
    GAP,
    MUSCLE_STRIP,
    Framing,
    Row,
    axial_view,
)
from dicom_node.reporting.pictures.canvas import (
    BLACK,
    DIM,
    ORANGE,
    SIZE,
    SKY_BLUE,
    WHITE,
    YELLOW,
    Canvas,
    Colour,
    fitted,
    wrapped,
)
from dicom_node.reporting.pictures.ct_views import AxialView
from dicom_node.reporting.words.site_words import MISSING_WORDS
from roi_extraction.features import FeatureVector, SiteMeasurement
from roi_extraction.picture import BONE_WINDOW_HU, MUSCLE_WINDOW_HU, SHORT
from roi_extraction.sites import DiscLevel, Level, Muscle, Side
from roi_extraction.volume import CtVolume

__all__ = [
    "STYLES",
    "draw_body_row",
    "draw_disc_row",
    "draw_row_title",
]

MUSCLE_LEADER: Colour = (210, 210, 210)


@dataclass(frozen=True)
class _Style:
    colour: Colour
    dash: tuple[float, float] | None
    words: str


STYLES = {
    None: _Style(YELLOW, None, "solid"),
    Muscle.PSOAS_MAJOR: _Style(ORANGE, None, "solid"),
    Muscle.LONGISSIMUS: _Style(WHITE, (5.0, 3.0), "dashed"),
    Muscle.TRANSVERSOSPINALIS: _Style(SKY_BLUE, (2.0, 2.0), "dotted"),
}
"""Colour and kind of line of each tissue; the muscles from front to back."""


def draw_row_title(canvas: Canvas, top: int, title: str, mm_per_pixel: float) -> None:
    """Draw the line above a row: what it shows, and its scale."""
    canvas.text((8, top), title, 13, DIM)
    length = 50.0 / mm_per_pixel
    right = SIZE[0] - 10
    canvas.box((right - length, top + 8, right, top + 10), WHITE)
    for column in (right - length, right):
        canvas.box((column - 1, top + 4, column + 1, top + 14), WHITE)
    canvas.text((right - length - 8, top + 9), "5 cm", 13, WHITE, anchor="rm")


def draw_body_row(canvas: Canvas, row: Row, volume: CtVolume, features: FeatureVector) -> None:
    """Draw the six vertebral bodies, each in its middle slice or the one that the row asks for."""
    step = SIZE[0] // len(Level)
    for k, level in enumerate(Level):
        measurement = features.by_name[level]
        left = k * step + GAP // 2
        box = (left, row.top + AXIAL_CAPTION, left + step - GAP, row.bottom)
        hu = f"  {row.hu(measurement):z.0f} HU" if measurement.rois else ""
        view = axial_view(volume, features, [measurement], level, box, row, BODY_FRAMING)
        _draw_caption(canvas, box, f"{level}{hu}", view)
        if view is None:
            _draw_words(canvas, box, [measurement])
            continue
        canvas.picture(box[:2], view.grey(BONE_WINDOW_HU))
        if measurement.rois:
            _draw_region(canvas, box, view, measurement, row.which)
        else:
            canvas.text(
                ((box[0] + box[2]) / 2, box[1] - AXIAL_CAPTION / 2), "–", 15, WHITE, anchor="mm"
            )


def draw_disc_row(
    canvas: Canvas, row: Row, volume: CtVolume, features: FeatureVector, framing: Framing
) -> None:
    """Draw the five discs with the muscles beside them.

    Parameters
    ----------
    canvas
        What is drawn on.
    row
        Where, and which slices.
    volume
        The scan.
    features
        Its sites.
    framing
        What each view shows (`disc_framing`).
    """
    step = SIZE[0] // len(DiscLevel)
    for k, disc in enumerate(DiscLevel):
        found = [m for m in features.measurements if m.site.disc is disc]
        left = k * step + GAP // 2
        box = (
            left + MUSCLE_STRIP,
            row.top + AXIAL_CAPTION,
            left + step - GAP - MUSCLE_STRIP,
            row.bottom,
        )
        view = axial_view(volume, features, found, disc, box, row, framing)
        _draw_caption(canvas, box, str(disc), view)
        if view is None:
            _draw_words(canvas, box, found)
            continue
        canvas.picture(box[:2], view.grey(MUSCLE_WINDOW_HU))
        for side in Side:
            beside = [
                m for muscle in list(STYLES)[1:] for m in found
                if m.site.side is side and m.site.muscle is muscle
            ]  # fmt: skip
            _draw_muscles(canvas, box, view, beside, row)


def _draw_caption(
    canvas: Canvas, box: tuple[int, int, int, int], text: str, view: AxialView | None
) -> None:
    """The sides, the level, and the height of the slice as viewers state it."""
    left, top, right, _ = box
    middle = top - AXIAL_CAPTION / 2
    canvas.text((left + 24, middle), text, 15, WHITE, bold=True, anchor="lm")
    if view is not None:
        canvas.text((left + 2, middle), "R", 15, WHITE, bold=True, anchor="lm")
        canvas.text((right - 20, middle), f"z {view.z_mm:.0f}", 12, DIM, anchor="rm")
        canvas.text((right - 2, middle), "L", 15, WHITE, bold=True, anchor="rm")


def _draw_words(
    canvas: Canvas, box: tuple[int, int, int, int], found: Sequence[SiteMeasurement]
) -> None:
    """Why there is nothing to show, in the place of the slice."""
    left, top, right, bottom = box
    reasons = sorted({MISSING_WORDS[m.missing.reason] for m in found if m.missing})
    words = f"not measured: {', '.join(reasons)}" if reasons else "measured outside these slices"
    for k, line in enumerate(wrapped(words, right - left - 8, 13, 4)):
        canvas.text(((left + right) / 2, (top + bottom) / 2 - 16 + 18 * k), line, 13, DIM,
                    anchor="mm")  # fmt: skip


def _draw_region(
    canvas: Canvas,
    box: tuple[int, int, int, int],
    view: AxialView,
    measurement: SiteMeasurement,
    which: int,
) -> npt.NDArray[np.float64]:
    """Draw a region's outline; its corners in the picture, pixels, shape (n, 2)."""
    style = STYLES[measurement.site.muscle]
    outline = view.pixels(measurement.rois[which].contour_lps_mm) + box[:2]
    canvas.line(outline, BLACK, 3.4, closed=True, clip=box)  # a rim, for bright tissue
    canvas.line(outline, style.colour, 1.8, style.dash, closed=True, clip=box)
    return outline


def _draw_muscles(
    canvas: Canvas,
    box: tuple[int, int, int, int],
    view: AxialView,
    found: Sequence[SiteMeasurement],
    row: Row,
) -> None:
    """The muscles of one side: outlines, and names with HU in the strip beside them."""
    left, top, right, bottom = box
    on_left = found[0].site.side is Side.RIGHT  # of the picture: the patient's right
    edge = left if on_left else right
    outward = -1 if on_left else 1
    step = (bottom - top) / len(found)
    for k, measurement in enumerate(found):
        muscle = measurement.site.muscle
        assert muscle is not None  # of a disc
        style = STYLES[muscle]
        middle = top + (k + 0.5) * step
        column = edge + outward * MUSCLE_STRIP / 2
        canvas.text((column, middle - 1), SHORT[muscle], 13, style.colour, bold=True, anchor="mb")
        if not measurement.rois:
            canvas.text((column, middle + 14), "–", 15, DIM, anchor="ms")
            continue
        value, size = fitted(f"{row.hu(measurement):z.0f}", MUSCLE_STRIP - 8, (15, 13))
        canvas.text((column, middle + 14), value, size, WHITE, anchor="ms")
        outline = _draw_region(canvas, box, view, measurement, row.which)
        lowest = muscle is Muscle.TRANSVERSOSPINALIS  # reached from below, round the longissimus
        start = np.array([edge + outward * 8.0, bottom - 8.0 if lowest else middle])
        distance = -outline[:, 1] if lowest else np.linalg.norm(outline - start, axis=1)
        end = outline[distance.argmin()]
        canvas.line([start, end], MUSCLE_LEADER, 0.8)
        canvas.box((end[0] - 1, end[1] - 1, end[0] + 2, end[1] + 2), MUSCLE_LEADER)
