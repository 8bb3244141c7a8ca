"""A picture of all ROIs: reformats with the named levels, and every site's central slice."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from roi_extraction.anatomy import Landmark
from roi_extraction.features import FeatureVector, SiteMeasurement
from roi_extraction.sites import DiscLevel, Level, Muscle, Side
from roi_extraction.volume import CtVolume

__all__ = ["FOOTER", "render_rois"]

FOOTER = "Research use only, not a medical device"

MUSCLE_WINDOW_HU = (-160.0, 240.0)
"""Width 400, level 40: soft tissue."""

BONE_WINDOW_HU = (-250.0, 650.0)
"""Width 900, level 200: trabecular bone and its cortex."""

BODY_CROP_MM = (38.0, 62.0, 48.0)
"""Shown in front of, behind and beside a body's centre, mm."""

MUSCLE_CROP_MM = (55.0, 100.0, 88.0)
"""Shown in front of, behind and beside a disc's centre, mm."""

ROI_COLOURS = {
    None: "#ffd23f",
    Muscle.TRANSVERSOSPINALIS: "#3ddcff",
    Muscle.LONGISSIMUS: "#7CFC6B",
    Muscle.PSOAS_MAJOR: "#ff8c42",
}
SHORT = {
    Muscle.TRANSVERSOSPINALIS: "TS",
    Muscle.LONGISSIMUS: "LO",
    Muscle.PSOAS_MAJOR: "PM",
}

WIDTH_IN, PICTURE_DPI = 16.0, 100


def render_rois(
    volume: CtVolume, features: FeatureVector, path: Path | None = None, title: str = ""
) -> bytes:
    """Draw the ROIs of one scan.

    Parameters
    ----------
    volume
        The scan that was measured.
    features
        Its 36 sites.
    path
        Where to write the PNG as well, or None.
    title
        The heading.

    Returns
    -------
    png
        The picture as PNG, 1600 pixels wide; the patient's right is on its left.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, 17.2), dpi=PICTURE_DPI, facecolor="black")
    canvas = FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        4, 12, height_ratios=(1.05, 0.62, 0.98, 0.98), left=0.01, right=0.99, top=0.955,
        bottom=0.035, hspace=0.04, wspace=0.06,
    )  # fmt: skip
    figure.suptitle(title or "Regions of interest", color="white", fontsize=15, y=0.985)
    figure.text(0.5, 0.008, FOOTER, color="white", ha="center", fontsize=12)
    _draw_reformat(figure.add_subplot(grid[0, 0:3]), volume, features, lateral=True)
    _draw_reformat(figure.add_subplot(grid[0, 3:6]), volume, features, lateral=False)
    _draw_table(figure.add_subplot(grid[0, 6:12]), features)
    for k, level in enumerate(Level):
        axes = figure.add_subplot(grid[1, 2 * k : 2 * k + 2])
        found = [features.by_name[str(level)]]
        landmark = features.spine.bodies.get(level)
        centre = None if landmark is None else landmark.centre_lps_mm
        _draw_axial(axes, volume, found, centre, str(level), BONE_WINDOW_HU, BODY_CROP_MM)
    for k, disc in enumerate(DiscLevel):
        row, column = divmod(k, 3)
        axes = figure.add_subplot(grid[2 + row, 4 * column : 4 * column + 4])
        found = [m for m in features.measurements if m.site.disc is disc]
        landmark = features.spine.discs.get(disc)
        centre = None if landmark is None else landmark.centre_lps_mm
        _draw_axial(axes, volume, found, centre, str(disc), MUSCLE_WINDOW_HU, MUSCLE_CROP_MM)
    _draw_findings(figure.add_subplot(grid[3, 8:12]), features)
    buffer = BytesIO()
    canvas.print_png(buffer)
    png = buffer.getvalue()
    if path is not None:
        path.write_bytes(png)
    return png


def _name(measurement: SiteMeasurement) -> str:
    site = measurement.site
    return site.name if site.muscle is None else f"{site.name.split('_')[1]} {SHORT[site.muscle]}"


def _slice_of(volume: CtVolume, found: list[SiteMeasurement], centre: Any) -> int | None:
    for measurement in found:
        if measurement.rois:
            return measurement.rois[len(measurement.rois) // 2].slice_index
    if centre is None:
        return None
    index = round(float(volume.to_index(centre)[0]))
    return index if 0 <= index < volume.shape[0] else None


def _draw_axial(
    axes: Any,
    volume: CtVolume,
    found: list[SiteMeasurement],
    centre: npt.NDArray[np.float64] | None,
    name: str,
    window_hu: tuple[float, float],
    crop_mm: tuple[float, float, float],
) -> None:
    axes.set_axis_off()
    index = _slice_of(volume, found, centre)
    if index is None or centre is None:
        reason = found[0].missing.reason if found[0].missing else "not found"
        axes.text(0.5, 0.5, f"{name}\n{reason}", color="white", ha="center", fontsize=12,
                  transform=axes.transAxes)  # fmt: skip
        return
    try:
        image = volume.effective_slice(index)
    except IndexError:
        image = volume.hu[index].astype(np.float32)
    row_mm, column_mm = volume.spacing_mm[1:]
    _, row, column = volume.to_index(centre)
    extent = np.array([-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5])
    axes.imshow(
        image, cmap="gray", vmin=window_hu[0], vmax=window_hu[1], extent=extent,
        interpolation="bilinear", aspect=row_mm / column_mm,
    )  # fmt: skip
    front, back, side = crop_mm
    axes.set_xlim(column - side / column_mm, column + side / column_mm)
    axes.set_ylim(row + back / row_mm, row - front / row_mm)
    axes.set_facecolor("black")
    z_mm = float(volume.to_lps([index, row, column])[2])
    axes.text(0.02, 0.97, f"{name}   z {z_mm:.0f} mm", color="white", fontsize=11, va="top",
              transform=axes.transAxes)  # fmt: skip
    axes.text(0.015, 0.5, "R", color="white", fontsize=13, transform=axes.transAxes)
    axes.text(0.965, 0.5, "L", color="white", fontsize=13, transform=axes.transAxes)
    reasons = []
    for measurement in found:
        colour = ROI_COLOURS[measurement.site.muscle]
        if measurement.missing is not None:
            reasons.append((measurement, colour))
            continue
        roi = measurement.rois[len(measurement.rois) // 2]
        for other in measurement.rois:
            points = volume.to_index(other.contour_lps_mm)[:, 1:]
            axes.fill(points[:, 1], points[:, 0], fill=False, edgecolor=colour,
                      linewidth=1.6 if other is roi else 0.6)  # fmt: skip
        points = volume.to_index(roi.contour_lps_mm)[:, 1:]
        axes.text(
            points[:, 1].mean(), points[:, 0].max() + 1.5 / row_mm,
            f"{_name(measurement)}\n{measurement.mean_hu:.0f} HU", color=colour, fontsize=9.5,
            ha="center", va="top", linespacing=0.95,
        )  # fmt: skip
    for side_of, x, align in (
        (Side.RIGHT, 0.02, "left"),
        (Side.LEFT, 0.98, "right"),
        (None, 0.02, "left"),
    ):
        lines = [
            (f"{_name(m)} missing: {m.missing.reason}", colour)
            for m, colour in reasons
            if m.site.side is side_of and m.missing is not None
        ]
        for k, (text, colour) in enumerate(lines):
            axes.text(x, 0.02 + 0.05 * k, text, color=colour, fontsize=9, ha=align,
                      transform=axes.transAxes)  # fmt: skip


def _draw_reformat(axes: Any, volume: CtVolume, features: FeatureVector, *, lateral: bool) -> None:
    """Sagittal (lateral view) or coronal reformat that follows the spine's line."""
    axes.set_axis_off()
    named: dict[str, Landmark] = {
        **{str(k): v for k, v in features.spine.bodies.items()},
        **{str(k): v for k, v in features.spine.discs.items()},
    }
    if not named:
        return
    line = np.array(sorted((m.centre_lps_mm for m in named.values()), key=lambda c: float(c[2])))
    indices = volume.to_index(line)
    along = np.arange(volume.shape[0])
    kept, wide = (2, 1) if lateral else (1, 2)
    path = np.interp(along, indices[:, 0], indices[:, kept])
    nearest = np.clip(np.round(path).astype(int), 0, volume.shape[kept] - 1)
    image = volume.hu[along, :, nearest] if lateral else volume.hu[along, nearest, :]
    step_mm, pixel_mm = float(volume.spacing_mm[0]), float(volume.spacing_mm[wide])
    axes.imshow(
        image, cmap="gray", vmin=-250, vmax=500, origin="lower", interpolation="bilinear",
        aspect=step_mm / pixel_mm,
    )  # fmt: skip
    middle = float(np.median(indices[:, wide]))
    half = 95.0 / pixel_mm
    axes.set_xlim(middle - half, middle + half)
    reach = 35.0 / step_mm
    axes.set_ylim(indices[0, 0] - reach, indices[-1, 0] + reach)
    for name, landmark in named.items():
        z, *rest = volume.to_index(landmark.centre_lps_mm)
        across = rest[wide - 1]
        body = name in features.by_name
        axes.plot(across, z, marker="o" if body else "_", color="#ffd23f", markersize=4)
        axes.text(across + (6.0 if body else 26.0) / pixel_mm, z, name, color="#ffd23f",
                  fontsize=11 if body else 8, va="center")  # fmt: skip
    if lateral:
        canal = volume.to_index(features.spine.canal_lps_mm)
        axes.plot(canal[:, 1], canal[:, 0], color="#3ddcff", linewidth=0.8)
        axes.text(0.02, 0.96, "sagittal, anterior on the left", color="white", fontsize=9,
                  transform=axes.transAxes)  # fmt: skip
    else:
        axes.text(0.02, 0.5, "R", color="white", fontsize=13, transform=axes.transAxes)
        axes.text(0.94, 0.5, "L", color="white", fontsize=13, transform=axes.transAxes)
        axes.text(0.02, 0.96, "coronal, along the spine", color="white", fontsize=9,
                  transform=axes.transAxes)  # fmt: skip


def _cell(measurement: SiteMeasurement) -> str:
    if measurement.missing is not None:
        return str(measurement.missing.reason)
    return f"{measurement.mean_hu:.0f} ± {measurement.sd_hu:.0f}"


def _draw_table(axes: Any, features: FeatureVector) -> None:
    axes.set_axis_off()
    by_name = features.by_name
    text = ["mean ± SD within the ROI, HU", ""]
    text += ["vertebra"] + [f"  {level}   {_cell(by_name[level])}" for level in Level] + [""]
    columns = [(side, muscle) for side in Side for muscle in Muscle]
    text.append("disc     " + "".join(f"{f'{s[0].upper()} {SHORT[m]}':>11s}" for s, m in columns))
    for disc in DiscLevel:
        cells = [_cell(by_name[f"{disc}_{k}"]) for k in range(1, 7)]
        text.append(f"{disc}    " + "".join(f"{cell:>11s}" for cell in cells))
    text += ["", "TS transversospinalis with spinalis   LO longissimus   PM psoas major"]
    segmenter = features.segmenter
    text += [f"segmenter {segmenter.name} {segmenter.version}, naming confidence"
             f" {features.spine.confidence:.2f}"]  # fmt: skip
    axes.text(0.03, 0.97, "\n".join(text), color="white", fontsize=11, family="monospace", va="top",
              transform=axes.transAxes)  # fmt: skip


def _draw_findings(axes: Any, features: FeatureVector) -> None:
    from textwrap import fill

    axes.set_axis_off()
    found = [f.message for f in features.findings]
    found += [f.message for m in features.measurements for f in m.findings]
    if found:
        text = "\n".join(fill(f"- {message}", 62, subsequent_indent="  ") for message in found[:16])
        axes.text(0.03, 0.97, "Findings\n" + text, color="white", fontsize=10, va="top",
                  transform=axes.transAxes)  # fmt: skip
