"""The geometry of a report: its references, its regions on the images, and the patient's sides."""

import warnings
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import DA, TM

from dicom_node.reporting.checks.report_content import ContentItem
from roi_extraction.sites import SITES_BY_NAME, Side, Site

__all__ = [
    "SOURCE",
    "ReportFault",
    "Source",
    "is_sound",
    "named_site",
    "reference_faults",
    "region_faults",
    "regions_of",
    "side_faults",
]

LONGEST = {"SH": 16, "CS": 16, "LO": 64, "PN": 64}
"""Most characters of a value, of a person's name those of a group (PS3.5, table 6.2-1)."""

SOURCE = "260753009"
"""Code value of the concept Source (SCT): of an image, or of the region of a number."""

SIDES_TOLERANCE_MM = 5.0
"""How far the right muscle may lie to the left of its left partner, mm; beyond it the sides count
as exchanged."""


@dataclass(frozen=True)
class ReportFault:
    """One fault of a report: a stable code, and words without patient data."""

    code: str
    message: str


@dataclass(frozen=True, eq=False)
class Source:
    """The header of one image of the series, with which report and objects must agree.

    Parameters
    ----------
    header
        At least the elements that the checks look at.
    known
        What was read from the same bytes in other images of the series; shared between them.
    """

    header: Dataset
    known: dict[Hashable, str] = field(default_factory=dict, repr=False)
    _texts: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def uid(self) -> str:
        """SOP Instance UID."""
        return self.text("SOPInstanceUID")

    def text(self, keyword: str) -> str:
        """An element as text; a value that must not stand in it counts as empty."""
        if keyword not in self._texts:
            self._texts[keyword] = self._recalled(keyword)
        return self._texts[keyword]

    def _recalled(self, keyword: str) -> str:
        raw = self.header.get_item(keyword)
        if raw is None:
            return ""
        if not isinstance(raw, RawDataElement):
            return self._read_text(keyword)
        key = (keyword, raw.VR, raw.value, str(self.header.original_character_set))
        if key not in self.known:
            self.known[key] = self._read_text(keyword)
        return self.known[key]

    def _read_text(self, keyword: str) -> str:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom warns of what counts as empty here
                element = self.header[keyword]
                value = str(element.value or "")
                {"DA": DA, "TM": TM}.get(element.VR, str)(value)
        except (ValueError, TypeError, OverflowError):
            return ""
        if isinstance(element.value, MultiValue) or not is_sound(keyword, element.VR, value):
            return ""
        return value


def is_sound(keyword: str, vr: str, value: str) -> bool:
    """Whether a text is no longer than its element allows, and one of an enumeration's values."""
    if keyword == "PatientSex":
        return value.strip() in ("", "M", "F", "O")
    groups = value.split("=") if vr == "PN" else [value]
    printable = all(char.isprintable() for char in value) or vr not in LONGEST
    return printable and all(len(group) <= LONGEST.get(vr, len(group)) for group in groups)


def named_site(group: ContentItem) -> Site | None:
    """The site that a measurement group is of; None if it is unknown.

    A group of one slice names it in its finding, any other in its tracking identifier.
    """
    if group.finding in SITES_BY_NAME:
        return SITES_BY_NAME[group.finding]
    texts = [str(node.item.get("TextValue") or "") for node in group.children("112039")]
    name, _, label = (texts[0] if texts else "").partition(" ")
    site = SITES_BY_NAME.get(name)
    if site is None:
        return None
    return site if label == (f"{site.label}, {site.side}" if site.side else site.label) else None


def regions_of(group: ContentItem) -> list[ContentItem]:
    """The regions of a measurement group: beside its numbers, or below its mean."""
    below = [region for mean in group.children("373098007") for region in mean.children(SOURCE)]
    return [*group.children("111030"), *below]


def reference_faults(
    node: ContentItem, evidence: Mapping[str, str], sources: Mapping[str, Source]
) -> Iterator[ReportFault]:
    """A reference must be to an image of the series and in the evidence.

    The only one to something else, an earlier report, is a matter of `comparison_check`.
    """
    if node.value_type == "COMPOSITE":
        return
    for reference in node.references:
        uid = str(reference.get("ReferencedSOPInstanceUID"))
        if uid not in evidence:
            yield ReportFault(
                "report.reference", "a reference names an image that is not in the evidence"
            )
        source = sources.get(uid)
        if source is None or reference.get("ReferencedSOPClassUID") != source.text("SOPClassUID"):
            yield ReportFault(
                "report.reference", "a reference names an image that is not of the series"
            )


def region_faults(
    nodes: Sequence[ContentItem], sources: Mapping[str, Source]
) -> Iterator[ReportFault]:
    """A region must be a closed polygon inside its image."""
    for node in nodes:
        if node.value_type != "SCOORD":
            continue
        points = node.points
        if node.item.get("GraphicType") != "POLYLINE" or points is None or len(points) < 4:
            yield ReportFault("report.region", "a region is not a polygon of at least three points")
            continue
        if (points[0] != points[-1]).any():
            yield ReportFault("report.region", "a region is not closed")
        for image in node.children(SOURCE):
            source = sources.get(image.image)
            if source is None:
                continue
            size = (int(source.header.get("Columns") or 0), int(source.header.get("Rows") or 0))
            if (points < 0).any() or (points > size).any():
                yield ReportFault("report.region", "a region reaches beyond its image")


def side_faults(
    groups: Sequence[ContentItem], sources: Mapping[str, Source]
) -> Iterator[ReportFault]:
    """A right muscle lies to the right of its left partner: LPS x grows towards the left."""
    middles_mm: dict[tuple[str, str, Side], list[float]] = defaultdict(list)
    for group in groups:
        site = named_site(group)
        if site is None or site.side is None or site.disc is None or site.muscle is None:
            continue
        found = [x for region in regions_of(group) for x in _x_mm(region, sources)]
        middles_mm[site.disc, site.muscle, site.side] += found
    middle_mm = {place: float(np.mean(found)) for place, found in middles_mm.items() if found}
    for (disc, muscle, side), x_mm in middle_mm.items():
        left_mm = middle_mm.get((disc, muscle, Side.LEFT))
        if side is Side.RIGHT and left_mm is not None and x_mm > left_mm + SIDES_TOLERANCE_MM:
            yield ReportFault("report.laterality", f"the sides of {muscle}, {disc} are exchanged")


def _x_mm(region: ContentItem, sources: Mapping[str, Source]) -> list[float]:
    """LPS x of a region's middle, mm, once for each image that it is drawn on."""
    points = region.points
    found = []
    for image in region.children(SOURCE):
        source = sources.get(image.image)
        if source is None or points is None:
            continue
        origin = _numbers(source, "ImagePositionPatient", 3)
        axes = _numbers(source, "ImageOrientationPatient", 6)
        spacing = _numbers(source, "PixelSpacing", 2)
        if origin is None or axes is None or spacing is None:
            continue
        column, row = points[:-1].mean(axis=0) - 0.5
        found.append(float(origin[0] + axes[0] * column * spacing[1] + axes[3] * row * spacing[0]))
    return found


def _numbers(source: Source, keyword: str, count: int) -> npt.NDArray[np.float64] | None:
    value = source.header.get(keyword)
    if value is None or len(value) != count:
        return None
    return np.array([float(part) for part in value])
