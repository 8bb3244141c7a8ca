"""Characteristics, comparison and single sites as steps of a study."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from modeling.cohort import SITE_NAMES
from modeling.statistics import (
    characteristics,
    characteristics_figure,
    comparison,
    single_feature,
    single_feature_figure,
)
from modeling.statistics.site_values import table_of
from modeling.statistics.two_groups import GroupTest
from modeling.statistics.wording import clipping, json_number, p_words
from modeling.study.step import Figure, StepResult, StudyInput, Table

__all__ = ["characteristics_step", "comparison_step", "roc_step"]


def characteristics_step(given: StudyInput) -> StepResult:
    """Describe the patients."""
    cohort = given.cohort
    groups = characteristics.group_sizes(cohort)
    ages = characteristics.age_densities(cohort, given.seed)
    sexes = characteristics.sex_differences(cohort)
    lines = characteristics.declines(cohort)
    draw = characteristics_figure
    total = groups.rows[-1]
    differ = max(groups.sex_p, groups.age_p) < 0.05
    findings = [
        f"{total.patients} patients: {total.women} women and {total.men} men, age "
        f"{total.age_mean_years:.1f} years on average ({total.age_min_years:.0f} to "
        f"{total.age_max_years:.0f}). Between the stages: sex {p_words(groups.sex_p)}, age "
        f"{p_words(groups.age_p)}"
        + ("; whoever compares stages compares sex and age too." if differ else "."),
        "Age peaks (95 % interval over resampled patients): "
        + "; ".join(
            f"{p.stage} {p.peak_years:.0f} ({p.peak_low_years:.0f} to {p.peak_high_years:.0f})"
            for p in ages.peaks
        )
        + " years.",
    ]
    for row in sexes:
        if row.stage == characteristics.EVERYONE and row.tissue in draw.FIGURE_TISSUES:
            c = row.comparison
            findings.append(
                f"{row.tissue}: women {c.mean_first:.1f} HU, men {c.mean_second:.1f} HU "
                f"({c.test}, {p_words(row.q, 'q')}); within the stages "
                f"{_within(sexes, row.tissue)}."
            )
    for line in lines:
        if line.stage == characteristics.EVERYONE and line.tissue in draw.FIGURE_TISSUES:
            findings.append(
                f"{line.tissue}, {_who(line.sex)}: {line.slope_hu_per_year:+.2f} HU per year of "
                f"age ({line.slope_low:+.2f} to {line.slope_high:+.2f})."
            )
    return StepResult(
        method=(
            f"{clipping(cohort)} A patient's HU of a tissue is the mean of the sites that were "
            "measured. Sex against stage by the chi-squared test, age by Kruskal-Wallis. Age "
            "densities by a Gaussian kernel, bandwidth by Scott's rule (standard deviation times "
            f"n^-1/5); the peak's interval comes from {characteristics.BOOTSTRAPS} resamples of "
            "the stage's patients. The published toolkit gives the middle 95 % of the ages "
            "instead; it stands in the table as central. Women and men by Welch's t-test or the "
            "rank-sum test (see comparison), adjusted for false discovery over all rows. Decline "
            "is a straight line of HU against age with Student's interval. The patients were "
            "not followed: a slope compares people of different ages, and within a stage it is "
            "flattened because the stage is itself defined by density."
        ),
        findings=tuple(findings),
        tables=(
            Table("groups", "Size, sex and age of the stages.", table_of(groups.rows)),
            Table("age-peaks", "Peaks of the age densities, in years.", table_of(ages.peaks)),
            Table(
                "hu-by-sex",
                "Mean HU of women (first) and men (second); effects are men minus women.",
                _compared(sexes),
            ),
            Table("hu-by-age", "Lines of mean HU against age.", table_of(lines)),
        ),
        figures=(
            Figure("groups", "Women and men in each stage.", partial(draw.plot_groups, groups)),
            Figure(
                "age-density",
                "Age density of each stage; below, its peak with the 95 % interval.",
                partial(draw.plot_age_densities, ages),
            ),
            Figure(
                "hu-by-sex",
                "Mean HU of women and men with 95 % intervals; q after false-discovery correction.",
                partial(draw.plot_sex_differences, sexes),
            ),
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
        ),
        values={
            "patients": total.patients,
            "women": total.women,
            "men": total.men,
            "age_peaks_years": {p.stage: json_number(p.peak_years) for p in ages.peaks},
            "slopes_hu_per_year": {
                f"{r.tissue}, {r.sex}, {r.stage}": json_number(r.slope_hu_per_year) for r in lines
            },
        },
    )


def comparison_step(given: StudyInput) -> StepResult:
    """Compare the sites between the stages."""
    rows = comparison.compare_sites(given.cohort)
    findings = []
    for pair in dict.fromkeys(row.pair for row in rows):
        of_pair = [row for row in rows if row.pair == pair]
        known = [row for row in of_pair if not np.isnan(row.comparison.cliffs_delta)]
        if not known:
            findings.append(f"{pair}: no site can be compared.")
            continue
        largest = max(known, key=lambda row: abs(row.comparison.cliffs_delta))
        c = largest.comparison
        findings.append(
            f"{pair}: {sum(row.q < 0.05 for row in of_pair)} of {len(known)} sites differ "
            f"(q < .05); most {largest.site} with Cliff's delta {c.cliffs_delta:+.2f} "
            f"({c.cliffs_delta_low:+.2f} to {c.cliffs_delta_high:+.2f}), Hedges' g "
            f"{c.hedges_g:+.2f}."
        )
    used = [row.comparison.test for row in rows]
    findings.append(
        f"Welch's t-test in {used.count(GroupTest.WELCH)}, the rank-sum test in "
        f"{used.count(GroupTest.RANK_SUM)} and none in {used.count(GroupTest.NONE)} of "
        f"{len(rows)} comparisons."
    )
    return StepResult(
        method=(
            f"{clipping(given.cohort)} Each of the {len(SITE_NAMES)} sites between the six pairs "
            "of stages, in the patients that have it. Welch's t-test where both stages have 30 "
            "values or more and pass Shapiro-Wilk (p at least .05), else the Wilcoxon rank-sum "
            "(Mann-Whitney) test; none with fewer than 3 values. Each row says which and why. "
            "Effects are the later minus the earlier stage: Hedges' g and Cliff's delta "
            "(rank-biserial correlation, 2 AUROC - 1) with 95 % intervals. Benjamini-Hochberg "
            "over all comparisons together. Sex and age are not adjusted for. Cliff 1993, doi "
            "10.1037/0033-2909.114.3.494; Hedges 1981, doi 10.3102/10769986006002107; Benjamini "
            "and Hochberg 1995, doi 10.1111/j.2517-6161.1995.tb02031.x."
        ),
        findings=tuple(findings),
        tables=(
            Table(
                "site-comparisons",
                "Each site in the earlier (first) and the later (second) stage of each pair; "
                "effects are the later minus the earlier.",
                _compared(rows),
            ),
        ),
        figures=(
            Figure(
                "effect-sizes",
                "Cliff's delta between the stages, with marks of the adjusted p-value.",
                partial(comparison.plot, rows),
            ),
        ),
        values={
            "different_sites": {
                pair: [row.site for row in rows if row.pair == pair and row.q < 0.05]
                for pair in dict.fromkeys(row.pair for row in rows)
            }
        },
    )


def roc_step(given: StudyInput) -> StepResult:
    """Take each site alone as a test."""
    rocs = single_feature.single_site_rocs(given.cohort)
    best = single_feature.best_sites(given.cohort, rocs, given.seed)
    findings = []
    for one in best:
        roc, area = one.apparent, one.apparent.area
        sign = "at or below" if roc.direction == "lower" else "at or above"
        findings.append(
            f"{one.pair}: {roc.site} {area.auroc:.3f} ({area.auroc_low:.3f} to "
            f"{area.auroc_high:.3f}), {sign} {roc.threshold_hu:.0f} HU apparent sensitivity "
            f"{roc.sensitivity_apparent:.2f} and specificity {roc.specificity_apparent:.2f}; "
            f"with the choice of the site nested {one.nested_auroc:.3f}."
        )
    published = next((r for r in rocs if (r.pair, r.site) == ("A/D", "L5")), None)
    if published is not None and not published.reason:
        findings.append(
            f"L5 between A and D: {published.area.auroc:.3f} here, .921 published (Wang 2025)."
        )
    table = table_of(rocs)
    return StepResult(
        method=(
            f"{clipping(given.cohort)} Each site alone, in the patients that have it; those that "
            "lack it are counted. The area under the ROC curve with DeLong's variance (DeLong "
            "1988, doi 10.2307/2531595; Sun and Xu 2014, doi 10.1109/LSP.2014.2337313) and its "
            "95 % interval on the logit scale. The direction is the one in which these patients "
            "give an area of at least .5. The threshold is Youden's, chosen and scored in the "
            "same patients, so its sensitivity and specificity are apparent. The best site of a "
            f"pair is sought among those that {single_feature.MIN_PATIENTS_FOR_BEST} of its "
            "patients have (as in the published toolkit); it is too good by the choosing; nested "
            "means that the site and its direction are chosen on four fifths and scored on the "
            f"fifth, {single_feature.REPEATS} times."
        ),
        findings=tuple(findings),
        tables=(
            Table("single-sites", "Area, direction and threshold of each site.", table),
            Table(
                "best-sites",
                "The best site of each pair, apparent and with its choice nested.",
                pd.DataFrame(
                    [
                        {
                            "pair": one.pair,
                            "site": one.apparent.site,
                            "auroc_apparent": one.apparent.area.auroc,
                            "auroc_nested": one.nested_auroc,
                            "chosen_in_folds": ", ".join(f"{s} {w:.0%}" for s, w in one.chosen),
                        }
                        for one in best
                    ]
                ),
            ),
        ),
        figures=(
            Figure(
                "best-roc",
                "ROC curves of the three best sites of each pair with 95 % intervals of the area; "
                "the dot is the best site's apparent threshold.",
                partial(single_feature_figure.plot_best, given.cohort, rocs),
            ),
            Figure(
                "areas",
                "Area under the ROC curve of each site and pair.",
                partial(single_feature_figure.plot_areas, rocs),
            ),
        ),
        values={
            "auroc": {f"{r.pair} {r.site}": json_number(r.area.auroc) for r in rocs},
            "best": {
                b.pair: {
                    "site": b.apparent.site,
                    "apparent": json_number(b.apparent.area.auroc),
                    "nested": json_number(b.nested_auroc),
                }
                for b in best
            },
        },
    )


def _compared(
    rows: Sequence[characteristics.SexDifference] | Sequence[comparison.SiteComparison],
) -> pd.DataFrame:
    """Comparisons as a table, the result before the numbers that it rests on."""
    found = table_of(rows)
    moments = ("mean_", "sd_", "median_")
    names = [f"{name}_hu" if str(name).startswith(moments) else str(name) for name in found]
    found.columns = pd.Index(names)
    effects = [name for name in names if name.startswith(("hedges_g", "cliffs_delta"))]
    leading = [*names[:2], "test", "p", "q", *effects]
    return found[[*leading, *(name for name in names if name not in leading)]]


def _within(rows: Sequence[characteristics.SexDifference], tissue: str) -> str:
    of_stages = [r for r in rows if r.tissue == tissue and r.stage != characteristics.EVERYONE]
    return "; ".join(
        f"{r.stage} {r.comparison.mean_first:.1f} and {r.comparison.mean_second:.1f} "
        f"({p_words(r.q, 'q')})"
        for r in of_stages
    )


def _who(sex: str) -> str:
    return {"female": "women", "male": "men"}.get(str(sex), "all patients")
