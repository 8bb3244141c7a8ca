"""The comparison of the stages and single sites as steps of a study."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from modeling.cohort import SITE_NAMES
from modeling.statistics import comparison, single_feature
from modeling.statistics.figures import (
    box_plot_figure,
    comparison_figure,
    single_feature_figure,
)
from modeling.statistics.site_values import comparison_table, table_of
from modeling.statistics.two_groups import GroupTest
from modeling.statistics.wording import clipping, json_number
from modeling.study.step import Figure, StepResult, StudyInput, Table
from roi_extraction.sites import SITES_BY_NAME, Muscle

__all__ = ["comparison_step", "roc_step"]

BOX_WORDS = (
    "box: quartiles, whiskers: 1.5 interquartile ranges, stars: q after Benjamini-Hochberg over "
    "all 216 comparisons."
)
"""What the box plots show."""

ROC_GROUPS = {
    "vertebrae": [name for name in SITE_NAMES if SITES_BY_NAME[name].is_vertebra],
    **{
        str(muscle): [name for name in SITE_NAMES if SITES_BY_NAME[name].muscle is muscle]
        for muscle in Muscle
    },
}
"""Sites whose curves share a figure."""


def comparison_step(given: StudyInput) -> StepResult:
    """Compare the sites between the stages."""
    rows = comparison.compare_sites(given.cohort)
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
        findings=_comparison_sentences(rows),
        tables=(
            Table(
                "site-comparisons",
                "Each site in the earlier (first) and the later (second) stage of each pair; "
                "effects are the later minus the earlier.",
                comparison_table(rows),
            ),
        ),
        figures=(
            Figure(
                "effect-sizes",
                "Cliff's delta between the stages, with marks of the adjusted p-value.",
                partial(comparison_figure.plot, rows),
            ),
            *_box_figures(given.cohort, rows),
        ),
        values={
            "different_sites": {
                pair: [row.site for row in rows if row.pair == pair and row.q < 0.05]
                for pair in dict.fromkeys(row.pair for row in rows)
            }
        },
    )


def _comparison_sentences(rows: Sequence[comparison.SiteComparison]) -> tuple[str, ...]:
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
    adjusted = sum(row.q < 0.05 for row in rows)
    bare = sum(row.comparison.p < 0.05 for row in rows)
    findings.append(
        f"The box plots have stars for {adjusted} differences (q < .05); without adjustment "
        f"(p < .05) there would be {bare}."
    )
    return tuple(findings)


def _box_figures(
    cohort: pd.DataFrame, rows: Sequence[comparison.SiteComparison]
) -> tuple[Figure, ...]:
    measured = [SITES_BY_NAME[name] for name in SITE_NAMES if cohort[name].notna().any()]
    vertebrae = Figure(
        "boxes-vertebrae",
        f"HU of the vertebrae by stage; {BOX_WORDS}",
        partial(box_plot_figure.plot_vertebrae, cohort, rows),
    )
    return (
        *((vertebrae,) if any(site.is_vertebra for site in measured) else ()),
        *(
            Figure(
                f"boxes-{muscle}".lower().replace(" ", "-"),
                f"HU of {muscle} by stage, right and left at each disc; {BOX_WORDS}",
                partial(box_plot_figure.plot_muscle, cohort, rows, muscle),
            )
            for muscle in Muscle
            if any(site.muscle is muscle for site in measured)
        ),
    )


def roc_step(given: StudyInput) -> StepResult:
    """Take each site alone as a test."""
    rocs = single_feature.single_site_rocs(given.cohort)
    best = single_feature.best_sites(given.cohort, rocs, given.seed)
    return StepResult(
        method=_roc_method(given.cohort),
        findings=_roc_sentences(rocs, best),
        tables=(
            Table("single-sites", "Area, direction and threshold of each site.", table_of(rocs)),
            Table(
                "best-sites",
                "The best site of each pair, apparent and with its choice nested.",
                _best_table(best),
            ),
        ),
        figures=(
            Figure(
                "best-roc",
                "ROC curves of the three best sites of each pair with 95 % intervals of the area; "
                "the dot is the best site's apparent threshold.",
                partial(single_feature_figure.plot_best, given.cohort, rocs),
            ),
            *(
                Figure(
                    f"roc-{name}".lower().replace(" ", "-"),
                    f"ROC curves of all sites: {name}; apparent. Sites with fewer than "
                    f"{single_feature.MIN_PATIENTS_FOR_BEST} of a pair's patients are left out.",
                    partial(single_feature_figure.plot_all, given.cohort, rocs, name, sites),
                )
                for name, sites in ROC_GROUPS.items()
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


def _roc_method(cohort: pd.DataFrame) -> str:
    return (
        f"{clipping(cohort)} Each site alone, in the patients that have it; those that "
        "lack it are counted. The area under the ROC curve with DeLong's variance (DeLong "
        "1988, doi 10.2307/2531595; Sun and Xu 2014, doi 10.1109/LSP.2014.2337313) and its "
        "95 % interval on the logit scale. The direction is the one in which these patients "
        "give an area of at least .5. The threshold is Youden's, chosen and scored in the "
        "same patients, so its sensitivity and specificity are apparent. The best site of a "
        f"pair is sought among those that {single_feature.MIN_PATIENTS_FOR_BEST} of its "
        "patients have (as in the published toolkit); it is too good by the choosing; nested "
        "means that the site and its direction are chosen on four fifths and scored on the "
        f"fifth, {single_feature.CHOICE_REPEATS} times."
    )


def _roc_sentences(
    rocs: Sequence[single_feature.SiteRoc], best: Sequence[single_feature.BestSite]
) -> tuple[str, ...]:
    said = []
    for one in best:
        roc, area = one.apparent, one.apparent.area
        sign = "at or below" if roc.direction == "lower" else "at or above"
        said.append(
            f"{one.pair}: {roc.site} {area.auroc:.3f} ({area.auroc_low:.3f} to "
            f"{area.auroc_high:.3f}), {sign} {roc.threshold_hu:.0f} HU apparent sensitivity "
            f"{roc.sensitivity_apparent:.2f} and specificity {roc.specificity_apparent:.2f}; "
            f"with the choice of the site nested {one.nested_auroc:.3f}."
        )
    published = next((r for r in rocs if (r.pair, r.site) == ("A/D", "L5")), None)
    if published is not None and not published.reason:
        said.append(
            f"L5 between A and D: {published.area.auroc:.3f} here, .921 published (Wang 2025)."
        )
    return tuple(said)


def _best_table(best: Sequence[single_feature.BestSite]) -> pd.DataFrame:
    return pd.DataFrame(
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
    )
