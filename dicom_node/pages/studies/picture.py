"""The picture of a study: which slice is shown, the regions that lie in it, where each level is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dicom_node.pages.studies.slices import Slice, StudySlices, outline
from roi_extraction.picture import SHORT
from roi_extraction.sites import SITES_BY_NAME, Level, Side

__all__ = ["Picture", "Region", "picture"]


@dataclass(frozen=True)
class Region:
    """A region of interest as it is drawn.

    Parameters
    ----------
    name
        The cohort's name of the site.
    short
        What is written beside it.
    label
        The site in words, with its value.
    points
        Corners for SVG, mm in the image.
    x_mm, y_mm
        Where the name is written.
    is_muscle
        Whether it is one of a muscle.
    """

    name: str
    short: str
    label: str
    points: str
    x_mm: float
    y_mm: float
    is_muscle: bool


@dataclass(frozen=True)
class Picture:
    """One slice with what lies in it.

    Parameters
    ----------
    slice
        The image.
    number, count
        Its place from the head, from 1, and how many slices there are.
    regions
        Those in this slice.
    levels
        For each measured vertebra the number of its middle slice.
    sides
        Letters of the patient's sides at the picture's left and right; empty if unclear.
    """

    slice: Slice
    number: int
    count: int
    regions: tuple[Region, ...]
    levels: Mapping[str, int]
    sides: tuple[str, str]

    @property
    def width_mm(self) -> float:
        """Width of the image, mm."""
        return self.slice.columns * self.slice.pixel_spacing_mm[1]

    @property
    def height_mm(self) -> float:
        """Height of the image, mm."""
        return self.slice.rows * self.slice.pixel_spacing_mm[0]

    @property
    def level(self) -> str:
        """The vertebra whose middle slice it is; empty if it is of none."""
        return next((name for name, at in self.levels.items() if at == self.number), "")


def picture(slices: StudySlices, report: Mapping[str, Any], number: int | None) -> Picture | None:
    """The picture of a slice.

    Parameters
    ----------
    slices
        Of the measured series.
    report
        Its ``report.json``.
    number
        Place of the slice from the head, from 1; None, or one that there is not, for that of the
        uppermost measured vertebra.

    Returns
    -------
    Picture or None
        None if the images are gone.
    """
    count = len(slices.slices)
    if not count:
        return None
    sites = report.get("sites", ())
    levels = _levels(slices, sites)
    if number is None or not 1 <= number <= count:
        number = next(iter(levels.values()), (count + 1) // 2)
    shown = slices.slices[number - 1]
    regions = tuple(
        _region(shown, site, roi)
        for site in sites
        for roi in site["rois"]
        if roi["sop_instance_uid"] == shown.sop_instance_uid and roi["contour_lps_mm"]
    )
    return Picture(shown, number, count, regions, levels, _sides(shown))


def _levels(slices: StudySlices, sites: Any) -> dict[str, int]:
    """The middle slice of each measured vertebra, from head to feet."""
    found: dict[str, int] = {}
    for site in sites:
        if site["name"] in set(Level) and site["rois"]:
            middle = site["rois"][len(site["rois"]) // 2]["sop_instance_uid"]
            if middle in slices.places:
                found[site["name"]] = slices.places[middle] + 1
    return found


def _region(shown: Slice, site: Mapping[str, Any], roi: Mapping[str, Any]) -> Region:
    row_mm, column_mm = shown.pixel_spacing_mm
    # half a pixel on: the image begins at the corner of its first pixel
    corners = [
        ((column + 0.5) * column_mm, (row + 0.5) * row_mm)
        for column, row in outline(shown, roi["contour_lps_mm"])
    ]
    of = SITES_BY_NAME[site["name"]]
    short = of.name if of.muscle is None else f"{str(of.side)[0].upper()} {SHORT[of.muscle]}"
    side = f"{of.side} " if of.side else ""
    return Region(
        of.name,
        short,
        f"{side}{of.label}: {roi['mean_hu']:.0f} HU",
        " ".join(f"{x:.2f},{y:.2f}" for x, y in corners),
        sum(x for x, _ in corners) / len(corners),
        min(y for _, y in corners) - 2.0,
        of.muscle is not None,
    )


def _sides(shown: Slice) -> tuple[str, str]:
    """The patient's sides at the left and right edge; LPS x grows to the patient's left."""
    to_left = float(shown.orientation[0][0])
    if abs(to_left) < 0.7:
        return "", ""
    letters = {Side.RIGHT: "R", Side.LEFT: "L"}
    order = (Side.RIGHT, Side.LEFT) if to_left > 0 else (Side.LEFT, Side.RIGHT)
    return letters[order[0]], letters[order[1]]
