"""What the report says of a stage, and what it does not say."""

from dataclasses import replace

import pytest

from dicom_node.reporting.evaluations import coded_results, supplement
from dicom_node.reporting.report import refusal_report, report, stage_statement
from dicom_node.reporting.words.impression import Evidence
from dicom_node.reporting.words.report_text import text_summary
from dicom_node.reporting.words.result_kind import ResultKind, result_kind
from dicom_node.series.selection import check_series
from dicom_node.settings.node import Acquisition
from modeling import Stage, StagePrediction
from modeling.bundle.nested_calls import CallValue, PredictiveValues
from roi_extraction.anatomy import Finding
from tests.assessment_builders import assessment_of
from tests.dicom_builders import instances


def staged(
    stage: Stage | None, within: str = "CD", abstained: str | None = None
) -> StagePrediction:
    return StagePrediction(stage, {}, {}, tuple(map(Stage, within)), "m", abstained)


def test_stage_d_is_a_likeness_and_says_that_no_fracture_was_seen() -> None:
    said = stage_statement(staged(Stage.D))
    assert said.startswith("looks most like patients with an osteoporotic fracture")
    assert said.endswith("not that a fracture was seen")


@pytest.mark.parametrize("stage", [Stage.A, Stage.B, Stage.C])
def test_other_stages_do_not_speak_of_fractures(stage: Stage) -> None:
    assert "fracture" not in stage_statement(staged(stage))


def test_a_set_of_more_than_two_is_undetermined() -> None:
    assert stage_statement(staged(Stage.B, "ABCD")).startswith("undetermined, 4 stages fit")
    assert stage_statement(staged(Stage.B, "ABC")).startswith("undetermined, 3 stages fit")
    assert "undetermined" not in stage_statement(staged(Stage.B, "BC"))


def test_an_abstention_gives_its_reason() -> None:
    found = stage_statement(staged(None, "", "2 of 6 vertebrae measured"))
    assert found == "not staged: 2 of 6 vertebrae measured"


def test_a_refused_series_says_that_it_is_not_staged() -> None:
    assert refusal_report("1", "2", "c", "tilted").stage.statement == "not staged: tilted"


def test_the_text_gives_the_statement_and_how_unusual_the_values_are() -> None:
    assessed = assessment_of(check_series(instances(), Acquisition()))
    prediction = StagePrediction(
        Stage.D,
        {Stage.A: 0.1, Stage.B: 0.1, Stage.C: 0.2, Stage.D: 0.6},
        {"A/B": 0.5},
        (Stage.C, Stage.D),
        "m",
        novelty_percentile=37.4,
    )
    text = text_summary(report(replace(assessed, prediction=prediction), {}))
    assert "Stage     D - looks most like patients with an osteoporotic fracture" in text
    assert "Unusual   more than 37 % of the cohort's patients" in text


def test_the_report_says_what_its_calls_are_worth_at_the_stated_prevalence() -> None:
    assessed = assessment_of(check_series(instances(), Acquisition()))
    values = PredictiveValues(
        {stage: CallValue(0.1, 0.9) for stage in Stage} | {Stage.C: CallValue(0.41, 0.92)},
        CallValue(0.72, 0.83),
        CallValue(0.87, None),
    )
    valued = replace(assessed, prediction=replace(assessed.prediction, predictive_values=values))
    found = report(valued, {})
    assert found.stage.predictive_values is not None
    assert found.stage.predictive_values.model_dump() == {
        "stage": {"ppv": 0.41, "npv": 0.92},
        "osteoporosis_call": {"ppv": 0.72, "npv": 0.83},
        "osteoporosis_answer": {"ppv": 0.87, "npv": None},
    }
    said = (
        "stage C is right in 41 % (another stage in 92 %), C or D in 72 % (A or B in 83 %); "
        "osteoporosis yes in 87 %, no in an unknown share."
    )
    assert said in text_summary(found)
    assert "Mix       Probabilities hold for patients of whom 23 % are of stage A" in text_summary(
        found
    )
    comments = [
        item.TextValue for item in supplement(valued).ContentSequence if "TextValue" in item
    ]
    assert any(comment.endswith(said) for comment in comments)
    assert found.impression == report(assessed, {}).impression
    assert report(assessed, {}).stage.predictive_values is None
    assert "Worth" not in text_summary(report(assessed, {}))


@pytest.mark.parametrize(
    ("evidence", "kind"),
    [
        (Evidence(90.0, stages=(Stage.C, Stage.D)), "staged"),
        (Evidence(90.0, stages=(Stage.B, Stage.C, Stage.D)), "undetermined"),
        (Evidence(90.0, codes=("model.too_few_muscles",)), "l1_alone"),
        (Evidence(None, codes=("model.too_few_vertebrae",)), "measured"),
        (Evidence(90.0, at_cohort_kvp=False, codes=("model.too_few_muscles",)), "measured"),
        (Evidence(90.0), "measured"),
    ],
)
def test_each_scan_leads_to_one_kind_of_result(evidence: Evidence, kind: str) -> None:
    assert result_kind(evidence) == kind


def test_l1_without_a_stage_has_a_code_of_its_own() -> None:
    assessed = assessment_of(check_series(instances(), Acquisition()))
    few = Finding("model.too_few_vertebrae", "1 of 6 vertebrae measured, at least 4 needed")
    alone = replace(
        assessed,
        prediction=StagePrediction(None, {}, {}, (), "m", few.message, (few,)),
        findings=(few,),
        contributions=(),
    )
    assert report(alone, {}).result is ResultKind.L1_ALONE
    assert coded_results(alone).ContentSequence[0].ConceptCodeSequence[0].CodeValue == "STAGE-L1"
