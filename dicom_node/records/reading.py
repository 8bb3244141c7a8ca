"""A reader's word on a report: accepted as it is, or corrected and measured again."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from dicom_node.uids import content_id
from roi_extraction import Correction, CorrectionInvalid, MovedRoi

__all__ = ["MovedRegion", "Reading", "Rejection"]

PersonName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\\=\x00-\x1f\x7f]+$")]
ShortText = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\\\x00-\x1f\x7f]+$")]
Uid = Annotated[str, Field(max_length=64, pattern=r"^[0-9]+(\.[0-9]+)*$")]


class _Said(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class _Word(_Said):
    """What a person said at a moment."""

    moment: datetime
    """When it was said, UTC."""

    @field_validator("moment")
    @classmethod
    def _to_the_second(cls, value: datetime) -> datetime:
        if value.tzinfo is None:
            raise ValueError("the moment needs a time zone")
        return value.astimezone(UTC).replace(microsecond=0)


class MovedRegion(_Said):
    """A region of one slice that the reader moved."""

    site: str
    """The site's name, as the levels are named after the correction."""
    sop_instance_uid: Uid
    """The image that the region lies on."""
    right_mm: float
    """How far to the right in the image, mm."""
    down_mm: float
    """How far down in the image, mm."""


class Reading(_Word):
    """What a reader said of a report."""

    verdict: Literal["accepted", "corrected"]
    """Accepted as measured, or corrected and measured again."""
    reader: PersonName
    """Name of the reader, as in DICOM: family name^given name."""
    organization: ShortText
    """Where the reader works."""
    report_uid: Uid
    """SOP Instance UID of the Structured Report that was read."""
    series_uid: Uid
    """Series Instance UID of the images that it measured."""
    levels_down: Annotated[int, Field(ge=-1, le=1)] = 0
    """How many levels lower the reader names every level: 1 makes L2 of L1."""
    left_out: tuple[str, ...] = ()
    """Sites that are not to be measured."""
    moved: tuple[MovedRegion, ...] = ()
    """Regions that the reader moved."""

    def correction(self, sop_instance_uids: Sequence[str]) -> Correction:
        """What is to be measured otherwise.

        Parameters
        ----------
        sop_instance_uids
            Of the images of the series, in the order of the volume's slices.

        Raises
        ------
        CorrectionInvalid
            It names an image or a site that is not there, or moves a region too far or twice.
        """
        index = {uid: number for number, uid in enumerate(sop_instance_uids)}
        if any(region.sop_instance_uid not in index for region in self.moved):
            raise CorrectionInvalid("a region is moved on an image that is not of the series")
        return Correction(
            self.levels_down,
            frozenset(self.left_out),
            tuple(
                MovedRoi(
                    region.site, index[region.sop_instance_uid], region.right_mm, region.down_mm
                )
                for region in self.moved
            ),
        )


class Rejection(_Word):
    """A reader's word that a report is wrong, and that none is to stand in its place."""

    report_uid: Uid
    """SOP Instance UID of the Structured Report."""
    reader: PersonName
    """Name of the reader, as in DICOM: family name^given name."""
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
    """Why, in the reader's words, without patient data."""

    @property
    def identity(self) -> str:
        """Of the word: the same said again is the same."""
        return content_id("rejected", self.model_dump_json())
