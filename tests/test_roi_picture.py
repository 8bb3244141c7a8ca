from pathlib import Path

import numpy as np
from matplotlib.image import imread

from roi_extraction.anatomy import Missing, MissingReason
from roi_extraction.measurement import measure
from roi_extraction.picture import render_rois
from roi_extraction.placement import place
from tests.roi_builders import anatomy_of, disk_mask, flat_volume, region_of


def test_picture_is_1600_pixels_wide_and_written(tmp_path: Path) -> None:
    volume = flat_volume(slices=12)
    region = region_of(disk_mask(volume, 0.0, 0.0, (20.0, 20.0)))
    anatomy = anatomy_of({"L3": region, "S1": Missing(MissingReason.OUTSIDE_SCAN)})
    features = measure(volume, anatomy, place(volume, anatomy))
    path = tmp_path / "rois.png"
    png = render_rois(volume, features, path, "a test")
    assert path.read_bytes() == png
    picture = imread(path)
    assert picture.shape[1] == 1600
    assert np.ptp(picture) > 0.5
