"""Staging and explaining one patient with the bundle that comes with the software."""

import numpy as np
import pytest

from modeling import SITE_NAMES, InvalidFeatures, Sex, Stage, Stager, explain, load_bundle, stage
from modeling.design import DESIGN, UNUSED_SITES
from modeling.staging import PATIENTS_AT_ONCE


@pytest.fixture(scope="module")
def stager() -> Stager:
    return Stager(load_bundle())


def patient(bone: float = 100.0, muscle: float = 40.0, **changed: float) -> np.ndarray:
    hu = np.array([muscle if "_" in name else bone for name in SITE_NAMES], dtype=float)
    hu[[SITE_NAMES.index(name) for name in UNUSED_SITES]] = np.nan
    for name, value in changed.items():
        hu[SITE_NAMES.index(name)] = value
    return hu


def test_dense_bone_is_normal_and_empty_bone_is_not(stager: Stager) -> None:
    dense = stager.stage(patient(220, 55), 52, Sex.MALE)
    empty = stager.stage(patient(35, 10), 80, Sex.FEMALE)
    assert dense.predicted is Stage.A
    assert empty.predicted in (Stage.C, Stage.D)
    assert dense.pairwise["A/D"] < 0.1 < 0.9 < empty.pairwise["A/D"]


def test_probabilities_sum_to_one_and_the_set_holds_the_stage(stager: Stager) -> None:
    for bone in (30, 80, 130, 180, 250):
        found = stager.stage(patient(bone), 67, Sex.FEMALE)
        assert sum(found.probabilities.values()) == pytest.approx(1)
        assert found.predicted in found.prediction_set
        assert len(found.pairwise) == 6
        assert found.abstained is None
        assert found.model_id == stager.bundle.model_id


@pytest.mark.parametrize("which", list(Stage))
def test_shares_add_up_to_the_reported_probability(stager: Stager, which: Stage) -> None:
    hu = patient(90, L5=60, L2=np.nan)
    shares = stager.explain(hu, None, Sex.FEMALE, which)
    total = stager.base_probability(which) + sum(share.shap for share in shares)
    assert total == pytest.approx(stager.stage(hu, None, Sex.FEMALE).probabilities[which], abs=1e-9)


def test_an_explanation_names_values_and_sites(stager: Stager) -> None:
    hu = patient(90, L5=60, L2=np.nan)
    shares = {share.feature: share for share in stager.explain(hu, None, Sex.MALE)}
    assert set(shares) == {feature.name for feature in DESIGN}
    assert shares["L5"].value == 60
    assert shares["L2"].value is None
    assert shares["age"].value is None
    assert shares["sex"].value == 1
    assert shares["mean of L5, S1"].sites == ("L5", "S1")
    ordered = [abs(share.shap) for share in stager.explain(hu, None, Sex.MALE)]
    assert ordered == sorted(ordered, reverse=True)


def test_unknown_age_and_sex_are_said(stager: Stager) -> None:
    found = stager.stage(patient(), None, None)
    assert [f.code for f in found.findings] == ["model.age_imputed", "model.sex_imputed"]
    assert found.predicted is not None


def test_an_imputed_vertebra_is_said(stager: Stager) -> None:
    found = stager.stage(patient(L3=np.nan), 70, Sex.MALE)
    codes = [f.code for f in found.findings]
    assert codes.count("model.vertebra_imputed") == 1


def test_imputed_muscles_are_named(stager: Stager) -> None:
    found = stager.stage(patient(**{"L1-L2_3": np.nan, "L1-L2_6": np.nan}), 70, Sex.MALE)
    [said] = [f.message for f in found.findings if f.code == "model.muscle_imputed"]
    assert said.endswith("L1-L2_3, L1-L2_6")


NAN = float("nan")


@pytest.mark.parametrize(
    ("hu", "age", "code"),
    [
        (patient(L1=NAN, L2=NAN, L3=NAN), 70, "model.too_few_vertebrae"),
        (patient(L5=NAN, S1=NAN), 70, "model.lumbosacral_missing"),
        (patient(muscle=NAN), 70, "model.too_few_muscles"),
        (patient(L1=1500), 70, "model.far_outside_cohort"),
        (patient(**{"L3-L4_3": 200}), 70, "model.far_outside_cohort"),
        (patient(L5=-150), 70, "model.far_outside_cohort"),
        (patient(L5=float("inf")), 70, "model.not_finite"),
        (patient(), NAN, "model.not_finite"),
        (patient(), 19, "model.age_far_outside_cohort"),
        (np.full(36, NAN), 70, "model.too_few_vertebrae"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_the_model_abstains_with_a_reason(
    stager: Stager, hu: np.ndarray, age: float, code: str
) -> None:
    found = stager.stage(hu, age, Sex.FEMALE)
    assert found.predicted is None
    assert (dict(found.probabilities), dict(found.pairwise), found.prediction_set) == ({}, {}, ())
    assert found.abstained
    assert found.findings[0].code == code
    assert stager.explain(hu, age, Sex.FEMALE) == ()


def test_four_vertebrae_and_the_fewest_muscles_suffice(stager: Stager) -> None:
    hu = patient(L1=NAN, L2=NAN)
    muscles = [i for i, n in enumerate(SITE_NAMES) if "_" in n and n not in UNUSED_SITES]
    fewest = stager.bundle.fitted.limits.min_muscles
    hu[muscles[fewest:]] = NAN
    assert stager.stage(hu, 70, Sex.MALE).predicted is not None
    hu[muscles[0]] = NAN
    assert stager.stage(hu, 70, Sex.MALE).predicted is None


@pytest.mark.parametrize("values", [[1.0] * 35, [[1.0] * 36], ["x"] * 36], ids=["35", "2d", "text"])
def test_features_of_another_shape_are_refused(
    stager: Stager, values: list[float] | list[list[float]] | list[str]
) -> None:
    with pytest.raises(InvalidFeatures):
        stager.stage(values, 70, Sex.MALE)


def test_the_plain_functions_agree_with_the_warm_object(stager: Stager) -> None:
    hu = patient(120)
    assert stage(stager.bundle, hu, 60, Sex.MALE) == stager.stage(hu, 60, Sex.MALE)
    assert explain(stager.bundle, hu, 60, Sex.MALE) == stager.explain(hu, 60, Sex.MALE)


def test_patients_staged_together_get_to_the_last_bit_what_each_gets_alone(stager: Stager) -> None:
    generator = np.random.default_rng(4)
    count = PATIENTS_AT_ONCE + 40
    hu = np.array([patient(bone) for bone in generator.uniform(30, 220, count)])
    hu += generator.normal(0, 12, hu.shape)
    hu[generator.random(hu.shape) < 0.15] = np.nan
    ages = [None if k % 7 == 0 else float(generator.uniform(50, 90)) for k in range(count)]
    sexes = [(None, Sex.FEMALE, Sex.MALE)[k % 3] for k in range(count)]
    together = stager.stage_many(hu, ages, sexes)
    alone = [stager.stage(*one) for one in zip(hu, ages, sexes, strict=True)]
    assert together == alone
    assert 0 < sum(one.abstained is not None for one in together) < count
    assert stager.stage_many(hu[:0], [], []) == []
