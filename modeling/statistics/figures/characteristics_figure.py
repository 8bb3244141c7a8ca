"""Figures of the cohort's characteristics."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from modeling.cohort import AGE_COLUMN, SEX_COLUMN, STAGE_COLUMN, Sex, Stage
from modeling.statistics.ageing.age_by_sex import AgeBySex
from modeling.statistics.ageing.declines import Decline
from modeling.statistics.characteristics import (
    EVERYONE,
    AgeDensities,
    Groups,
    SexDifference,
)
from modeling.statistics.figures.drawing import (
    SEX_COLOURS,
    STAGE_COLOURS,
    STAGE_MARKERS,
    new_axes,
    new_figure,
    stage_legend,
)
from modeling.statistics.site_values import tissue_means
from modeling.statistics.wording import p_words
from modeling.study.palette import BLUE, VERMILION

__all__ = [
    "plot_age_by_sex",
    "plot_age_densities",
    "plot_decline_rates",
    "plot_groups",
    "plot_hu_by_age",
    "plot_sex_differences",
]

FIGURE_TISSUES = ("L1-L5", "all muscles")
"""The tissues that are drawn; the tables hold the others too."""


def plot_groups(groups: Groups, ax: Any = None) -> Any:
    """Bars of women and men in each stage."""
    ax = new_axes(ax, (6.5, 4))
    rows = [row for row in groups.rows if row.stage != EVERYONE]
    for place, row in enumerate(rows):
        start = 0
        for sex, count in (("female", row.women), ("male", row.men)):
            ax.barh(place, count, left=start, color=SEX_COLOURS[sex], edgecolor="white")
            ink = "black" if sex == "female" else "white"
            if count:
                ax.text(
                    start + count / 2,
                    place,
                    f"{count}",
                    ha="center",
                    va="center",
                    color=ink,
                )
            start += count
    ax.set_yticks(range(len(rows)), [f"{r.stage} {Stage(r.stage).label}" for r in rows])
    ax.invert_yaxis()
    ax.set_xlabel("patients")
    ax.set_ylabel("stage")
    for sex, word in (("female", "women"), ("male", "men")):
        ax.barh(0, 0, color=SEX_COLOURS[sex], label=word)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=2, frameon=False)
    return ax


def plot_age_densities(found: AgeDensities, ax: Any = None) -> Any:
    """The stages' age densities; under the curves each peak with its interval."""
    ax = new_axes(ax, (8, 4.5))
    highest = max((float(d.max()) for d in found.density.values()), default=1.0)
    for place, peak in enumerate(found.peaks):
        stage = Stage(peak.stage)
        if stage not in found.density:
            continue
        colour = STAGE_COLOURS[stage]
        ax.plot(found.age_years, found.density[stage], color=colour, linewidth=2)
        level = -highest * 0.07 * (place + 1)
        ax.plot([peak.peak_years], [found.density[stage].max()], STAGE_MARKERS[stage], color=colour)
        ax.plot([peak.peak_low_years, peak.peak_high_years], [level, level], color=colour, lw=2)
        ax.plot(
            [peak.peak_years],
            [level],
            marker=STAGE_MARKERS[stage],
            color=colour,
            linestyle="",
            label=f"{stage} {stage.label}: {peak.peak_years:.0f} "
            f"({peak.peak_low_years:.0f} to {peak.peak_high_years:.0f})",
        )
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.set_ylim(bottom=-highest * 0.07 * (len(found.peaks) + 1))
    ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= 1.05 * highest])
    ax.set_xlabel("age (years)")
    ax.set_ylabel("density (per year)")
    ax.legend(
        title="peak of the density and its 95 % interval, years",
        fontsize=8,
        title_fontsize=8,
        ncols=2,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        frameon=False,
    )
    return ax


def plot_sex_differences(rows: Sequence[SexDifference]) -> Any:
    """Women's and men's mean HU with 95 % intervals, by stage; a figure."""
    figure = new_figure((9, 4.2))
    panels = figure.subplots(1, len(FIGURE_TISSUES))
    stages = (*map(str, Stage), EVERYONE)
    for ax, name in zip(panels, FIGURE_TISSUES, strict=True):
        by_stage = {row.stage: row for row in rows if row.tissue == name}
        for shift, sex, word in ((-0.12, "female", "women"), (0.12, "male", "men")):
            for place, stage in enumerate(stages):
                c = by_stage[stage].comparison
                n, mean, sd = (
                    (c.n_first, c.mean_first, c.sd_first)
                    if sex == "female"
                    else (c.n_second, c.mean_second, c.sd_second)
                )
                ax.errorbar(
                    place + shift,
                    mean,
                    yerr=stats.t.ppf(0.975, n - 1) * sd / np.sqrt(n) if n > 1 else None,
                    color=SEX_COLOURS[sex],
                    marker="o" if sex == "female" else "s",
                    capsize=3,
                    label=word if place == 0 else None,
                )
        for place, stage in enumerate(stages):
            q = by_stage[stage].q
            text = "not tested" if np.isnan(q) else "q < .001" if q < 0.001 else f"q = {q:.3f}"
            ax.annotate(
                text.replace("0.", "."),
                (place, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, -12),
                textcoords="offset points",
                ha="center",
                fontsize=7,
            )
        ax.margins(x=0.12, y=0.18)
        ax.set_xticks(range(len(stages)), stages)
        ax.set_xlabel("stage")
        ax.set_ylabel("mean HU (95 % interval)")
        ax.set_title("vertebrae L1-L5" if name == "L1-L5" else name, fontsize=10)
    panels[-1].legend(fontsize=8, loc="lower left")
    return figure


def plot_hu_by_age(cohort: pd.DataFrame, rows: Sequence[Decline]) -> Any:
    """Patients' mean HU against age with a line for each stage, by sex; a figure."""
    means = tissue_means(cohort)
    figure = new_figure((9, 7.5))
    panels = figure.subplots(len(FIGURE_TISSUES), len(Sex), sharex=True, sharey="row")
    for line, name in zip(panels, FIGURE_TISSUES, strict=True):
        for ax, sex in zip(line, Sex, strict=True):
            of_sex = cohort[SEX_COLUMN] == sex.cohort_code
            for stage in Stage:
                chosen = of_sex & (cohort[STAGE_COLUMN] == stage)
                age = cohort.loc[chosen, AGE_COLUMN]
                ax.scatter(
                    age,
                    means.loc[chosen, name],
                    s=14,
                    color=STAGE_COLOURS[stage],
                    marker=STAGE_MARKERS[stage],
                    alpha=0.55,
                    linewidths=0,
                )
                fit = next(r for r in rows if (r.tissue, r.sex, r.stage) == (name, sex, stage))
                if not np.isnan(fit.slope_hu_per_year):
                    ends = np.array([age.min(), age.max()])
                    ax.plot(
                        ends,
                        fit.intercept_hu + fit.slope_hu_per_year * ends,
                        color=STAGE_COLOURS[stage],
                        linewidth=2.2,
                    )
            word = "women" if sex is Sex.FEMALE else "men"
            ax.set_title(f"{'vertebrae L1-L5' if name == 'L1-L5' else name}, {word}", fontsize=10)
        line[0].set_ylabel("mean HU of the patient")
    for ax in panels[-1]:
        ax.set_xlabel("age (years)")
    stage_legend(panels[0][1], loc="upper right")
    return figure


def plot_decline_rates(rows: Sequence[Decline]) -> Any:
    """Slopes of HU against age with 95 % intervals, by sex and stage; a figure."""
    figure = new_figure((9, 4.2))
    panels = figure.subplots(1, len(FIGURE_TISSUES), sharey=True)
    stages = (EVERYONE, *map(str, Stage))
    for ax, name in zip(panels, FIGURE_TISSUES, strict=True):
        for shift, sex, word in ((-0.14, "female", "women"), (0.14, "male", "men")):
            chosen = {r.stage: r for r in rows if r.tissue == name and r.sex == sex}
            slopes = [chosen[s].slope_hu_per_year for s in stages]
            below = [chosen[s].slope_hu_per_year - chosen[s].slope_low for s in stages]
            above = [chosen[s].slope_high - chosen[s].slope_hu_per_year for s in stages]
            ax.errorbar(
                slopes,
                np.arange(len(stages)) + shift,
                xerr=[below, above],
                linestyle="",
                marker="o" if sex == "female" else "s",
                color=SEX_COLOURS[sex],
                capsize=3,
                label=word,
            )
        ax.axvline(0, color="0.5", linewidth=0.8)
        ax.set_yticks(range(len(stages)), stages)
        ax.set_xlabel("HU per year of age (95 % interval)")
        ax.set_title("vertebrae L1-L5" if name == "L1-L5" else name, fontsize=10)
    panels[0].invert_yaxis()
    panels[0].set_ylabel("stage")
    panels[0].legend(fontsize=8, loc="best")
    return figure


def plot_age_by_sex(rows: Sequence[AgeBySex], ax: Any = None) -> Any:
    """How much steeper women's decline is than men's, by tissue, with 95 % intervals."""
    ax = new_axes(ax, (8, 4.4))
    tissues = list(dict.fromkeys(row.tissue for row in rows))
    styles = (
        (False, BLUE, "o", -0.15, "all patients"),
        (True, VERMILION, "s", 0.15, "within the stages"),
    )
    for within, colour, marker, shift, label in styles:
        chosen = {row.tissue: row for row in rows if row.within_stages == within}
        values = np.array([chosen[name].difference for name in tissues])
        low = np.array([chosen[name].difference_low for name in tissues])
        high = np.array([chosen[name].difference_high for name in tissues])
        places = np.arange(len(tissues)) + shift
        ax.errorbar(
            values,
            places,
            xerr=[values - low, high - values],
            linestyle="",
            marker=marker,
            color=colour,
            capsize=3,
            label=label,
        )
        for name, place in zip(tissues, places, strict=True):
            ax.annotate(
                p_words(chosen[name].p),
                (1.01, place),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=8,
                color=colour,
            )
    ax.axvline(0, color="0.5", linewidth=0.8)
    ax.set_yticks(range(len(tissues)), tissues)
    ax.set_ylim(len(tissues) - 0.5, -0.5)
    ax.set_ylabel("tissue")
    ax.set_xlabel("men's minus women's slope, HU per year of age (95 % interval, HC3)")
    ax.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
