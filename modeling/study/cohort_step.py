"""The cohort itself as a study's first step: groups, missing values, findings."""

from typing import Any

import pandas as pd

from modeling.cohort import AGE_COLUMN, SEX_COLUMN, SITE_NAMES, STAGE_COLUMN, Sex, Stage
from modeling.study.step import Figure, StepResult, StudyInput, StudyStep, Table
from roi_extraction.sites import SITES

__all__ = ["COHORT_STEP", "group_sizes", "missing_values", "plot_missing"]

COHORT_METHOD = (
    "Patients are counted by stage and sex; rows that repeat an earlier one are left out. A site "
    "is missing where the cohort's table has an empty cell: the muscle was too small there for a "
    "region of interest, or was not measured. Values are checked against the range of trabecular "
    "bone (Jang 2019, doi 10.1148/radiol.2019181648) and of muscle that may be replaced by fat "
    "(Aubrey 2014, doi 10.1111/apha.12224), ages against the 50 years from which on the "
    "publication took patients (Wang 2025). What is outside is reported and kept."
)


def group_sizes(cohort: pd.DataFrame) -> pd.DataFrame:
    """Count patients by stage and sex, with their ages.

    Returns
    -------
    DataFrame
        One row a stage and sex, then one a stage, then one of all: ``stage``, ``sex``,
        ``patients``, ``median age (years)``, ``youngest (years)``, ``oldest (years)``.
    """
    rows = []
    everyone = cohort[STAGE_COLUMN].notna()
    for stage, of_stage in (
        *((s.value, cohort[STAGE_COLUMN] == s) for s in Stage),
        ("all", everyone),
    ):
        for sex, of_sex in (
            *((s.value, cohort[SEX_COLUMN] == s.cohort_code) for s in Sex),
            ("all", everyone),
        ):
            group = cohort[of_stage & of_sex]
            ages = group[AGE_COLUMN]
            rows.append((stage, sex, len(group), ages.median(), ages.min(), ages.max()))
    columns = ["stage", "sex", "patients", "median age (years)", "youngest (years)"]
    return pd.DataFrame(rows, columns=[*columns, "oldest (years)"])


def missing_values(cohort: pd.DataFrame) -> pd.DataFrame:
    """Count the patients without a value, for sex, age and each site.

    Returns
    -------
    DataFrame
        ``column``, ``what``, ``missing``, ``missing (%)`` and ``missing in A`` to ``missing in D``.
    """
    words = {SEX_COLUMN: "sex", AGE_COLUMN: "age"}
    for site in SITES:
        words[site.name] = (
            "vertebral body" if site.is_vertebra else f"{site.muscle}, {site.side}, {site.disc}"
        )
    rows = []
    for column in (SEX_COLUMN, AGE_COLUMN, *SITE_NAMES):
        empty = cohort[column].isna()
        rows.append(
            {
                "column": column,
                "what": words[column],
                "missing": int(empty.sum()),
                "missing (%)": round(100.0 * float(empty.mean()), 1),
                **{
                    f"missing in {s}": int((empty & (cohort[STAGE_COLUMN] == s)).sum())
                    for s in Stage
                },
            }
        )
    return pd.DataFrame(rows)


def plot_missing(missing: pd.DataFrame, ax: Any = None) -> Any:
    """Draw the share of patients without a value, site by site; gives the Axes."""
    from matplotlib.figure import Figure as Drawing

    if ax is None:
        ax = Drawing(figsize=(8, 8), layout="constrained").subplots()
    sites = missing[missing["column"].isin(SITE_NAMES)]
    places = range(len(sites))
    bars = ax.barh(places, sites["missing (%)"], color="#1f4e79", height=0.7)
    ax.bar_label(bars, [str(n) if n else "" for n in sites["missing"]], padding=3, fontsize=8)
    ax.set_yticks(
        places,
        [
            name if what == "vertebral body" else f"{name}  {what.rsplit(', ', 1)[0]}"
            for name, what in zip(sites["column"], sites["what"], strict=True)
        ],
        fontsize=8,
    )
    ax.set_ylim(len(sites) - 0.4, -0.6)
    ax.set_xlim(0, 108)
    ax.set_xticks(range(0, 101, 20))
    ax.set_xlabel("patients without a value (%); the number beside a bar counts them")
    ax.grid(axis="x", color="0.88")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _run(given: StudyInput) -> StepResult:
    sizes, missing = group_sizes(given.cohort), missing_values(given.cohort)
    whole = sizes[sizes["sex"] == "all"].set_index("stage")["patients"]
    counts = ", ".join(f"{whole[s]} {s.label}" for s in Stage)
    worst = missing.sort_values("missing", ascending=False, kind="stable").head(4)
    named = ", ".join(
        f"{c} ({p:g} %)" for c, p in zip(worst["column"], worst["missing (%)"], strict=True)
    )
    complete = int(given.cohort[list(SITE_NAMES)].notna().all(axis=1).sum())
    findings = (
        f"{len(given.cohort)} patients: {counts}.",
        f"{complete} of them have all 36 sites; most often missing are {named}.",
        f"The checks of the table found {len(given.findings)} things to know; see the table.",
    )
    checks = pd.DataFrame(
        [(f.code, f.message) for f in given.findings], columns=["code", "finding"]
    )
    return StepResult(
        COHORT_METHOD,
        findings,
        (
            Table("groups", "Patients by stage and sex, and their ages.", sizes),
            Table("missing", "Patients without a value, column by column.", missing),
            Table("checks", "What the checks of the cohort found.", checks),
        ),
        (
            Figure(
                "missing",
                "Share of patients without a value at each of the 36 sites.",
                lambda: plot_missing(missing).figure,
            ),
        ),
        {
            "patients": len(given.cohort),
            "groups": {
                stage: dict(zip(of_stage["sex"], of_stage["patients"], strict=True))
                for stage, of_stage in sizes.groupby("stage")
            },
            "missing": dict(zip(missing["column"], missing["missing"], strict=True)),
            "complete_patients": complete,
            "findings": [{"code": f.code, "message": f.message} for f in given.findings],
        },
    )


COHORT_STEP = StudyStep("cohort", "Groups and missing values", _run)
