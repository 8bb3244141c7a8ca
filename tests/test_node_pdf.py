"""The report as a PDF: what its pages say, that they fit, and that they are the same each time."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image
from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from dicom_node.reporting.objects.pdf_layout import PAGE_MARGIN, TEXT_WIDTH
from dicom_node.reporting.objects.pdf_pages import refusal_pdf, report_pdf
from dicom_node.reporting.report import refusal_report, report
from dicom_node.reporting.report_model import (
    RESEARCH_USE,
    CallValueReport,
    PredictiveValuesReport,
    Refusal,
    Report,
    Warned,
)
from dicom_node.reporting.structured_report import evidence_header
from dicom_node.reporting.words.call_words import worth_line
from dicom_node.reporting.words.identity_words import NAME_NOT_PRINTABLE
from dicom_node.reporting.words.impression import mix_words
from dicom_node.reporting.words.screening_scope import MEANT, NOT_MEANT
from dicom_node.reporting.words.warning_words import WARNING_WORDS
from dicom_node.series.selection import RefusedSeries
from roi_extraction.anatomy import Finding, MissingReason
from roi_extraction.sites import SITES
from tests.assessment_builders import assessment
from tests.dicom_builders import plain_series
from tests.pdf_reading import page_count, page_text, shown_texts

PICTURE = Image.new("RGB", (320, 256), "black")
KVP = ("series.kvp", "the tube voltage is 80 kVp; allowed are 120 kVp")
INTERNAL = [
    *(site.name for site in SITES if not site.is_vertebra),
    *(reason.value for reason in MissingReason if "_" in reason),
    *WARNING_WORDS,
    *MEANT,
    *NOT_MEANT,
    "community",
    "SHAP value +",
    "_",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pdf") / "series"
    plain_series(folder)
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> Report:
    return report(assessment(folder), {})


@pytest.fixture
def header(folder: Path) -> Dataset:
    return evidence_header(next(folder.iterdir()))


def with_warnings(found: Report, *pairs: tuple[str, str]) -> Report:
    warned = tuple(Warned(code=code, message=message) for code, message in pairs)
    return found.model_copy(update={"warnings": warned})


def refusal(code: str = KVP[0], message: str = KVP[1], rejected: int = 0) -> Refusal:
    others = [
        RefusedSeries("1.2", f"1.2.{k}", "series.derived", f"Image Type {k} [series.derived]")
        for k in range(rejected)
    ]
    warned = (Finding("input.unreadable_files", "3 files left out: not DICOM"),)
    return refusal_report("1.2", "" if rejected else "1.2.9", code, message, warned, others)


def test_first_page_holds_identity_verdict_probabilities_and_the_cohorts_mix(
    found: Report, header: Dataset
) -> None:
    pdf = report_pdf(found, header, PICTURE, ("2020-01-02: L1 120 HU",))
    first = page_text(pdf, 1)
    for words in (
        "Phantom, Osteonode", "PHANTOM", "female, 65 years", *found.impression[1:], "L1 100 HU",
        "at or below 110 HU", "osteoporosis with fracture", "50 %",
        "Cannot be ruled out: osteoporosis, osteoporosis with fracture.",
        "Contrast agent stated", "2020-01-02: L1 120 HU", "1 of 3",
    ):  # fmt: skip
        assert words in first
    assert mix_words(found.stage.prevalence) in re.sub(r"\s+", " ", first)


@pytest.mark.parametrize("share", [1.0, 0.62, None])
def test_predictive_values_take_one_line_of_the_first_page(
    share: float | None, found: Report, header: Dataset
) -> None:
    assert "Predictive values" not in page_text(report_pdf(found, header, PICTURE))
    each = CallValueReport(ppv=share, npv=share)
    values = PredictiveValuesReport(
        stage=each, osteoporosis_call=each, osteoporosis_answer=CallValueReport(ppv=0.8, npv=share)
    )
    stage = found.stage.model_copy(update={"predictive_values": values})
    pdf = report_pdf(found.model_copy(update={"stage": stage}), header, PICTURE)
    assert found.stage.predicted
    line = worth_line(found.stage.predicted, values)
    assert ("–" if share is None else f"{100 * share:.0f} %") in line
    assert line in [item.text for item in shown_texts(pdf) if item.page == 1]
    assert not misfits(pdf)


def test_annex_holds_tables_missing_sites_explanation_method_limits_and_origin(
    found: Report, header: Dataset
) -> None:
    pdf = report_pdf(found, header, PICTURE)
    annex = page_text(pdf, 2) + " " + page_text(pdf, 3)
    for words in (
        "Vertebral bodies, HU", "101", "Transversospinalis", "107 ± 20",
        "Too small for a region of 150 mm2: right psoas major at L1-L2; right longissimus at",
        "a contrast agent is stated", "120 kVp", "What moved the probability of osteoporosis most",
        "raised by 20.0 points", "Pickhardt 2013", "without an external test", "model-1",
        "osteonode",
    ):  # fmt: skip
        assert words in annex.replace("A contrast", "a contrast")


def test_every_page_says_what_it_is_for_its_number_and_whose_it_is(
    found: Report, header: Dataset
) -> None:
    pdf = report_pdf(found, header, PICTURE)
    pages = page_count(pdf)
    assert pages == 3
    for page in range(1, pages + 1):
        text = page_text(pdf, page)
        assert RESEARCH_USE in text
        assert f"page {page} of {pages}" in text
        assert "Phantom, Osteonode" in text
        assert "PHANTOM" in text


@pytest.mark.parametrize("name", ["report", "refusal"])
def test_same_content_gives_the_same_bytes(name: str, found: Report, header: Dataset) -> None:
    made = [
        report_pdf(found, header, PICTURE) if name == "report" else refusal_pdf(refusal(), header)
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert b"/CreationDate (D:20000101" in made[0]


def test_no_name_that_only_programs_use_is_on_a_page(found: Report, header: Dataset) -> None:
    warned = with_warnings(
        found,
        ("model.outside_cohort", "outside the cohort's range: L1-L2_2 67 HU, L1 300 HU"),
        ("input.better_series_refused", "series 1.2.3.4.5.6 comes first, but: no [series.kvp]"),
        ("acquisition.kernel_sharp", "kernel Br59 is sharper"),
    )
    kept = warned.acquisition.model_copy(update={"kernel_class": "lung_bone"})
    pdf = report_pdf(warned.model_copy(update={"acquisition": kept}), header, PICTURE)
    every = page_text(pdf)
    every += page_text(refusal_pdf(refusal("input.no_eligible_series", "none: x", 3), header))
    assert "right longissimus at L1-L2 67 HU" in every
    assert not [name for name in INTERNAL if name in every]
    assert "1.2.3.4" not in every


def test_refused_study_has_one_page_with_reason_help_and_the_series_looked_at(
    header: Dataset,
) -> None:
    message = "none of 60 series can be assessed: a [series.derived]; b [series.derived]"
    pdf = refusal_pdf(refusal("input.no_eligible_series", message, 60), header)
    text = page_text(pdf)
    assert page_count(pdf) == 1
    for words in (
        "Not analysed.", "None of 60 series can be assessed.",
        "Send the original axial series, not a reformation.", "One series: Image Type 0.",
        "more", "Nothing was measured", "all of the study", "3 files left out", RESEARCH_USE,
    ):  # fmt: skip
        assert words in text
    assert not misfits(pdf)


HOSTILE = {
    "PatientName": "W" * 64 + "^" + "M" * 60,
    "PatientID": "<b>&amp;" + "W" * 56,
    "StudyDescription": "</para><font size=90>" + "W" * 200,
    "SeriesDescription": "W" * 400,
    "AccessionNumber": "A\x00\x1b[2J\n&<>",
}


def misfits(pdf: bytes) -> list[object]:
    """Texts beyond the margins, and neighbours in a column whose lines lie upon each other."""
    texts = shown_texts(pdf)
    assert len(texts) > 10
    column = sorted(texts, key=lambda item: (item.page, item.left, item.y))
    beyond = [
        item
        for item in texts
        if item.left < PAGE_MARGIN - 0.1
        or item.right > PAGE_MARGIN + TEXT_WIDTH + 0.5
        or not 20 < item.y < 830
    ]
    upon = [
        (one, two)
        for one, two in pairwise(column)
        if one.page == two.page and one.left == two.left and two.y - one.y < 6
    ]
    return [*beyond, *upon]


def test_long_names_wrap_and_markup_in_them_is_text(found: Report, header: Dataset) -> None:
    plain = page_count(report_pdf(found, header, PICTURE))
    for keyword, value in HOSTILE.items():
        header[keyword] = DataElement(
            keyword, dictionary_VR(keyword), value, validation_mode=config.IGNORE
        )
    many = [(code, f"{code.split('.')[1]} " * 12) for code in WARNING_WORDS]
    warned = with_warnings(found, *((code, text.replace("_", " ")) for code, text in many))
    priors = [f"20{k:02d}-01-02: {'W' * 200}" for k in range(40)]
    for pdf in (
        report_pdf(found, header, PICTURE),
        report_pdf(warned, header, PICTURE, priors),
        refusal_pdf(refusal(), header),
    ):
        assert not misfits(pdf)
        text = page_text(pdf, 1).replace(" ", "")
        assert "<b>&amp;WWWW" in text
        assert "</para><fontsize=90>" in text
        assert "A[2J&<>" in text
    assert page_count(report_pdf(found, header, PICTURE)) == plain


def test_priors_that_the_first_page_has_no_room_for_are_in_the_annex(
    found: Report, header: Dataset
) -> None:
    priors = [f"{1960 + k}-01-02: L1 {100 + k} HU" for k in range(60)]
    pdf = report_pdf(found, header, PICTURE, priors)
    on_page = [prior for prior in priors if prior in page_text(pdf, 1)]
    in_annex = [prior for prior in priors if prior in page_text(pdf) and prior not in on_page]
    assert on_page == priors[: len(on_page)]
    assert on_page
    assert on_page + in_annex == priors
    assert f"{len(in_annex)} more in the annex" in page_text(pdf, 1)


@pytest.mark.parametrize("size", [(300, 1200), (1200, 300), (1, 1)])
def test_picture_of_any_shape_stays_on_the_first_page(
    size: tuple[int, int], found: Report, header: Dataset
) -> None:
    pdf = report_pdf(found, header, Image.new("RGB", size))
    assert page_count(pdf) == 3
    assert not misfits(pdf)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Müller^Jörg^^Dr.", "Müller, Dr. Jörg"),
        ("Παπαδόπουλος^Ελένη", "Παπαδόπουλος, Ελένη"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou"),
        ("=山田^太郎", NAME_NOT_PRINTABLE),
        ("قباني^لنزار", NAME_NOT_PRINTABLE),
        ("", "not stated"),
    ],
)
def test_names_are_printed_where_the_font_has_them(
    name: str, said: str, found: Report, header: Dataset
) -> None:
    header.PatientName = name
    assert said in page_text(report_pdf(found, header, PICTURE), 1)


def test_abstained_stage_and_other_tube_voltage_are_said(folder: Path, header: Dataset) -> None:
    found = report(assessment(folder, abstained="too few vertebrae"), {})
    pdf = report_pdf(found, header, PICTURE)
    assert "The cohort's model gives no stage: too few vertebrae." in page_text(pdf, 1)
    assert "Probabilities hold" not in page_text(pdf, 1)
    assert "What moved" not in page_text(pdf) or found.explanation
