import pytest

import roi_extraction
from roi_extraction import SITES, CtVolume, extract
from roi_extraction.anatomy import Anatomy, SegmenterIdentity
from tests.roi_builders import anatomy_of, disk_mask, flat_volume, region_of


class FixedSegmenter:
    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy

    @property
    def identity(self) -> SegmenterIdentity:
        return self.anatomy.segmenter

    def segment(self, volume: CtVolume) -> Anatomy:
        return self.anatomy


def test_contents_page_lists_what_it_offers() -> None:
    assert roi_extraction.__all__ == sorted(
        roi_extraction.__all__, key=lambda n: (not n.isupper(), n[0].islower(), n)
    )
    assert all(hasattr(roi_extraction, name) for name in roi_extraction.__all__)


def test_extract_returns_all_36_sites_in_order() -> None:
    volume = flat_volume(137)
    anatomy = anatomy_of({"L2": region_of(disk_mask(volume, 0.0, 0.0, (20.0, 20.0)))})
    features = extract(volume, FixedSegmenter(anatomy))
    assert [m.site for m in features.measurements] == list(SITES)
    assert abs(features.by_name["L2"].mean_hu - 137) < 1e-3
    assert features.segmenter == anatomy.segmenter


class Refused(Exception):
    pass


def test_what_sees_the_anatomy_may_refuse_the_scan_before_anything_is_measured() -> None:
    volume = flat_volume(137)
    anatomy = anatomy_of({"L2": region_of(disk_mask(volume, 0.0, 0.0, (20.0, 20.0)))})
    seen: list[Anatomy] = []

    def refuse(found: Anatomy) -> None:
        seen.append(found)
        raise Refused

    with pytest.raises(Refused):
        extract(volume, FixedSegmenter(anatomy), refuse)
    assert seen == [anatomy]
