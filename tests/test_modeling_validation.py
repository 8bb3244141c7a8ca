"""A model against a labelled table: measures against closed forms and independent programs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import roc_auc_score

from modeling.cohort import PatientTable, cohort_sha256, read_patients
from modeling.errors import CohortLayout, NothingToValidate, StudyFolderForeign
from modeling.metrics import calibration_line, net_benefit
from modeling.validation.patient_bootstrap import PatientDraws, wilson
from modeling.validation.recalibration import (
    by_intercepts,
    by_prevalence,
    dealt_folds,
    fit_intercepts,
)
from modeling.validation.report import claim_folder, write_report
from modeling.validation.validation import Choices, Validation, validate
from modeling.validation.weighted_measures import (
    auroc_of,
    brier_of,
    calibration_in_the_large_of,
    calibration_slope_of,
    log_loss_of,
    mean_of,
    net_benefit_of,
)
from tests.validation_tables import (
    LIMITS,
    MANIFEST,
    MEANS_HU,
    LineStager,
    patients_frame,
    probabilities_of,
    written,
)

FloatArray = npt.NDArray[np.float64]
FAST = Choices(seed=1, bootstraps=100, offset=False)
STAGES = np.array(["A", "B", "C", "D"])


def made(
    tmp_path: Path, counts: dict[str, int], seed: int = 0, offset_hu: float = 0.0
) -> PatientTable:
    return read_patients(written(patients_frame(counts, seed, offset_hu), tmp_path / "t.csv"))


def checked(table: PatientTable, choices: Choices = FAST) -> Validation:
    return validate(table, LineStager(), MANIFEST, choices)


def drawn(n: int, seed: int = 0) -> tuple[FloatArray, npt.NDArray[np.bool_], FloatArray]:
    """Probabilities, labels drawn from them, and weights as a bootstrap gives them."""
    generator = np.random.default_rng(seed)
    p = generator.beta(1.2, 1.8, n)
    weights = generator.multinomial(n, np.full(n, 1 / n), size=3).astype(float)
    return np.round(p, 2).clip(0.01, 0.99), generator.random(n) < p, weights


def repeated(values: npt.NDArray[Any], weights: FloatArray) -> npt.NDArray[Any]:
    return np.repeat(values, weights.astype(int))


def test_weighted_auroc_is_scikit_learn_s_on_the_repeated_patients() -> None:
    p, y, weights = drawn(200)
    found = auroc_of(p, y)(weights)
    for k, one in enumerate(weights):
        assert found[k] == pytest.approx(roc_auc_score(repeated(y, one), repeated(p, one)))
    assert np.isnan(auroc_of(p, np.ones(200, dtype=bool))(weights)).all()


def test_weighted_calibration_slope_is_scikit_learn_s_on_the_repeated_patients() -> None:
    p, y, weights = drawn(300)
    found = calibration_slope_of(p, y)(weights)
    for k, one in enumerate(weights):
        slope, _ = calibration_line(repeated(p, one), repeated(y, one).astype(bool))
        assert found[k] == pytest.approx(slope, abs=2e-3)


def test_groups_that_are_apart_have_no_slope() -> None:
    p = np.linspace(0.1, 0.9, 40)
    assert np.isnan(calibration_slope_of(p, p > 0.5)(np.ones((1, 40)))).all()


def test_calibration_in_the_large_makes_the_expected_count_the_observed_one() -> None:
    p, y, weights = drawn(300)
    found = calibration_in_the_large_of(p**2, y)(weights)
    logit = np.log(p**2 / (1 - p**2))
    for k, one in enumerate(weights):
        expected = (one / (1 + np.exp(-(logit + found[k])))).sum()
        assert expected == pytest.approx((one * y).sum())


def test_labels_drawn_from_the_probabilities_give_slope_1_and_intercept_0() -> None:
    p = np.random.default_rng(0).beta(1.2, 1.8, 4000)
    y = np.random.default_rng(1).random(4000) < p
    found = PatientDraws(4000, 200, 3).estimates(
        {"slope": calibration_slope_of(p, y), "intercept": calibration_in_the_large_of(p, y)}
    )
    assert found["slope"].low < 1 < found["slope"].high
    assert found["intercept"].low < 0 < found["intercept"].high
    assert found["slope"].high - found["slope"].low < 0.2
    odds = p / (1 - p) * np.e  # stated a log-odds of 1 too high
    shifted = calibration_in_the_large_of(odds / (1 + odds), y)(np.ones((1, 4000)))
    assert shifted[0] == pytest.approx(found["intercept"].value - 1, abs=1e-6)


def test_net_benefit_brier_and_log_loss_follow_their_definitions() -> None:
    p, y, weights = drawn(100)
    for k, one in enumerate(weights):
        for t in (0.1, 0.35, 0.6):
            wanted = net_benefit(repeated(p, one), repeated(y, one).astype(bool), t)
            assert net_benefit_of(p, y, t)(weights)[k] == pytest.approx(wanted)
    both, outcome = np.column_stack([1 - p, p]), np.column_stack([~y, y]).astype(float)
    once = np.ones((1, 100))
    assert brier_of(both, outcome)(once)[0] == pytest.approx(2 * ((p - y) ** 2).mean())
    likelihood = np.where(y, p, 1 - p)
    assert log_loss_of(both, outcome)(once)[0] == pytest.approx(-np.log(likelihood).mean())


def test_the_bootstrap_interval_of_a_mean_is_that_of_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    found = PatientDraws(400, 2000, 1).estimates({"mean": mean_of(values)})["mean"]
    error = values.std() / np.sqrt(400)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)
    same = PatientDraws(400, 2000, 1).estimates({"mean": mean_of(values)})["mean"]
    assert same == found
    assert PatientDraws(400, 2000, 2).estimates({"mean": mean_of(values)})["mean"] != found


def test_draws_in_chunks_are_as_many_and_as_large_as_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("modeling.validation.patient_bootstrap.LARGEST_CHUNK", 50)
    chunks = list(PatientDraws(20, 7, 0))
    assert [chunk.shape for chunk in chunks] == [(2, 20), (2, 20), (2, 20), (1, 20)]
    assert all((chunk.sum(axis=1) == 20).all() for chunk in chunks)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_s_interval_is_newcombe_s_example(
    successes: int, trials: int, low: float, high: float
) -> None:
    """Newcombe 1998, doi 10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E."""
    found = wilson(successes, trials)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_intercepts_are_found_again_in_labels_drawn_with_them() -> None:
    generator = np.random.default_rng(0)
    p = generator.dirichlet([2, 2, 1, 1], 20_000)
    added = np.array([0.0, 0.5, -0.7, 1.0])
    true = by_intercepts(p, added)
    stages = STAGES[(generator.random(20_000)[:, None] > true.cumsum(axis=1)).sum(axis=1)]
    found = fit_intercepts(p, stages)
    assert found == pytest.approx(added, abs=0.06)
    observed = [(stages == s).sum() for s in STAGES]
    assert by_intercepts(p, found).sum(axis=0) == pytest.approx(observed, abs=0.1)


def test_exchanged_prevalence_is_bayes_rule() -> None:
    l1 = np.linspace(20, 240, 12)
    after = np.array([0.45, 0.38, 0.12, 0.05])
    likelihood = np.exp(-(((l1[:, None] - MEANS_HU) / 30.0) ** 2) / 2) * after
    wanted = likelihood / likelihood.sum(axis=1, keepdims=True)
    found = by_prevalence(probabilities_of(l1), np.full(4, 0.25), after)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_folds_are_dealt_stage_by_stage() -> None:
    stages = np.repeat(STAGES, [50, 30, 11, 4])
    folds = dealt_folds(stages, 3)
    for stage in "ABCD":
        counts = np.bincount(folds[stages == stage], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_a_right_model_is_found_right(tmp_path: Path) -> None:
    counts = dict.fromkeys("ABCD", 250)
    found = checked(made(tmp_path, counts), Choices(seed=1, bootstraps=200, offset=False)).results
    assert found["figures_are"] == "external"
    from scipy.stats import norm

    for name, apart in (("A/B", 40), ("A/C", 80), ("B/D", 80)):
        wanted = norm.cdf(apart / 30 / np.sqrt(2))
        low, high = found["pairs"][name]["ci"]
        assert low < wanted < high
        assert found["pairs"][name]["auroc"] == pytest.approx(wanted, abs=0.03)
        assert found["pairs"][name]["ci_bootstrap"] == pytest.approx([low, high], abs=0.02)
    for entry in found["calibration"]["questions"].values():
        assert entry["slope"]["ci"][0] < 1.1
        assert entry["slope"]["ci"][1] > 0.9
        low, high = entry["intercept"]["ci"]
        assert abs(entry["intercept"]["value"]) < high - low
        assert entry["observed_by_expected"]["value"] == pytest.approx(1, abs=0.2)
    means = [p["auroc"] for p in found["pairs"].values()]
    assert found["mean_pair_auroc"] == pytest.approx(np.mean(means), abs=1e-3)
    for way in ("intercept", "prevalence"):
        low, high = found["recalibrated"][way]["measures"]["log_loss"]["change"]["ci"]
        assert low < 0.01
        assert high > -0.01
        assert found["recalibrated"][way]["figures_are"] == "cross-fitted, 5 folds"
    json.dumps(found, allow_nan=False)


def test_a_scanner_s_offset_is_found_and_undone(tmp_path: Path) -> None:
    table = made(tmp_path, dict.fromkeys("ABCD", 60), offset_hu=-20.0)
    found = checked(table, Choices(seed=1, bootstraps=100)).results["recalibrated"]["offset"]
    assert found["fitted"] == [pytest.approx(20, abs=5)]
    change = found["measures"]["log_loss"]["change"]
    assert change["ci"][1] < 0
    assert found["measures"]["osteoporosis_intercept"]["as_is"]["value"] < -0.5
    assert abs(found["measures"]["osteoporosis_intercept"]["cross_fitted"]["value"]) < 0.5


def test_another_prevalence_is_found_by_the_intercept_and_undone(tmp_path: Path) -> None:
    table = made(tmp_path, {"A": 300, "B": 100, "C": 40, "D": 20})
    found = checked(table).results
    assert found["calibration"]["questions"]["C or D"]["intercept"]["ci"][1] < 0
    for way in ("intercept", "prevalence"):
        measures = found["recalibrated"][way]["measures"]
        assert measures["log_loss"]["change"]["ci"][1] < 0
        low, high = measures["osteoporosis_intercept"]["cross_fitted"]["ci"]
        assert low < 0 < high


def test_recalibrated_figures_are_not_apparent(tmp_path: Path) -> None:
    """Labels without any relation: fitting to them must not seem to help."""
    frame = patients_frame(dict.fromkeys("ABCD", 12), seed=5)
    frame["Disease"] = np.random.default_rng(7).permutation(frame["Disease"])
    table = read_patients(written(frame, tmp_path / "t.csv"))
    found = checked(table)
    p, stages = found.predictions.probabilities, found.predictions.stages
    fitted = by_intercepts(p, fit_intercepts(p, stages))
    apparent = -np.log(fitted[np.arange(48), np.searchsorted(STAGES, stages)]).mean()
    crossed = found.results["recalibrated"]["intercept"]["measures"]["log_loss"]["cross_fitted"]
    assert crossed["value"] > apparent + 0.01


def test_stages_that_are_absent_leave_the_rest_with_reasons(tmp_path: Path) -> None:
    found = checked(made(tmp_path, {"A": 30, "C": 30})).results
    assert found["pairs"]["A/B"]["reason"] == "fewer than 10 patients of B (0)"
    assert found["pairs"]["A/C"]["auroc"] > 0.9
    assert found["mean_pair_auroc_of"] == ["A/C"]
    assert found["osteoporosis"]["n"] == [30, 30]
    assert "auroc" in found["osteoporosis"]
    assert "fewer than 10" in found["recalibrated"]["intercept"]["reason"]
    assert "measures" in found["recalibrated"]["prevalence"]
    assert found["coverage"]["by_stage"]["B"] == {"value": None, "ci": None, "n": 0}


def test_osteoporosis_is_decided_by_its_own_limits_and_not_by_the_sets(tmp_path: Path) -> None:
    found = checked(made(tmp_path, {"A": 40, "B": 50, "C": 60, "D": 45}))
    late = found.predictions.probabilities[:, 2:].sum(axis=1)
    has = np.isin(found.predictions.stages, ["C", "D"])
    yes, no = late > LIMITS.yes_above, late < LIMITS.no_below
    coverage = found.results["coverage"]
    assert coverage["osteoporosis_decided"] == wilson(int((yes | no).sum()), 195).to_json()
    assert coverage["osteoporosis_by_class"] == {
        "yes": {
            "covered": wilson(int((~no & has).sum()), 105).to_json(),
            "decided": wilson(int(((yes | no) & has).sum()), 105).to_json(),
            "n": 105,
        },
        "no": {
            "covered": wilson(int((~yes & ~has).sum()), 90).to_json(),
            "decided": wilson(int(((yes | no) & ~has).sum()), 90).to_json(),
            "n": 90,
        },
    }
    sets = found.predictions.sets
    by_sets = ~(sets[:, :2].any(axis=1) & sets[:, 2:].any(axis=1))
    assert by_sets.sum() != (yes | no).sum()


@pytest.mark.parametrize(
    "counts", [{"A": 1}, {"D": 5}, {"A": 4, "C": 3, "D": 3}, {"A": 30, "C": 30}], ids=str
)
def test_small_tables_give_a_whole_report(tmp_path: Path, counts: dict[str, int]) -> None:
    found = checked(made(tmp_path, counts))
    claim_folder(tmp_path / "out")
    page = write_report(found, tmp_path / "out").read_text()
    assert "Research use only. Not a medical device." in page
    assert "fewer than 10 patients" in page
    assert "nan" not in page.lower().replace("nance", "")


def test_patients_for_whom_the_model_abstains_are_counted(tmp_path: Path) -> None:
    frame = patients_frame(dict.fromkeys("ABCD", 12))
    frame.loc[:3, "L1"] = np.nan
    found = checked(read_patients(written(frame, tmp_path / "t.csv"))).results["table"]
    assert found["abstained"] == {"model.too_few_vertebrae": 4}
    assert found["staged"] == {"A": 8, "B": 12, "C": 12, "D": 12}
    frame["L1"] = np.nan
    with pytest.raises(NothingToValidate, match=r"abstains for all 48 patients.*no L1"):
        checked(read_patients(written(frame, tmp_path / "t.csv")))


def test_subgroups_are_those_of_sex_age_and_asked_columns(tmp_path: Path) -> None:
    table = made(tmp_path, dict.fromkeys("ABCD", 40))
    choices = Choices(seed=1, bootstraps=100, offset=False, subgroups=("ward", "patient"))
    groups = checked(table, choices).results["subgroups"]
    named = {(g["by"], g["group"]): g for g in groups}
    assert {("sex", "female"), ("age", "under 60 years"), ("ward", "north, old")} <= set(named)
    assert sum(sum(g["patients"].values()) for g in groups if g["by"] == "ward") == 160
    assert "160 different values" in named["patient", ""]["reason"]
    assert named["ward", "south"]["osteoporosis_auroc"]["value"] > 0.8
    with pytest.raises(CohortLayout, match="no column is named 'floor'"):
        checked(table, Choices(subgroups=("floor",)))


def test_a_table_without_stages_is_refused(tmp_path: Path) -> None:
    frame = patients_frame({"A": 3}).rename(columns={"Disease": "dxa"})
    with pytest.raises(CohortLayout, match="name it 'Disease', or say which one it is by --label"):
        checked(read_patients(written(frame, tmp_path / "t.csv")))


def test_the_training_cohort_is_recognised_by_content_and_by_its_figures(tmp_path: Path) -> None:
    table = made(tmp_path, dict.fromkeys("ABCD", 40))

    def said(manifest: dict[str, Any]) -> tuple[str, str | None]:
        found = validate(table, LineStager(), MANIFEST | manifest, FAST).results
        return found["figures_are"], found["apparent_because"]

    content = cohort_sha256(table.cohort(np.arange(len(table))))
    same = {"cohort": {"content_sha256": content, "patients": dict.fromkeys("ABCD", 40)}}
    figures_are, because = said(same)
    assert figures_are == "apparent"
    assert "content is that of the cohort" in str(because)
    names = [f"{a}/{b}" for a, b in ("AB", "AC", "AD", "BC", "BD", "CD")]
    seen = {"scores": {"pairs": {n: {"auroc": 0.7, "apparent": 0.99} for n in names}}}
    figures_are, because = said(seen)
    assert figures_are == "possibly apparent"
    assert "training patients may be among them" in str(because)
    honest = {"scores": {"pairs": {n: {"auroc": 0.9, "apparent": 1.0} for n in names}}}
    assert said(honest) == ("external", None)


def test_the_report_is_one_page_that_is_written_again_to_the_same_bytes(tmp_path: Path) -> None:
    found = checked(made(tmp_path, dict.fromkeys("ABCD", 15)))
    for name in ("one", "two"):
        claim_folder(tmp_path / name)
        write_report(found, tmp_path / name)
    claim_folder(tmp_path / "one")  # a former validation's folder may be taken again
    write_report(found, tmp_path / "one")
    skipped = ("step.json",)  # holds how long its figures took

    def content(name: str) -> dict[str, bytes]:
        return {
            path.relative_to(tmp_path / name).as_posix(): path.read_bytes()
            for path in sorted((tmp_path / name).rglob("*"))
            if path.is_file() and path.name not in skipped
        }

    assert content("one") == content("two")
    page = content("one")["report.html"].decode()
    for forbidden in ("<script", "http://", str(tmp_path)):
        assert forbidden not in page
    assert {"validation.json", "README.txt", "02-discrimination/areas.csv"} <= set(content("one"))
    assert json.loads(content("one")["validation.json"])["research_use"].startswith("research use")


def test_a_folder_with_something_else_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(StudyFolderForeign, match="not a validation's"):
        claim_folder(tmp_path)


def test_progress_counts_every_staging(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    progress: Callable[[int, int], None] = lambda done, most: told.append((done, most))  # noqa: E731
    table = made(tmp_path, {"A": 12, "D": 13})
    validate(table, LineStager(), MANIFEST, Choices(1, 100), progress)
    assert told[0] == (25, 25 * 9)
    assert told[-1][0] >= 25 * 7
