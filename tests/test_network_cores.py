"""LightGBM, XGBoost and CatBoost side by side."""

import numpy as np
import pytest

from modeling.cohort import STAGE_COLUMN
from modeling.design import USED_SITES
from modeling.errors import StepNotPossible
from modeling.study.step import StepResult, StudyInput
from network.cores import CORES_STEP, OTHER_SEED, compare_weights, site_strengths
from network.fixed import SITE_PAIRS
from tests.test_modeling_cohort import synthetic_cohort


def weights_of(pairs: dict[tuple[str, str], float]) -> np.ndarray:
    return np.array([pairs.get(pair, 0.0) for pair in SITE_PAIRS])


def test_a_site_is_as_strong_as_its_interactions_together() -> None:
    found = site_strengths(weights_of({("L1", "L5"): 2.0, ("L4", "L5"): 3.0}))
    named = dict(zip(USED_SITES, found, strict=True))
    assert (named["L5"], named["L4"], named["L1"], named["L2"]) == (5.0, 3.0, 2.0, 0.0)


def test_networks_that_differ_in_size_alone_agree_in_everything() -> None:
    weights = np.random.default_rng(0).random(len(SITE_PAIRS))
    assert list(compare_weights(weights, 3 * weights).values()) == [20, 1.0, 1.0, 5]


def test_networks_in_reverse_order_share_none_of_the_heaviest() -> None:
    weights = np.random.default_rng(0).random(len(SITE_PAIRS))
    heaviest, rho, tau, strongest = compare_weights(weights, 1 - weights).values()
    assert (heaviest, rho, tau, strongest) == (0, -1.0, -1.0, 0)


def test_models_without_a_split_agree_with_nothing() -> None:
    weights = np.random.default_rng(0).random(len(SITE_PAIRS))
    assert np.isnan(compare_weights(weights, np.zeros(len(SITE_PAIRS)))["weights: Spearman rho"])


@pytest.fixture(scope="module")
def result() -> StepResult:
    cohort = synthetic_cohort(40)
    rng = np.random.default_rng(0)
    cohort[list(USED_SITES)] = rng.normal(80, 25, (len(cohort), len(USED_SITES)))
    cohort["L4"] = 80.0 + 40 * (cohort[STAGE_COLUMN] > "B") + rng.normal(0, 3, len(cohort))
    return CORES_STEP.run(StudyInput(cohort, 0, 1))


def test_every_core_finds_the_one_site_that_tells_the_stages_apart(result: StepResult) -> None:
    sites = next(table.frame for table in result.tables if table.name == "sites")
    apart = sites[sites["pair"].isin(["A/C", "A/D", "B/C", "B/D"])]
    assert set(apart["core"]) == {"LightGBM", "XGBoost", "CatBoost", OTHER_SEED}
    assert set(apart["foremost site"]) == {"L4"}
    assert apart["AUROC, pooled"].min() > 0.9


def test_the_interactions_of_all_cores_are_listed_and_drawn(result: StepResult) -> None:
    listed = next(table.frame for table in result.tables if table.name == "interactions")
    assert len(listed) == len(SITE_PAIRS)
    assert (listed[["XGBoost", "CatBoost"]].sum() > 0).all()
    assert len(result.figures[0].draw().axes) == 2


def test_a_stage_with_too_few_patients_is_named() -> None:
    cohort = synthetic_cohort(12)
    few = cohort.drop(cohort.index[cohort[STAGE_COLUMN] == "C"][3:])
    with pytest.raises(StepNotPossible, match="fewer of C"):
        CORES_STEP.run(StudyInput(few, 0, 1))
