"""What the form of a reader's word shows: slices with outlines, tables of sites, choices."""

from dataclasses import dataclass

from dicom_node.pages.reading.draft import Draft, draft_of_report
from dicom_node.pages.reading.level_names import group_of, renamed
from dicom_node.pages.reading.shown_report import ShownReport
from dicom_node.pages.rendering import text
from dicom_node.pages.studies.slices import Slice, StudySlices, outline
from dicom_node.records.reading import Reading
from dicom_node.reporting.report_model import RoiReport, SiteReport
from dicom_node.reporting.words.site_words import MISSING_WORDS, site_words
from roi_extraction.sites import SITES_BY_NAME, Level

__all__ = [
    "Group",
    "LevelChoice",
    "Outline",
    "Picture",
    "Row",
    "groups_of",
    "level_choices",
    "moves_of",
]

SURROUNDINGS_MM = 35.0
"""Of a picture round the regions, so that a region can be dragged to where it belongs."""

NOWHERE = (0.0, 0.0)


@dataclass(frozen=True)
class Outline:
    """A region on a picture; ``corners`` in mm from the first pixel's centre."""

    field: str
    name: str
    corners: tuple[tuple[float, float], ...]
    """None where the image is gone."""
    begin_mm: tuple[float, float]
    """What the report has moved it already."""
    now_mm: tuple[float, float]
    """What the form says."""

    @property
    def points(self) -> str:
        """Its corners as SVG writes them."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.corners)

    @property
    def shift(self) -> str:
        """How far the form moves it from where the report has it, as SVG writes it."""
        right, down = (now - begin for now, begin in zip(self.now_mm, self.begin_mm, strict=True))
        return f"{right:.1f} {down:.1f}"


@dataclass(frozen=True)
class Picture:
    """A slice, cut to what lies round the regions; lengths in mm as ``x y width height``."""

    image: str
    title: str
    view: str
    frame: tuple[float, float, float, float]
    outlines: tuple[Outline, ...]


@dataclass(frozen=True)
class Row:
    """A site in the table of its level."""

    name: str
    words: str
    hu: float | None
    missing: str
    left_out: bool
    regions: tuple[Outline | None, ...]
    """One a slice of the level; None where the site has no region."""


@dataclass(frozen=True)
class Group:
    """A level or a disc: its pictures and its sites."""

    name: str
    numbers: tuple[int, ...]
    pictures: tuple[Picture, ...]
    rows: tuple[Row, ...]
    changed: bool


@dataclass(frozen=True)
class LevelChoice:
    """How the levels may be named; ``down`` is counted from the program's names."""

    down: int
    words: str


def groups_of(shown: ShownReport, draft: Draft, slices: StudySlices) -> tuple[Group, ...]:
    """The levels and discs of a report from head to feet.

    Parameters
    ----------
    shown
        The report.
    draft
        What the form says.
    slices
        The images that are still kept; pictures of others are left out.
    """
    by_group = _sites_by_group(shown)
    return tuple(_group(name, by_group[name], shown, draft, slices) for name in sorted(by_group))


def level_choices(shown: ShownReport) -> tuple[LevelChoice, ...]:
    """The names that the levels may have, told by what is shown as L3."""
    return tuple(LevelChoice(down, _level_words(down - shown.levels_down)) for down in (-1, 0, 1))


def moves_of(shown: ShownReport, word: Reading) -> tuple[tuple[str, float, float], ...]:
    """Name of each region that a word moves, and how far to the right and down, mm.

    Parameters
    ----------
    shown
        The report that the word is about.
    word
        The reader's.
    """
    back = shown.levels_down - word.levels_down
    groups = _sites_by_group(shown)
    return tuple(
        (
            text(
                "reading.region",
                site=site_words(region.site),
                number=1
                + _images(groups[_shown_group(region.site, back)]).index(region.sop_instance_uid),
            ),
            region.right_mm,
            region.down_mm,
        )
        for region in word.moved
    )


def _sites_by_group(shown: ShownReport) -> dict[str, list[SiteReport]]:
    by_group: dict[str, list[SiteReport]] = {}
    for site in shown.content.sites:
        by_group.setdefault(group_of(SITES_BY_NAME[site.name]), []).append(site)
    return by_group


def _shown_group(site: str, down: int) -> str:
    name = renamed(site, down)
    assert name is not None, "a region was moved that is not shown"
    return group_of(SITES_BY_NAME[name])


def _level_words(further: int) -> str:
    if not further:
        return text("reading.levels_as_shown")
    key = "reading.levels_lower" if further > 0 else "reading.levels_higher"
    return text(key, number=abs(further), shown=Level.L3, named=renamed(Level.L3, further))


def _group(
    name: str, sites: list[SiteReport], shown: ShownReport, draft: Draft, slices: StudySlices
) -> Group:
    images = _images(sites)
    begin = draft_of_report(shown)
    rows = []
    for site in sites:
        regions: list[Outline | None] = [None] * len(images)
        for k, roi in enumerate(site.rois):
            number = images.index(roi.sop_instance_uid)
            words = text("reading.region", site=site_words(site.name), number=number + 1)
            place = (site.name, roi.sop_instance_uid)
            regions[number] = Outline(
                f"{site.name}.{k}",
                words,
                _corners(roi, slices.of(roi.sop_instance_uid)),
                begin.moved.get(place, NOWHERE),
                draft.moved.get(place, NOWHERE),
            )
        rows.append(_row(site, tuple(regions), draft))
    pictures = []
    for number, image in enumerate(images):
        found = slices.of(image)
        inside = tuple(region for row in rows if (region := row.regions[number]) is not None)
        title = text("reading.slice", level=name, number=number + 1, of=len(images))
        if found is not None:
            pictures.append(_picture(found, title, inside))
    numbers = tuple(range(1, len(images) + 1))
    changed = any(_changed(row, begin) for row in rows)
    return Group(name, numbers, tuple(pictures), tuple(rows), changed)


def _images(sites: list[SiteReport]) -> list[str]:
    """The images with regions, from head to feet."""
    heights = {roi.sop_instance_uid: roi.slice_z_mm for site in sites for roi in site.rois}
    return sorted(heights, key=lambda uid: -heights[uid])


def _row(site: SiteReport, regions: tuple[Outline | None, ...], draft: Draft) -> Row:
    missing = "" if site.reason is None else MISSING_WORDS[site.reason]
    words = site_words(site.name)
    return Row(site.name, words, site.mean_hu, missing, site.name in draft.left_out, regions)


def _changed(row: Row, begin: Draft) -> bool:
    """Whether the form says otherwise than the report."""
    regions = [region for region in row.regions if region is not None]
    return row.left_out != (row.name in begin.left_out) or any(
        region.now_mm != region.begin_mm for region in regions
    )


def _corners(roi: RoiReport, slice_: Slice | None) -> tuple[tuple[float, float], ...]:
    if slice_ is None:
        return ()
    row_mm, column_mm = slice_.pixel_spacing_mm
    corners = outline(slice_, roi.contour_lps_mm)
    return tuple((round(column * column_mm, 1), round(row * row_mm, 1)) for column, row in corners)


def _picture(slice_: Slice, title: str, outlines: tuple[Outline, ...]) -> Picture:
    row_mm, column_mm = slice_.pixel_spacing_mm
    xs, ys = zip(*(corner for region in outlines for corner in region.corners), strict=True)
    middle = ((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2)
    side = max(max(xs) - min(xs), max(ys) - min(ys)) + 2 * SURROUNDINGS_MM
    view = f"{middle[0] - side / 2:.1f} {middle[1] - side / 2:.1f} {side:.1f} {side:.1f}"
    frame = (
        -column_mm / 2, -row_mm / 2, slice_.columns * column_mm, slice_.rows * row_mm,
    )  # fmt: skip
    return Picture(slice_.sop_instance_uid, title, view, frame, outlines)
