"""How unusual a patient is, by rank among the cohort's patients."""

import numpy as np
import pytest

from modeling import Sex, Stager, load_bundle
from modeling.bundle.novelty import Novelty, fit_novelty

COHORT = np.random.default_rng(0).normal(100, 20, (400, 36))


def test_the_cohorts_own_patients_spread_over_all_ranks() -> None:
    fitted = fit_novelty(COHORT)
    ranks = sorted(fitted.percentile(row) for row in COHORT)
    np.testing.assert_allclose(ranks, np.linspace(0, 100, 400), atol=1.0)


def test_the_distance_is_in_robust_standard_deviations_and_ignores_missing_sites() -> None:
    fitted = fit_novelty(COHORT)
    row = np.full(36, np.nan)
    row[0] = fitted.medians[0] + 2 * fitted.spreads[0]
    row[1] = fitted.medians[1] - 2 * fitted.spreads[1]
    assert fitted.distance(row) == pytest.approx(2.0)


def test_it_is_written_and_read_back_whole() -> None:
    fitted = fit_novelty(COHORT)
    again = Novelty.from_json(fitted.to_json())
    assert again.percentile(COHORT[3]) == fitted.percentile(COHORT[3])
    with pytest.raises(ValueError, match="101 quantiles"):
        Novelty.from_json({**fitted.to_json(), "quantiles": [1.0]})


def middle() -> np.ndarray:
    values = np.full(36, 45.0)
    values[:6] = 115.0
    return values


def test_usual_values_are_not_remarked_upon() -> None:
    found = Stager(load_bundle()).stage(middle(), 66.0, Sex.FEMALE)
    assert found.novelty_percentile is not None
    assert found.novelty_percentile < 90
    assert "model.unusual_values" not in {f.code for f in found.findings}


def test_values_at_odds_with_the_cohort_are() -> None:
    values = middle()
    values[6:] = -20.0
    values[:6] = 170.0
    found = Stager(load_bundle()).stage(values, 66.0, Sex.FEMALE)
    assert found.abstained is None
    assert found.novelty_percentile is not None
    assert found.novelty_percentile >= 99
    assert "model.unusual_values" in {f.code for f in found.findings}


def test_a_set_of_all_four_stages_is_called_undetermined() -> None:
    stager = Stager(load_bundle())
    rng = np.random.default_rng(1)
    seen = set()
    typical = np.full(36, 30.0)
    typical[:6] = 120.0
    for _ in range(60):
        values = typical + rng.normal(0, 25, 36)
        found = stager.stage(values, 66.0, Sex.FEMALE)
        codes = {f.code for f in found.findings}
        assert ("model.undetermined" in codes) == (len(found.prediction_set) == 4)
        seen.add(len(found.prediction_set))
    assert 4 in seen
