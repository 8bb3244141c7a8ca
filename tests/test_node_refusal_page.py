"""A scan that was not analysed: when a page says so, and what its picture shows."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from reportlab.pdfbase.ttfonts import TTFont

from dicom_node.reporting.pictures.fonts import BOLD, REGULAR, font_file
from dicom_node.reporting.pictures.refusal_picture import refusal_picture
from dicom_node.reporting.report import refusal_report
from dicom_node.reporting.report_model import Refusal
from dicom_node.reporting.words.document_words import refusal_advices, refusal_reason
from dicom_node.reporting.words.identity_words import (
    NOT_STATED,
    PRINTED,
    identity_of,
    printable,
    refused_identity,
)
from dicom_node.reporting.words.refusal_words import OF_A_KIND, REFUSAL_ADVICE
from dicom_node.reporting.words.screening_scope import (
    MEANT,
    NOT_MEANT,
    meant_for_screening,
    page_is_due,
    shows_another_body_part,
)
from dicom_node.series.selection import RefusedSeries

REFUSALS = Path(__file__).parents[1] / "docs" / "refusals.md"


def header(**values: str) -> Dataset:
    found = Dataset()
    for keyword, value in values.items():
        setattr(found, keyword, value)
    return found


def refusal(code: str, message: str = "the reason", *rejected: str) -> Refusal:
    series = [RefusedSeries("1.2", f"1.2.{k}", c, f"of {c}") for k, c in enumerate(rejected)]
    return refusal_report("1.2", "" if rejected else "1.2.9", code, message, (), series)


OF_READINGS = {
    "reading.outdated", "reading.work_gone", "roi.correction_invalid", "retention.work_days",
}  # fmt: skip
"""What the part on readers' words names: no scan is refused by it."""


def documented_refusals() -> set[str]:
    """All codes of the first table, and the rules' codes of the second one."""
    page = REFUSALS.read_text()
    first = page[: page.index("## Rules that")]
    rules = page[page.index("| Rule |") : page.index("The tube voltage")]
    rows = [line for line in (first + rules).splitlines() if line.startswith("| `")]
    cells = [cell for row in rows for cell in row.split("|")[1:4]]
    codes = {code for cell in cells for code in re.findall(r"`([a-z_]+\.(?:[a-z_]+|\*))`", cell)}
    roi = {code for code in REFUSAL_ADVICE if code.startswith("roi.")}
    return (codes - {"roi.*", *OF_READINGS}) | roi


def test_every_documented_refusal_is_decided_once_with_its_reason() -> None:
    decided = set(MEANT) | set(NOT_MEANT)
    assert documented_refusals() | set(REFUSAL_ADVICE) == decided
    assert {f"{kind}*" for kind in OF_A_KIND} <= decided
    assert not set(MEANT) & set(NOT_MEANT)
    assert all(reason for reason in (*MEANT.values(), *NOT_MEANT.values()))


def screening_codes() -> set[str]:
    """All codes that the program gives to rows of a screening, and to what it asks."""
    sources = (REFUSALS.parents[1] / "dicom_node").rglob("*.py")
    trees = (ast.parse(path.read_text()) for path in sources)
    texts = {n.value for t in trees for n in ast.walk(t) if isinstance(n, ast.Constant)}
    code = re.compile(r"(archive|list|screening)\.[a-z_]+")
    columns = {"screening.id"}
    return {text for text in texts if isinstance(text, str) and code.fullmatch(text)} - columns


def test_every_code_of_a_screening_is_documented_with_what_to_do() -> None:
    page = REFUSALS.read_text()
    section = page[page.index("## Of a screening") :]
    rows = re.findall(r"^\| `([a-z_.]+)` \| (\S.*?) \| (\S.*?) \|$", section, re.MULTILINE)
    assert {code for code, _, _ in rows} == screening_codes()


@pytest.mark.parametrize(
    ("code", "due"),
    [
        ("series.kvp", True), ("series.slice_thickness", True), ("series.gantry_tilt", True),
        ("acquisition.kernel_lung_bone", True), ("series.missing_slices", True),
        ("roi.levels_not_covered", True), ("segmentation.empty", True),
        ("series.not_ct", False), ("series.localizer", False), ("input.no_dicom", False),
        ("roi.spine_not_found", False), ("totalsegmentator.weights_missing", False),
        ("series.unheard_of", False),
    ],
)  # fmt: skip
def test_only_a_ct_that_was_meant_gets_a_page(code: str, due: bool) -> None:
    assert meant_for_screening(code) == due
    assert page_is_due(refusal(code), header()) == due


@pytest.mark.parametrize(
    ("codes", "due"),
    [
        (("series.not_ct", "series.localizer"), False),
        (("series.localizer", "series.kvp"), True),
    ],
)
def test_a_study_is_meant_if_one_of_its_series_is(codes: tuple[str, ...], due: bool) -> None:
    assert page_is_due(refusal("input.no_eligible_series", "none", *codes), header()) == due


@pytest.mark.parametrize(
    ("part", "other"),
    [("HEAD", True), ("C_SPINE", True), ("C SPINE", True), ("LSPINE", False), ("ABDOMEN", False),
     ("", False)],
)  # fmt: skip
def test_a_head_gets_no_page_whatever_its_refusal(part: str, other: bool) -> None:
    assert shows_another_body_part(header(BodyPartExamined=part)) == other
    assert page_is_due(refusal("series.kvp"), header(BodyPartExamined=part)) != other


def test_reason_and_help_of_a_study_name_no_codes_and_each_help_once() -> None:
    codes = ("series.kvp", "series.kvp", "series.localizer", "series.derived")
    message = "none of 4 series can be assessed: of series.kvp [series.kvp]; and so on"
    found = refusal("input.no_eligible_series", message, *codes)
    assert refusal_reason(found) == "None of 4 series can be assessed."
    assert refusal_advices(found) == (
        "Send the axial series at 120 kVp with a soft or standard kernel.",
        "Send a series that was acquired at 120 kVp.",
        "Send the original axial series, not a reformation.",
    )


def lines_of(picture: Image.Image) -> int:
    """Number of lines of text: rows with something on them, in a run."""
    lit = (np.asarray(picture.convert("L")) > 40).any(axis=1)
    return int((np.diff(lit.astype(int)) == 1).sum())


WHOSE = {"PatientName": "Phantom^Ann", "PatientID": "P1", "StudyDate": "20260102"}


def test_picture_has_more_lines_the_more_series_and_never_leaves_its_margins() -> None:
    one = refusal_picture(refusal("series.kvp"), header(**WHOSE))
    many = refusal_picture(
        refusal("input.no_eligible_series", "none", *(f"x.{'w' * k}" for k in range(1, 90))),
        header(**WHOSE, StudyDescription="W" * 64),
    )
    for picture in (one, many):
        assert picture.mode == "RGB"
        assert picture.size == (1280, 1024)
        pixels = np.asarray(picture)
        assert not pixels[:, :50].any()
        assert not pixels[:, 1230:].any()
        assert not pixels[1010:].any()
        assert not pixels[:40].any()
    assert lines_of(many) > lines_of(one) > 8


def test_picture_is_the_same_each_time_and_another_for_another_patient() -> None:
    first, same, other = (
        refusal_picture(refusal("series.kvp"), header(**{**WHOSE, "PatientID": number})).tobytes()
        for number in ("P1", "P1", "P2")
    )
    assert first == same
    assert first != other


@pytest.mark.parametrize("name", [REGULAR, BOLD])
def test_font_has_a_glyph_for_all_that_is_printed(name: str) -> None:
    glyphs = TTFont(name, str(font_file(name))).face.charToGlyph
    assert not [character for character in PRINTED if ord(character) not in glyphs]


def test_age_is_stated_or_counted_from_birth_to_study() -> None:
    assert identity_of(header(PatientAge="068Y")).age == "68 years"
    assert identity_of(header(PatientAge="011M")).age == "11 months"
    dates = {"PatientBirthDate": "19600102", "StudyDate": "20260101"}
    assert identity_of(header(**dates)).age == "65 years"
    assert identity_of(header(StudyDate="20260101")).age == f"age {NOT_STATED}"


def test_text_is_cut_where_no_page_has_room_and_control_characters_are_spaces() -> None:
    assert printable("a\x00b\r\n\u202ec") == "a b c"
    assert printable("W" * 500).endswith("W…")
    assert len(printable("W" * 500)) < 100


def test_refusal_names_a_series_only_if_the_header_is_of_it() -> None:
    image = header(SeriesInstanceUID="1.2.9", SeriesNumber="3", SeriesDescription="LSPINE 3.0")
    assert refused_identity(image, "1.2.9").series == "3: LSPINE 3.0"
    assert refused_identity(image, "").series == "all of the study"
    assert refused_identity(image, "1.2.8").series == NOT_STATED
