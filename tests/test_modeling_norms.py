"""The cohort's percentiles: what is shipped, where it holds, and that it is the table's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from modeling import Sex, read_cohort, without_duplicates
from modeling.cohort import AGE_COLUMN, SEX_COLUMN
from modeling.norms import (
    PERCENTILES,
    VERTEBRAE,
    fit_percentiles,
    shipped_percentiles,
    vertebral_percentiles,
)
from tests.test_modeling_cohort import synthetic_cohort


def test_percentiles_never_cross_within_the_ages_of_the_cohort() -> None:
    for sex, (youngest, oldest) in shipped_percentiles().ages.items():
        for age in np.arange(youngest, oldest + 1):
            found = vertebral_percentiles(float(age), sex)
            assert found is not None
            assert tuple(found) == VERTEBRAE
            assert all(low < middle < high for low, middle, high in found.values()), age


@pytest.mark.parametrize(
    ("age", "sex"),
    [
        (48.9, Sex.FEMALE),
        (89.1, Sex.FEMALE),
        (49.9, Sex.MALE),
        (95.1, Sex.MALE),
        (None, Sex.MALE),
        (70.0, None),
        (float("nan"), Sex.FEMALE),
    ],
)
def test_there_are_none_outside_the_cohort_or_of_unknown_age_or_sex(
    age: float | None, sex: Sex | None
) -> None:
    assert vertebral_percentiles(age, sex) is None


def test_older_patients_of_the_cohort_have_lower_bone_hu() -> None:
    young, old = (vertebral_percentiles(age, Sex.FEMALE) for age in (55.0, 85.0))
    assert young is not None
    assert old is not None
    assert all(old[name][1] < young[name][1] for name in VERTEBRAE)


def test_lines_part_a_cohort_at_their_percentiles() -> None:
    cohort = synthetic_cohort(per_stage=100)
    fitted = fit_percentiles(cohort)
    rows = without_duplicates(cohort)
    for place, percentile in enumerate(PERCENTILES):
        below = []
        for age, code, hu in zip(rows[AGE_COLUMN], rows[SEX_COLUMN], rows["L3"], strict=True):
            found = fitted.at(age, Sex.MALE if code else Sex.FEMALE)
            if found is not None:
                below.append(hu <= found["L3"][place])
        assert np.mean(below) == pytest.approx(percentile / 100, abs=0.02)


def test_reading_the_shipped_numbers_imports_no_estimator() -> None:
    code = (
        "import sys, modeling.norms as n; before = set(sys.modules)\n"
        "n.vertebral_percentiles(70, n.Sex.FEMALE)\n"
        "new = set(sys.modules) - before\n"
        "assert not [m for m in new if m.startswith('sklearn')], new"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.shared
def test_the_shipped_percentiles_are_those_of_the_published_cohort(shared_data: Path) -> None:
    fitted = fit_percentiles(read_cohort(shared_data / "cohort" / "cohort.tsv"))
    shipped = shipped_percentiles()
    assert (fitted.cohort_sha256, fitted.patients, fitted.ages) == (
        shipped.cohort_sha256,
        shipped.patients,
        shipped.ages,
    )
    for name in VERTEBRAE:
        np.testing.assert_allclose(fitted.lines[name], shipped.lines[name], atol=0.5)
