"""What a user decides about staging: prevalence, and patients without L5 and S1."""

import numpy as np
import pytest

from modeling import Sex, Stage, Stager, load_bundle
from modeling.bundle.bundle import Bundle
from modeling.calibration import Osteoporosis
from modeling.staging_rules import StagingRules, at_prevalence
from tests.test_modeling_staging import patient

RARE = {Stage.A: 0.45, Stage.B: 0.38, Stage.C: 0.12, Stage.D: 0.05}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle()


def test_a_rarer_stage_is_less_probable_and_the_odds_move_as_bayes_says(bundle: Bundle) -> None:
    own = Stager(bundle).stage(patient(), 70, Sex.FEMALE)
    rare = Stager(bundle, StagingRules(RARE)).stage(patient(), 70, Sex.FEMALE)
    cohort = bundle.prevalence
    assert own.prevalence == cohort
    assert rare.prevalence == RARE
    odds = own.probabilities[Stage.D] / own.probabilities[Stage.A]
    moved = rare.probabilities[Stage.D] / rare.probabilities[Stage.A]
    expected = odds * (RARE[Stage.D] / cohort[Stage.D]) / (RARE[Stage.A] / cohort[Stage.A])
    assert moved == pytest.approx(expected)
    assert sum(rare.probabilities.values()) == pytest.approx(1)


def test_what_the_sets_cover_does_not_depend_on_the_prevalence(bundle: Bundle) -> None:
    for age in (52, 61, 70, 88):
        own = Stager(bundle).stage(patient(), age, Sex.FEMALE)
        rare = Stager(bundle, StagingRules(RARE)).stage(patient(), age, Sex.FEMALE)
        assert rare.osteoporosis == own.osteoporosis
        assert rare.predicted in rare.prediction_set
        assert set(rare.prediction_set) - {rare.predicted} <= set(own.prediction_set)


def test_a_patient_without_l5_and_s1_is_staged_only_if_that_is_wanted(bundle: Bundle) -> None:
    values = patient(L5=np.nan, S1=np.nan)
    assert Stager(bundle).stage(values, 70, Sex.MALE).predicted is None
    staged = Stager(bundle, StagingRules(without_l5_s1=True))
    assert staged.stage(values, 70, Sex.MALE).predicted is not None
    assert staged.explain(values, 70, Sex.MALE)


def test_the_stages_of_another_scanner_are_those_of_moved_values(bundle: Bundle) -> None:
    stager = Stager(bundle)
    for shift in (-60, -40, -30, -15, 0, 8):
        values = patient() + shift
        found = stager.stage(values, 70, Sex.FEMALE)
        assert found.at_minus_10_hu == stager.stage(values - 10, 70, Sex.FEMALE).predicted
        assert found.at_plus_10_hu == stager.stage(values + 10, 70, Sex.FEMALE).predicted
        said = [f for f in found.findings if f.code == "model.unsteady"]
        assert bool(said) is not found.is_steady


def test_dense_bone_is_told_from_osteoporosis(bundle: Bundle) -> None:
    stager = Stager(bundle)
    dense = patient(L1=220, L2=220, L3=220, L4=220, L5=230, S1=240)
    soft = patient(L1=40, L2=40, L3=40, L4=40, L5=40, S1=45)
    assert stager.stage(dense, 55, Sex.MALE).osteoporosis is Osteoporosis.NO
    assert stager.stage(soft, 82, Sex.FEMALE).osteoporosis is Osteoporosis.YES


def test_reweighting_by_the_cohorts_own_prevalence_changes_nothing(bundle: Bundle) -> None:
    found = {Stage.A: 0.1, Stage.B: 0.2, Stage.C: 0.3, Stage.D: 0.4}
    same = at_prevalence(found, bundle.prevalence, bundle.prevalence)
    assert same == pytest.approx(found)


def test_other_rules_are_another_report(bundle: Bundle) -> None:
    variants = {
        StagingRules().variant,
        StagingRules(RARE).variant,
        StagingRules(without_l5_s1=True).variant,
        StagingRules(RARE, without_l5_s1=True).variant,
    }
    assert len(variants) == 4
    assert StagingRules().variant == ""
