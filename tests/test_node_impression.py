"""Every impression that can be written is short and says nothing that it does not know."""

import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

from dicom_node.reporting.words.impression import (
    NOT_A_DIAGNOSIS,
    Evidence,
    impression,
    refusal_impression,
)
from dicom_node.reporting.words.refusal_words import REFUSAL_ADVICE
from dicom_node.reporting.words.warning_words import LIMITS, WARNING_WORDS
from modeling import Stage
from tests.wording_page import wording_page

MAX_WORDS = 60
SETS = [set_ for size in range(5) for set_ in combinations(Stage, size)]
LONGEST = tuple(sorted(LIMITS, key=lambda code: -len(LIMITS[code].split())))[:6]


def every_case() -> Iterator[Evidence]:
    for l1_hu in (None, 97.4, 110.0, 135.0, 160.4, 190.0):
        for stages in SETS:
            for codes in ((), LONGEST[:1], LONGEST[:3], LONGEST):
                for missing in (0, 4):
                    yield Evidence(l1_hu, 120.0, True, stages, codes, missing)
        for kvp in (None, 120.0, 140.0):
            yield Evidence(l1_hu, kvp, False, (), LONGEST, 30)


def test_every_impression_has_at_most_three_sentences_and_sixty_words() -> None:
    for evidence in every_case():
        sentences = impression(evidence)
        assert 2 <= len(sentences) <= 3
        assert sentences[-1] == NOT_A_DIAGNOSIS
        assert all(sentence.endswith(".") and ".." not in sentence for sentence in sentences)
        text = " ".join(sentences)
        assert len(text.split()) <= MAX_WORDS, text
        assert "_" not in text
        limited = evidence.codes or evidence.missing
        assert ("Limited by" in text) == bool(limited)


@pytest.mark.parametrize(
    ("l1_hu", "said"),
    [(97.4, "97"), (109.6, "110"), (110.3, "110.3"), (160.0, "160"), (160.04, "160.04")],
)
def test_l1_is_written_so_that_it_does_not_contradict_its_category(l1_hu: float, said: str) -> None:
    assert impression(Evidence(l1_hu))[0].startswith(f"L1 {said} HU: ")


A, B, C, D = Stage


@pytest.mark.parametrize(
    ("l1_hu", "stages", "disagree"),
    [
        (97, (A,), True), (97, (A, B), True), (97, (B, C), False), (97, (C, D), False),
        (190, (C,), True), (190, (C, D), True), (190, (B, C), False), (190, (A,), False),
        (135, (A,), False), (135, (D,), False), (97, (A, B, C), False), (190, (), False),
    ],
)  # fmt: skip
def test_disagreement_of_threshold_and_model_is_said_with_its_reason(
    l1_hu: float, stages: tuple[Stage, ...], disagree: bool
) -> None:
    said = impression(Evidence(l1_hu, stages=stages))[0]
    assert ("but the cohort's model, which weighs all vertebrae and muscles" in said) == disagree


@pytest.mark.parametrize("stages", [s for s in SETS if len(s) > 2])
def test_more_than_two_stages_are_undetermined_and_none_is_named(stages: tuple[Stage, ...]) -> None:
    said = impression(Evidence(135.0, stages=stages))[0]
    assert said.endswith("; the cohort's model is undetermined.")


def test_a_scan_with_l1_and_few_other_regions_has_a_verdict_and_no_stage() -> None:
    said = impression(Evidence(97.0, codes=("model.too_few_vertebrae",), missing=29))
    assert said[0] == (
        "L1 97 HU: osteoporosis likely at the published threshold of 110 HU; too few regions were "
        "measured for a stage."
    )


def test_other_spectra_have_neither_threshold_nor_model() -> None:
    for kvp in (None, 120.0, 140.0):
        said = impression(Evidence(97.0, kvp=kvp, at_cohort_kvp=False))[0]
        assert said.startswith("L1 97 HU")
        assert "osteoporosis" not in said
        assert "hold" in said


def test_refusal_gives_its_reason_and_what_would_help_and_says_nothing_of_the_bone() -> None:
    found = refusal_impression("series.kvp", "the tube voltage is 80 kVp")
    assert found[0] == "Not analysed: the tube voltage is 80 kVp."
    assert found[1] == "Send a series that was acquired at 120 kVp."
    assert "nothing of the bone" in found[2]


def test_every_refusal_of_the_docs_says_what_would_help() -> None:
    page = (Path(__file__).parents[1] / "docs" / "refusals.md").read_text()
    page = page[: page.index("## Of a screening")]
    refused = page[: page.index("## Rules that")] + page[page.index("| Rule |") :]
    rows = [line.split("`") for line in refused.splitlines() if line.startswith("| `")]
    codes = {cell for row in rows for cell in row[1:6:2] if re.fullmatch(r"\w+\.\w+", cell)}
    of_work = {
        *("node.instances_gone", "node.outdated_work", "report.withdrawn"),
        *("reading.outdated", "reading.work_gone", "roi.correction_invalid"),
        "retention.work_days",
    }
    missing = {c for c in codes - of_work if c not in REFUSAL_ADVICE and c not in WARNING_WORDS}
    assert not missing
    assert len(codes) > 40


def test_every_code_that_advice_is_given_for_is_used() -> None:
    root = Path(__file__).parents[1]
    code = "".join(
        path.read_text()
        for package in ("dicom_node", "roi_extraction")
        for path in (root / package).rglob("*.py")
        if path.parent.name != "words"
    )
    assert not [
        c for c in REFUSAL_ADVICE if f'"{c}"' not in code and not c.startswith("acquisition.")
    ]


def test_codes_of_warnings_fit_their_elements_and_differ() -> None:
    shorts = [words.short for words in WARNING_WORDS.values()]
    assert len(set(shorts)) == len(shorts)
    for words in WARNING_WORDS.values():
        assert len(words.short) <= 16
        assert 0 < len(words.meaning) <= 64


def test_every_warning_of_the_docs_has_its_words() -> None:
    page = (Path(__file__).parents[1] / "docs" / "refusals.md").read_text()
    listed = page[page.index("| Rule | Default") : page.index("## Of a screening")]
    rows = [line.split("`") for line in listed.splitlines() if line.startswith("| `")]
    named = {cell for row in rows for cell in row[1::2] if "." in cell and " " not in cell}
    assert {code for code in named if not code.startswith("series.")} <= set(WARNING_WORDS)


def test_page_of_the_wording_is_what_the_code_says() -> None:
    page = Path(__file__).parents[1] / "docs" / "wording.md"
    assert page.read_text() == wording_page()
