"""The characteristics of the patients as a step of a study."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from modeling.cohort import AGE_COLUMN, SEX_COLUMN
from modeling.statistics import characteristics
from modeling.statistics.ageing.age_by_sex import AgeBySex, age_by_sex
from modeling.statistics.ageing.declines import Decline, declines
from modeling.statistics.figures import characteristics_figure as draw
from modeling.statistics.site_values import comparison_table, table_of
from modeling.statistics.wording import clipping, json_number, p_words
from modeling.study.step import Figure, StepResult, StudyInput, Table

__all__ = ["characteristics_step"]


def characteristics_step(given: StudyInput) -> StepResult:
    """Describe the patients."""
    cohort = given.cohort
    groups = characteristics.group_sizes(cohort)
    ages = characteristics.age_densities(cohort, given.seed)
    sexes = characteristics.sex_differences(cohort)
    lines = declines(cohort)
    interaction = age_by_sex(cohort)
    total = groups.rows[-1]
    return StepResult(
        method=_method(cohort),
        findings=(
            _patient_sentence(groups),
            _age_sentence(ages),
            *_sex_sentences(sexes),
            *_decline_sentences(lines),
            *_interaction_sentences(interaction),
        ),
        tables=(
            Table("groups", "Size, sex and age of the stages.", table_of(groups.rows)),
            Table("age-peaks", "Peaks of the age densities, in years.", table_of(ages.peaks)),
            Table(
                "hu-by-sex",
                "Mean HU of women (first) and men (second); effects are men minus women.",
                comparison_table(sexes),
            ),
            Table("hu-by-age", "Lines of mean HU against age.", table_of(lines)),
            Table(
                "age-by-sex",
                "Slopes of women and men; the difference is men's minus women's.",
                table_of(interaction),
            ),
        ),
        figures=_figures(cohort, groups, ages, sexes, lines, interaction),
        values={
            "patients": total.patients,
            "women": total.women,
            "men": total.men,
            "age_peaks_years": {p.stage: json_number(p.peak_years) for p in ages.peaks},
            "slopes_hu_per_year": {
                f"{r.tissue}, {r.sex}, {r.stage}": json_number(r.slope_hu_per_year) for r in lines
            },
            "age_by_sex_p": {
                row.tissue: {
                    "hc3": json_number(row.p),
                    "equal_variance": json_number(row.p_equal_variance),
                    "q": json_number(row.q),
                }
                for row in interaction
                if not row.within_stages
            },
        },
    )


def _method(cohort: pd.DataFrame) -> str:
    return (
        f"{clipping(cohort)} A patient's HU of a tissue is the mean of the sites that were "
        "measured. Sex against stage by the chi-squared test, age by Kruskal-Wallis. Age "
        "densities by a Gaussian kernel, bandwidth by Scott's rule (standard deviation times "
        f"n^-1/5); the peak's interval comes from {characteristics.PEAK_BOOTSTRAPS} resamples of "
        "the stage's patients. The published toolkit gives the middle 95 % of the ages "
        "instead; it stands in the table as central. Women and men by Welch's t-test or the "
        "rank-sum test (see comparison), adjusted for false discovery over all rows. Decline "
        "is a straight line of HU against age with Student's interval. Whether women decline "
        "faster is the interaction of age and sex in a linear model of all patients, and in one "
        "with a level for each stage; standard errors bear unequal variances (HC3, MacKinnon and "
        "White 1985, doi 10.1016/0304-4076(85)90158-7), false discovery over all rows. The "
        "patients were "
        "not followed: a slope compares people of different ages, and within a stage it is "
        "flattened because the stage is itself defined by density."
    )


def _patient_sentence(groups: characteristics.Groups) -> str:
    total = groups.rows[-1]
    differ = max(groups.sex_p, groups.age_p) < 0.05
    unknown = total.patients - total.women - total.men
    sexes = f"{total.women} women and {total.men} men" + (
        f", {unknown} of unknown sex" if unknown else ""
    )
    age = (
        "age unknown"
        if np.isnan(total.age_mean_years)
        else f"age {total.age_mean_years:.1f} years on average ({total.age_min_years:.0f} to "
        f"{total.age_max_years:.0f})"
    )
    return (
        f"{total.patients} patients: {sexes}, {age}. Between the stages: sex "
        f"{p_words(groups.sex_p)}, age {p_words(groups.age_p)}"
        + ("; whoever compares stages compares sex and age too." if differ else ".")
    )


def _age_sentence(ages: characteristics.AgeDensities) -> str:
    found = [p for p in ages.peaks if not np.isnan(p.peak_years)]
    if not found:
        return "Without age peaks: no stage has 3 patients of known and unlike age."
    return (
        "Age peaks (95 % interval over resampled patients): "
        + "; ".join(
            f"{p.stage} {p.peak_years:.0f} ({p.peak_low_years:.0f} to {p.peak_high_years:.0f})"
            for p in found
        )
        + " years."
    )


def _sex_sentences(sexes: Sequence[characteristics.SexDifference]) -> list[str]:
    return [
        f"{row.tissue}: women {row.comparison.mean_first:.1f} HU, men "
        f"{row.comparison.mean_second:.1f} HU ({row.comparison.test}, {p_words(row.q, 'q')}); "
        f"within the stages {_within(sexes, row.tissue)}."
        for row in sexes
        if row.stage == characteristics.EVERYONE
        and row.tissue in draw.FIGURE_TISSUES
        and row.comparison.n_first
        and row.comparison.n_second
    ]


def _decline_sentences(lines: Sequence[Decline]) -> list[str]:
    return [
        f"{line.tissue}, {_who(line.sex)}: {line.slope_hu_per_year:+.2f} HU per year of "
        f"age ({line.slope_low:+.2f} to {line.slope_high:+.2f})."
        for line in lines
        if line.stage == characteristics.EVERYONE
        and line.tissue in draw.FIGURE_TISSUES
        and not np.isnan(line.slope_hu_per_year)
    ]


def _interaction_sentences(rows: Sequence[AgeBySex]) -> list[str]:
    whole = [row for row in rows if not row.within_stages and row.p == row.p]
    if not whole:
        return ["Whether women decline faster than men cannot be tested: too few of a sex."]
    told = "; ".join(
        f"{row.tissue} {row.difference:+.2f} HU per year ({row.difference_low:+.2f} to "
        f"{row.difference_high:+.2f}), {p_words(row.p)}, {p_words(row.q, 'q')}"
        for row in whole
    )
    steeper = [row.tissue for row in whole if row.q < 0.05 and row.difference > 0]
    verdict = f"shown for {', '.join(steeper)}" if steeper else "not shown for any tissue"
    return [
        f"Men's minus women's slope: {told}. A faster decline in women, which the publication "
        f"states (Wang 2025), is {verdict} (q < .05)."
    ]


def _figures(
    cohort: pd.DataFrame,
    groups: characteristics.Groups,
    ages: characteristics.AgeDensities,
    sexes: Sequence[characteristics.SexDifference],
    lines: Sequence[Decline],
    interaction: Sequence[AgeBySex],
) -> tuple[Figure, ...]:
    """Draw what the patients' sex and age allow: without either there is nothing to show."""
    of_sex = (
        Figure("groups", "Women and men in each stage.", partial(draw.plot_groups, groups)),
        Figure(
            "hu-by-sex",
            "Mean HU of women and men with 95 % intervals; q after false-discovery correction.",
            partial(draw.plot_sex_differences, sexes),
        ),
    )
    of_age = (
        Figure(
            "age-density",
            "Age density of each stage; below, its peak with the 95 % interval.",
            partial(draw.plot_age_densities, ages),
        ),
    )
    of_both = (
        Figure(
            "hu-by-age",
            "HU against age with a straight line for each stage and sex.",
            partial(draw.plot_hu_by_age, cohort, lines),
        ),
        Figure(
            "decline-rates",
            "Difference of HU per year of age with 95 % intervals.",
            partial(draw.plot_decline_rates, lines),
        ),
        Figure(
            "age-by-sex",
            "How much the slopes of women and men differ, with 95 % intervals; above 0 women have "
            "the steeper decline.",
            partial(draw.plot_age_by_sex, interaction),
        ),
    )
    has_sex, has_age = cohort[SEX_COLUMN].notna().any(), cohort[AGE_COLUMN].notna().any()
    return (
        *(of_sex if has_sex else ()),
        *(of_age if has_age else ()),
        *(of_both if has_sex and has_age else ()),
    )


def _within(rows: Sequence[characteristics.SexDifference], tissue: str) -> str:
    of_stages = [r for r in rows if r.tissue == tissue and r.stage != characteristics.EVERYONE]
    return "; ".join(
        f"{r.stage} {r.comparison.mean_first:.1f} and {r.comparison.mean_second:.1f} "
        f"({p_words(r.q, 'q')})"
        for r in of_stages
    )


def _who(sex: str) -> str:
    return {"female": "women", "male": "men"}.get(str(sex), "all patients")
