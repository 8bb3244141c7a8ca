"""What the report says of a stage: a likeness, its doubt, and no fracture that was not seen."""

from typing import Any

import pytest

from dicom_node.reporting.report import _statement, refusal_report, text_summary
from modeling import Stage, StagePrediction


def staged(
    stage: Stage | None, within: str = "CD", abstained: str | None = None
) -> StagePrediction:
    return StagePrediction(stage, {}, {}, tuple(map(Stage, within)), "m", abstained)


def test_stage_d_is_a_likeness_and_says_that_no_fracture_was_seen() -> None:
    said = _statement(staged(Stage.D))
    assert said.startswith("looks most like patients with an osteoporotic fracture")
    assert said.endswith("not that a fracture was seen")


@pytest.mark.parametrize("stage", [Stage.A, Stage.B, Stage.C])
def test_other_stages_do_not_speak_of_fractures(stage: Stage) -> None:
    assert "fracture" not in _statement(staged(stage))


def test_a_set_of_four_is_undetermined_and_three_are_not() -> None:
    assert _statement(staged(Stage.B, "ABCD")).startswith("undetermined")
    assert "undetermined" not in _statement(staged(Stage.B, "ABC"))


def test_an_abstention_gives_its_reason() -> None:
    found = _statement(staged(None, "", "2 of 6 vertebrae measured"))
    assert found == "not staged: 2 of 6 vertebrae measured"


def test_a_refused_series_has_the_same_fields() -> None:
    assert refusal_report("1", "2", "c", "tilted")["stage"]["statement"] == "not staged: tilted"


def test_the_text_gives_the_statement_and_how_unusual_the_values_are() -> None:
    content: dict[str, Any] = {
        **refusal_report("1", "2", "c", "x"),
        "refused": None,
        "l1_threshold": {"category": None, "mean_hu": None},
    }
    content["stage"] |= {
        "predicted": "D",
        "statement": _statement(staged(Stage.D)),
        "probabilities": {"A": 0.1, "B": 0.1, "C": 0.2, "D": 0.6},
        "prediction_set": ["C", "D"],
        "novelty_percentile": 37.4,
    }
    text = text_summary(content)
    assert "Stage     D - looks most like patients with an osteoporotic fracture" in text
    assert "Unusual   more than 37 % of the cohort's patients" in text
