import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from dicom_node.reporting.pictures.axial_framing import Row, axial_view, disc_framing
from dicom_node.reporting.pictures.axial_rows import STYLES
from dicom_node.reporting.pictures.canvas import (
    BLACK,
    ORANGE,
    SIZE,
    SKY_BLUE,
    VERMILLION,
    WHITE,
    YELLOW,
    Canvas,
    fitted,
    text_width,
    wrapped,
)
from dicom_node.reporting.pictures.ct_views import AxialView, SpineLine, SpineView
from dicom_node.reporting.pictures.palette import PALETTE, palette_indices
from dicom_node.reporting.pictures.picture_words import (
    notes,
    whose_words,
)
from dicom_node.reporting.pictures.reading_picture import reading_picture, slices_picture
from dicom_node.reporting.report_model import Warned
from dicom_node.reporting.words.document_words import l1_line, missing_lines
from dicom_node.reporting.words.identity_words import identity_of
from roi_extraction.anatomy import MissingReason, SpineLandmarks
from roi_extraction.sites import SITES, DiscLevel, Level, Muscle
from roi_extraction.volume import CtVolume
from tests.picture_builders import Drawn, drawn_case, spine_volume, turned, without

EVERYTHING = {site.name: MissingReason.OUTSIDE_SCAN for site in SITES}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return drawn_case(tmp_path_factory.mktemp("series"))


def picture(case: Drawn, **options: object) -> npt.NDArray[np.uint8]:
    drawn = reading_picture(
        case.report,
        case.header,
        case.volume,
        case.features,
        **options,  # type: ignore[arg-type]
    )
    return np.asarray(drawn)


def slices(case: Drawn) -> npt.NDArray[np.uint8]:
    return np.asarray(slices_picture(case.report, case.header, case.volume, case.features))


def share_of(colour: tuple[int, int, int], drawn: npt.NDArray[np.uint8]) -> int:
    return int((drawn == colour).all(axis=-1).sum())


def test_the_picture_fills_a_one_megapixel_monitor_and_is_the_same_each_time(case: Drawn) -> None:
    first, second = picture(case), picture(case)
    assert first.shape == (1024, 1280, 3) == (*SIZE[::-1], 3)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(slices(case), slices(case))


def test_other_hu_and_another_patient_make_another_picture(case: Drawn, tmp_path: Path) -> None:
    before = picture(case)
    other = drawn_case(tmp_path, mean_hu=140.0)
    changed = (picture(other) != before).any(axis=-1)
    assert changed[140:400, 560:].any()  # the bars
    assert not changed[:48].any()  # whose they are
    named = copy.deepcopy(case)
    named.header.PatientName = "Another^Name"
    changed = (picture(named) != before).any(axis=-1)
    assert changed[:26].any()
    assert not changed[26:].any()


def test_percentiles_are_drawn_behind_the_bars_where_they_are_known(case: Drawn) -> None:
    before = picture(case)
    drawn = picture(case, percentiles={Level.L3: (90.0, 150.0, 210.0)})
    rows = np.flatnonzero((drawn != before).any(axis=(1, 2)))
    band = rows[rows < rows[0] + 30]
    assert 18 <= len(band) <= 26  # the row of one level; below it only the legend has changed
    assert len(rows) - len(band) <= 16


def test_every_tissue_is_outlined_and_all_slices_hold_three_times_as_many(case: Drawn) -> None:
    drawn, all_three = picture(case)[616:], slices(case)[68:]
    for colour in (YELLOW, ORANGE, SKY_BLUE):
        assert share_of(colour, drawn) > 100
        assert share_of(colour, all_three) > 2 * share_of(colour, drawn)


def test_tissues_are_told_apart_without_colour() -> None:
    muscles = [STYLES[muscle] for muscle in Muscle]
    assert len({style.dash for style in muscles}) == len({style.words for style in muscles}) == 3


ODD: dict[str, dict[str, MissingReason]] = {
    "nothing measured": EVERYTHING,
    "upper levels": {site.name: MissingReason.METAL for site in SITES if "L1" in site.name},
    "muscles": {site.name: MissingReason.FATTY for site in SITES if not site.is_vertebra},
}


@pytest.mark.parametrize("reasons", ODD.values(), ids=ODD)
def test_missing_sites_do_not_hinder_the_picture(
    case: Drawn, reasons: dict[str, MissingReason]
) -> None:
    less = without(case, reasons)
    assert (picture(less) != picture(case)).any()
    assert (slices(less) != slices(case)).any()


def test_a_scan_without_levels_and_values_is_drawn_in_words(case: Drawn) -> None:
    empty = without(case, EVERYTHING)
    spine = SpineLandmarks(np.zeros((0, 3)), {}, {}, 0.0)
    drawn = picture(replace(empty, features=replace(empty.features, spine=spine)))
    assert share_of(YELLOW, drawn[420:]) == 0
    assert (drawn[616:780] > 0).any()


def test_a_level_beyond_the_slices_is_left_out(case: Drawn) -> None:
    upper = {site.name: MissingReason.OUTSIDE_SCAN for site in SITES if "L1" in site.name}
    less = without(case, upper)
    cut = CtVolume(case.volume.hu[:33], case.volume.affine, case.volume.slice_thickness_mm)
    drawn = picture(replace(less, volume=cut))
    assert not (drawn[640:680, 4:60] > 0).any()  # the left of L1, beside the words


def test_a_turned_patient_is_drawn_with_the_regions_where_they_were_measured(case: Drawn) -> None:
    tilted = turned(case, 12.0)
    upright, drawn = picture(case), picture(tilted)
    assert (drawn[140:592, :532] != upright[140:592, :532]).any()
    # the slices are those of the scanner: captions apart, they look the same
    np.testing.assert_array_equal(drawn[640:780, :200], upright[640:780, :200])


def test_an_axial_view_shows_the_point_where_it_says_it_does() -> None:
    volume = spine_volume()
    hu = volume.hu.copy()
    hu[20, 70, 110] = 1000.0
    marked = CtVolume(hu, volume.affine, volume.slice_thickness_mm)
    centre = volume.to_lps([20, 80, 90])
    view = AxialView(marked, 20, centre, (200, 120), 0.5, 0.5)
    row, column = np.unravel_index(view.grey((0.0, 1000.0)).argmax(), (120, 200))
    at = view.pixels(volume.to_lps([[20, 70, 110]]))[0]
    np.testing.assert_allclose((column + 0.5, row + 0.5), at, atol=1.0)
    np.testing.assert_allclose(at, (100 + 20 / 0.5, 60 - 10 / 0.5), atol=1e-9)


@pytest.mark.parametrize("row", [Row(804, 1000), Row(510, 671)], ids=["tall", "low"])
@pytest.mark.parametrize("shift_mm", [0.0, 40.0], ids=["slim", "wide"])
def test_every_muscle_region_lies_in_the_view_of_its_disc(
    case: Drawn, row: Row, shift_mm: float
) -> None:
    away = np.array([shift_mm, shift_mm / 2, 0.0])
    measurements = tuple(
        replace(m, rois=tuple(
            replace(roi, contour_lps_mm=roi.contour_lps_mm + away * np.sign(roi.centre_lps_mm))
            for roi in m.rois
        ))
        for m in case.features.measurements
    )  # fmt: skip
    features = replace(case.features, measurements=measurements)
    box = (0, 0, 158, row.bottom - row.top - 18)
    framing = disc_framing(features, row)
    for disc in DiscLevel:
        found = [m for m in measurements if m.site.disc is disc]
        view = axial_view(case.volume, features, found, disc, box, row, framing)
        assert view is not None
        for measurement in found:
            points = view.pixels(measurement.rois[1].contour_lps_mm)
            assert (points > 2).all()
            assert (points < np.array(box[2:]) - 2).all()


@pytest.mark.parametrize("lateral", [True, False], ids=["sagittal", "coronal"])
def test_a_reformat_shows_the_point_where_it_says_it_does(lateral: bool) -> None:
    volume = spine_volume()
    hu = volume.hu.copy()
    hu[25, 75, 85] = 480.0  # the brightest, within the window
    marked = CtVolume(hu, volume.affine, volume.slice_thickness_mm)
    point = volume.to_lps([[25, 75, 85]])
    line = SpineLine(point)
    view = SpineView(marked, line, lateral, (100, 200), 1.0, -50.0, 234.0)
    grey = view.grey()
    row, column = np.unravel_index(grey.argmax(), grey.shape)
    np.testing.assert_allclose((column + 0.5, row + 0.5), view.pixels(point)[0], atol=1.0)


def test_the_patients_right_is_on_the_left_of_the_coronal_view() -> None:
    line = SpineLine(np.zeros((1, 3)))
    view = SpineView(spine_volume(), line, False, (100, 100), 1.0, -50.0, 50.0)
    right, left = view.pixels(np.array([[-20.0, 0.0, 0.0], [20.0, 0.0, 0.0]]))
    assert right[0] < left[0]


def test_missing_sites_are_said_in_words_by_their_reason(case: Drawn) -> None:
    reasons = {
        "L1": MissingReason.OUTSIDE_SCAN,
        "L1-L2_3": MissingReason.TOO_SMALL,
        "L1-L2_6": MissingReason.TOO_SMALL,
        "L2-L3_3": MissingReason.TOO_SMALL,
        "L2-L3_6": MissingReason.TOO_SMALL,
        "L5-S1_2": MissingReason.TOO_SMALL,
    }
    less = without(case, reasons)
    assert missing_lines(less.report) == (
        "Outside the scan: L1.",
        "Too small for a region of 150 mm2: right and left psoas major at L1-L2, L2-L3; "
        "right longissimus at L5-S1.",
    )
    assert missing_lines(case.report) == ()
    assert l1_line(less.report) == (
        "L1 not measured (outside the scan)",
        "so no verdict by the published thresholds",
    )


def test_the_verdict_on_l1_names_its_threshold(case: Drawn) -> None:
    value, meaning = l1_line(case.report)
    assert (value, meaning.startswith("at or below 110 HU")) == ("L1 97 HU", True)
    other = case.report.l1_threshold.model_copy(update={"category": None})
    assert "120 kVp" in l1_line(case.report.model_copy(update={"l1_threshold": other}))[1]


def test_no_code_is_shown_and_the_most_misleading_warning_comes_first(case: Drawn) -> None:
    warned = [("input.gap", "a"), ("acquisition.contrast", "b"), ("other.code", "In words")]
    report = case.report.model_copy(
        update={"warnings": tuple(Warned(code=code, message=text) for code, text in warned)}
    )
    assert notes(report) == ["Contrast agent stated", "Slices missing in the middle", "In words"]


def test_what_a_header_does_not_state_is_said(case: Drawn) -> None:
    header = copy.deepcopy(case.header)
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate"):
        setattr(header, keyword, "")
    del header.PatientAge
    assert whose_words(identity_of(header)) == (
        "Name not stated",
        "ID not stated",
        "date of birth not stated, sex not stated, age not stated",
    )
    header.PatientBirthDate, header.PatientSex, header.PatientAge = "19580203", "F", "068Y"
    assert whose_words(identity_of(header))[2] == "born 1958-02-03, female, 68 years"


def test_long_text_shrinks_before_it_is_cut() -> None:
    assert fitted("short", 200, (18, 12)) == ("short", 18)
    text = "x" * 30
    assert fitted(text, text_width(text, 12) + 1, (18, 12)) == (text, 12)
    cut, size = fitted("x" * 300, 200, (18, 12))
    assert cut.endswith("…")
    assert size == 12
    assert text_width(cut, 12) <= 200
    lines = wrapped("many words " * 40, 200, 13, 3)
    assert len(lines) == 3
    assert lines[-1].endswith("…")
    assert all(text_width(line, 13) <= 200 for line in lines)


def test_lines_stay_inside_their_view_and_dashes_leave_gaps() -> None:
    canvas = Canvas()
    canvas.line([(0, 50), (200, 50)], WHITE, 3.0, clip=(20, 20, 100, 100))
    drawn = np.asarray(canvas.image)[..., 0] > 0
    columns = np.flatnonzero(drawn.any(axis=0))
    assert (columns[0], columns[-1]) == (20, 99)
    canvas.line([(0, 150), (200, 150)], WHITE, 2.0, (10.0, 10.0))
    dashed = np.asarray(canvas.image)[150, :200, 0] > 128
    assert 0.4 < dashed.mean() < 0.6


def test_the_palette_keeps_greys_and_colours(case: Drawn) -> None:
    colours = (BLACK, WHITE, YELLOW, SKY_BLUE, ORANGE, VERMILLION)
    swatches = Image.new("RGB", (len(colours), 1))
    for k, colour in enumerate(colours):
        swatches.putpixel((k, 0), colour)
    np.testing.assert_array_equal(PALETTE[palette_indices(swatches)][0], colours)
    greys = Image.fromarray(np.arange(256, dtype=np.uint8)[None]).convert("RGB")
    difference = PALETTE[palette_indices(greys)].astype(int) - np.asarray(greys)
    assert np.abs(difference).max() <= 1
    drawn = picture(case)
    difference = np.abs(PALETTE[palette_indices(Image.fromarray(drawn))].astype(int) - drawn)
    assert difference.max(axis=-1).mean() < 1.0
    assert difference.max() <= 48
