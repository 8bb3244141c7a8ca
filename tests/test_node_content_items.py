"""The content items of the Structured Report against those that highdicom builds."""

from datetime import date

import highdicom.sr as hd
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ComprehensiveSRStorage, CTImageStorage

from dicom_node.reporting import codes as own
from dicom_node.reporting.content_items import (
    CONTAINS,
    INFERRED,
    MODIFIES,
    OBSERVATION,
    SELECTED,
    code_item,
    composite_item,
    container,
    date_item,
    finding_site_item,
    image_item,
    number_item,
    polygon_item,
    text_item,
    uid_item,
)
from roi_extraction.sites import Muscle, Side

UID = "1.2.826.0.1.3680043.8.498.1"
SQUARE = np.array([[1.5, 2.5], [9.1, 2.5], [9.1, 7.25], [1.5, 2.5]])


def encoded(item: Dataset) -> bytes:
    """Explicit VR Little Endian, as reports are written."""
    written = DicomBytesIO()
    written.is_implicit_VR, written.is_little_endian = False, True
    write_dataset(written, item, "utf8")
    return written.getvalue()


def image() -> Dataset:
    return image_item(own.SOURCE, CTImageStorage, UID, SELECTED)


PAIRS: dict[str, tuple[Dataset, Dataset]] = {
    "text": (
        text_item(own.IMPRESSION, "Größe 5 µm"),
        hd.TextContentItem(own.IMPRESSION, "Größe 5 µm", CONTAINS),
    ),
    "code": (
        code_item(own.DERIVATION, own.MEAN, MODIFIES),
        hd.CodeContentItem(own.DERIVATION, own.MEAN, MODIFIES),
    ),
    "uid": (
        uid_item(own.TRACKING_UID, UID, OBSERVATION),
        hd.UIDRefContentItem(own.TRACKING_UID, UID, OBSERVATION),
    ),
    "date": (
        date_item(own.STUDY_DATE, date(2026, 3, 2)),
        hd.DateContentItem(own.STUDY_DATE, date(2026, 3, 2), CONTAINS),
    ),
    "number": (
        number_item(own.ATTENUATION, -12.34, own.HOUNSFIELD, INFERRED),
        hd.NumContentItem(own.ATTENUATION, -12.34, own.HOUNSFIELD, relationship_type=INFERRED),
    ),
    "image": (
        image(),
        hd.ImageContentItem(own.SOURCE, CTImageStorage, UID, relationship_type=SELECTED),
    ),
    "composite": (
        composite_item(own.EARLIER_REPORT, ComprehensiveSRStorage, UID),
        hd.CompositeContentItem(own.EARLIER_REPORT, ComprehensiveSRStorage, UID, CONTAINS),
    ),
    "finding site": (
        finding_site_item(own.MUSCLE_CODES[Muscle.PSOAS_MAJOR], own.SIDE_CODES[Side.LEFT]),
        hd.FindingSite(own.MUSCLE_CODES[Muscle.PSOAS_MAJOR], own.SIDE_CODES[Side.LEFT]),
    ),
    "polygon": (
        polygon_item(own.REGION, SQUARE, image()),
        hd.ImageRegion(
            hd.GraphicTypeValues.POLYLINE, SQUARE, hd.SourceImageForRegion(CTImageStorage, UID)
        ),
    ),
}


@pytest.mark.parametrize(("ours", "theirs"), PAIRS.values(), ids=PAIRS)
def test_an_item_is_encoded_as_highdicom_encodes_it(ours: Dataset, theirs: Dataset) -> None:
    assert encoded(ours) == encoded(theirs)


def test_a_container_is_encoded_as_highdicom_encodes_it() -> None:
    theirs = hd.ContainerContentItem(
        own.MEASUREMENT_GROUP,
        is_content_continuous=False,
        template_id="1411",
        relationship_type=CONTAINS,
    )
    theirs.ContentSequence = hd.ContentSequence([hd.TextContentItem(own.COMMENT, "a", CONTAINS)])
    ours = container(own.MEASUREMENT_GROUP, [text_item(own.COMMENT, "a")], template="1411")
    assert encoded(ours) == encoded(theirs)
