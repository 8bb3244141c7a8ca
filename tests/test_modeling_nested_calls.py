"""What calls are worth at a prevalence, against arithmetic by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from modeling import BundleIncompatible, Sex, Stage, Stager, load_bundle, save_bundle
from modeling.bundle.nested_calls import CallValue, NestedCalls
from modeling.staging_rules import StagingRules
from tests.test_modeling_bundle import restate
from tests.test_modeling_staging import patient

EVEN = dict.fromkeys(Stage, 0.25)
RARE = {Stage.A: 0.45, Stage.B: 0.38, Stage.C: 0.12, Stage.D: 0.05}


def calls(rows: list[tuple[str, list[float], str]]) -> NestedCalls:
    stages, probabilities, answers = zip(*rows, strict=True)
    return NestedCalls(np.array(stages), np.array(probabilities), np.array(answers))


SURE = calls(
    [
        ("A", [0.9, 0.1, 0.0, 0.0], "no"),
        ("A", [0.8, 0.1, 0.1, 0.0], "no"),
        ("A", [0.0, 0.1, 0.1, 0.8], "yes"),
        ("A", [0.7, 0.2, 0.1, 0.0], "undetermined"),
        ("B", [0.1, 0.8, 0.1, 0.0], "no"),
        ("B", [0.1, 0.1, 0.8, 0.0], "undetermined"),
        ("C", [0.1, 0.1, 0.8, 0.0], "yes"),
        ("D", [0.0, 0.0, 0.1, 0.9], "yes"),
        ("D", [0.1, 0.7, 0.1, 0.1], "no"),
    ]
)


def test_predictive_values_follow_from_sensitivity_specificity_and_prevalence() -> None:
    found = SURE.predictive_values(EVEN, EVEN)
    # D is said of 1 of 4 with A, of nobody with B and C, of 1 of 2 with D.
    assert found.stages[Stage.D] == CallValue(round(0.5 / 0.75, 3), round(2.75 / 3.25, 3))
    # C or D: A 1/4, B 1/2, C 1, D 1/2.
    assert found.osteoporosis_call == CallValue(round(1.5 / 2.25, 3), round(1.25 / 1.75, 3))
    # yes: A 1/4, B 0, C 1, D 1/2; no: A 1/2, B 1/2, C 0, D 1/2.
    assert found.osteoporosis_answer == CallValue(round(1.5 / 1.75, 3), round(1.0 / 1.5, 3))


def test_a_rarer_stage_is_called_less_and_its_calls_are_worth_less() -> None:
    found = SURE.predictive_values(EVEN, RARE)
    # The answers do not depend on the mix, only their worth does.
    yes = RARE[Stage.A] / 4 + RARE[Stage.C] + RARE[Stage.D] / 2
    assert found.osteoporosis_answer.positive == round((yes - RARE[Stage.A] / 4) / yes, 3)
    # The most probable stage is that of re-weighted probabilities: C 0.8 * 0.12 < B 0.1 * 0.38 no,
    # but A 0.1 * 0.45 < C 0.8 * 0.12: C stays; a D at 0.9 * 0.05 stays before C 0.1 * 0.12.
    said = RARE[Stage.A] / 4 + RARE[Stage.B] / 2 + RARE[Stage.C] + RARE[Stage.D] / 2
    assert found.osteoporosis_call.positive == round((RARE[Stage.C] + RARE[Stage.D] / 2) / said, 3)
    close = calls([(s, [0.3, 0.1, 0.2, 0.4], "undetermined") for s in "ABCD"])
    assert close.predictive_values(EVEN, EVEN).stages[Stage.D] == CallValue(0.25, None)
    assert close.predictive_values(EVEN, RARE).stages[Stage.D] == CallValue(None, 0.95)
    assert close.predictive_values(EVEN, RARE).stages[Stage.A].positive == 0.45


def test_the_file_gives_the_same_values_in_another_order() -> None:
    again = NestedCalls.from_csv(SURE.to_csv())
    assert again.predictive_values(EVEN, RARE) == SURE.predictive_values(EVEN, RARE)
    turned = NestedCalls(SURE.stages[::-1], SURE.probabilities[::-1], SURE.answers[::-1])
    assert turned.to_csv() == SURE.to_csv()


@pytest.mark.parametrize(
    "change",
    [("stage", "stages"), ("A,0.9", "E,0.9"), ("undetermined", "perhaps"), (",0.0000", "")],
    ids=["header", "stage", "answer", "columns"],
)
def test_a_file_of_other_content_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    save_bundle(load_bundle(), tmp_path)
    content = SURE.to_csv().decode()
    assert change[0] in content
    (tmp_path / "nested_calls.csv").write_text(content.replace(*change))
    restate(tmp_path)
    with pytest.raises(BundleIncompatible, match=r"nested_calls\.csv"):
        load_bundle(tmp_path)


def test_a_staged_patient_gets_the_worth_of_the_call_at_the_stated_prevalence() -> None:
    bundle = load_bundle()
    assert bundle.calls is not None
    own = Stager(bundle).stage(patient(60), 75, Sex.FEMALE)
    rare = Stager(bundle, StagingRules(prevalence=RARE)).stage(patient(60), 75, Sex.FEMALE)
    for found in (own, rare):
        assert found.predictive_values == bundle.calls.predictive_values(
            bundle.prevalence, found.prevalence
        )
    yes, rarely = (
        bundle.calls.predictive_values(bundle.prevalence, mix).osteoporosis_answer.positive or 0
        for mix in (bundle.prevalence, RARE)
    )
    assert 0.7 < yes < 0.95
    assert 0 < rarely < yes - 0.15


def test_a_bundle_without_nested_calls_says_nothing_of_their_worth(tmp_path: Path) -> None:
    save_bundle(load_bundle(), tmp_path)
    (tmp_path / "nested_calls.csv").unlink()
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["files"]["nested_calls.csv"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    bundle = load_bundle(tmp_path)
    assert bundle.model_id == load_bundle().model_id
    found = Stager(bundle).stage(patient(), 70, Sex.MALE)
    assert found.predicted is not None
    assert found.predictive_values is None


def test_the_nested_calls_agree_with_the_scores_that_the_bundle_states() -> None:
    bundle = load_bundle()
    assert bundle.calls is not None
    stated = bundle.scores["osteoporosis"]
    late = np.isin(bundle.calls.stages, ["C", "D"])
    assert np.mean(bundle.calls.answers[late] != "no") == pytest.approx(
        stated["coverage_yes"], abs=1e-4
    )
    top = np.array(list("ABCD"))[bundle.calls.probabilities.argmax(axis=1)]
    right = [np.mean(top[bundle.calls.stages == s] == s) for s in "ABCD"]
    assert np.mean(right) == pytest.approx(bundle.scores["balanced_accuracy"], abs=2e-3)
