"""LightGBM, XGBoost and CatBoost side by side: what their SHAP values and interactions agree on."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import roc_auc_score

from modeling.calibration import PAIRS, pair_name
from modeling.cohort import Stage, features_of
from modeling.design import USED_SITES
from modeling.errors import StepNotPossible
from modeling.interpretation.shares import PairShares, foremost_and_partner, pair_shares
from modeling.pair_trees import PAIR_ROUNDS, PairCore
from modeling.study.palette import BLUE, ORANGE, SKY_BLUE, VERMILION
from modeling.study.step import Figure, StepResult, StudyInput, StudyStep, Table
from network.fixed import ROUNDS, SITE_PAIRS, SPLITS, fixed_interactions
from network.interactions import LEAST_OF_A_STAGE
from network.resampling import mapper
from network.significance import COMBINED

__all__ = ["CORES_STEP", "compare_weights", "site_strengths"]

FloatArray = npt.NDArray[np.float64]

HEAVIEST = 20
"""Interactions that are compared as the heaviest: the cutoff is LightGBM's alone."""

LEADING = 5
"""Sites that are compared as the foremost."""

DRAWN = 12
"""Sites that are drawn."""

OTHER_SEED = "LightGBM, other seeds"
"""LightGBM on other splits: what chance alone leaves of an agreement."""

COLOURS = (BLUE, SKY_BLUE, VERMILION, ORANGE)

CORES_METHOD = (
    "The pair models of the steps shap and network grown by three libraries, at the same rate "
    "(0.05): LightGBM and XGBoost with ten leaves, CatBoost, whose trees are symmetric, with depth "
    "3. Interactions: in-sample, {rounds} rounds, mean of {splits} splits, as in the step network; "
    "SHAP values: out of fold over 5 folds, {pair_rounds} rounds, as in the step shap. XGBoost's "
    "and CatBoost's interactions are the libraries' own, LightGBM's are shap's; all are "
    "path-dependent tree SHAP (Lundberg 2020, doi 10.1038/s42256-019-0138-9). The size of "
    "interactions differs between cores, and the published cutoff of 1.5 is LightGBM's, so the {n} "
    "heaviest interactions are compared in place of edges, and ranks in place of weights. The "
    "combined network here sums the six pairs without a cutoff. LightGBM on other splits shows "
    "what agreement can be expected at most."
)


def site_strengths(weights: FloatArray) -> FloatArray:
    """Sum the weights of each site's interactions.

    Parameters
    ----------
    weights
        float64, shape (496,): by `network.fixed.SITE_PAIRS`.

    Returns
    -------
    ndarray
        float64, shape (32,): by `USED_SITES`.
    """
    found = np.zeros(len(USED_SITES))
    for (first, second), weight in zip(SITE_PAIRS, weights, strict=True):
        found[USED_SITES.index(first)] += weight
        found[USED_SITES.index(second)] += weight
    return found


def compare_weights(ours: FloatArray, theirs: FloatArray) -> dict[str, Any]:
    """Compare two networks of the same sites by ranks.

    Parameters
    ----------
    ours, theirs
        float64, shape (496,): by `network.fixed.SITE_PAIRS`.

    Returns
    -------
    dict
        How many of the `HEAVIEST` interactions are the same, Spearman's rho of all weights,
        Kendall's tau of the sites' strengths, and how many of the `LEADING` sites are the same.
    """
    strengths = site_strengths(ours), site_strengths(theirs)
    return {
        f"same of the {HEAVIEST} heaviest": _shared(ours, theirs, HEAVIEST),
        "weights: Spearman rho": _rank_agreement(spearmanr, ours, theirs),
        "strengths: Kendall tau": _rank_agreement(kendalltau, *strengths),
        f"same of the {LEADING} strongest": _shared(*strengths, LEADING),
    }


def _run(given: StudyInput) -> StepResult:
    features, stages = features_of(given.cohort)
    few = [str(stage) for stage in Stage if int((stages == stage).sum()) < LEAST_OF_A_STAGE]
    if few:
        raise StepNotPossible(
            f"comparing cores needs {LEAST_OF_A_STAGE} patients of each stage, "
            f"fewer of {', '.join(few)}"
        )
    mean_hu = features[list(USED_SITES)].to_numpy(dtype=np.float64)
    models = {
        **{core.value: (given.seed, core) for core in PairCore},
        OTHER_SEED: (given.seed + SPLITS, PairCore.LIGHTGBM),
    }
    with mapper(given.jobs, len(models)) as run:
        weights = dict(
            zip(models, run(partial(_weights, mean_hu, stages), models.values()), strict=True)
        )
    shares = {
        name: pair_shares(features, stages, seed, core) for name, (seed, core) in models.items()
    }
    networks, sites = network_table(weights), site_table(shares, stages)
    return StepResult(
        CORES_METHOD.format(rounds=ROUNDS, splits=SPLITS, pair_rounds=PAIR_ROUNDS, n=HEAVIEST),
        (*_network_findings(networks), *_site_findings(sites)),
        (
            Table("networks", "Interactions of each core, compared with LightGBM's.", networks),
            Table(
                "sites",
                "SHAP values of each core out of fold, compared with LightGBM's.",
                sites,
            ),
            Table(
                "interactions",
                "Absolute interaction of each two sites, log-odds summed over patients and pairs.",
                _all_weights(weights),
            ),
        ),
        (
            Figure(
                "cores",
                "Share of each site in all interactions of the combined network (left, in-sample) "
                "and in all SHAP values (right, out of fold, mean of the six pairs), by core.",
                lambda: plot_cores(weights, shares),
            ),
        ),
        {"networks": networks.to_dict("records"), "sites": sites.to_dict("records")},
    )


def network_table(weights: Mapping[str, FloatArray]) -> pd.DataFrame:
    """Set the cores' networks side by side: a row a network and core, LightGBM first.

    Parameters
    ----------
    weights
        By core: float64, shape (6, 496), by `PAIRS` and `network.fixed.SITE_PAIRS`.
    """
    rows = []
    named = [*((pair_name(pair), place) for place, pair in enumerate(PAIRS)), (COMBINED, None)]
    for network, place in named:
        own = {
            core: values.sum(axis=0) if place is None else values[place]
            for core, values in weights.items()
        }
        for core, values in own.items():
            heaviest = int(values.argmax())
            strengths = site_strengths(values)
            foremost = np.argsort(-strengths, kind="stable")[:3]
            rows.append(
                {
                    "network": network,
                    "core": core,
                    "heaviest interaction": " - ".join(SITE_PAIRS[heaviest]),
                    "its weight (log-odds)": round(float(values[heaviest]), 2),
                    "strongest sites": ", ".join(USED_SITES[i] for i in foremost),
                    **(
                        {}
                        if core == PairCore.LIGHTGBM.value
                        else compare_weights(own[PairCore.LIGHTGBM.value], values)
                    ),
                }
            )
    return pd.DataFrame(rows)


def site_table(
    shares: Mapping[str, Mapping[str, PairShares]], stages: npt.NDArray[Any]
) -> pd.DataFrame:
    """Set the cores' SHAP values side by side: a row a pair and core, LightGBM first.

    Parameters
    ----------
    shares
        By core, by pair name: out of fold.
    stages
        str, shape (n,).
    """
    rows = []
    ours = shares[PairCore.LIGHTGBM.value]
    for pair, own in ours.items():
        reference = own.site_means
        for core, found in shares.items():
            item = found[pair]
            means = item.site_means
            site, partner = foremost_and_partner(item)
            log_odds = item.base + item.values.sum(axis=1)
            row: dict[str, Any] = {
                "pair": pair,
                "core": core,
                "AUROC, pooled": round(
                    float(roc_auc_score(stages[item.rows] == pair[-1], log_odds)), 3
                ),
                "foremost site": USED_SITES[site],
                "its partner": USED_SITES[partner],
            }
            if core != PairCore.LIGHTGBM.value:
                row |= {
                    "mean SHAP: Spearman rho": _rank_agreement(spearmanr, reference, means),
                    f"same of the {LEADING} foremost": _shared(reference, means, LEADING),
                }
            rows.append(row)
    return pd.DataFrame(rows)


def plot_cores(
    weights: Mapping[str, FloatArray], shares: Mapping[str, Mapping[str, PairShares]]
) -> Any:
    """Draw each site's share in the interactions and in the SHAP values by core."""
    from matplotlib.figure import Figure as Drawing

    panels = {
        "share in all interactions": {
            core: site_strengths(values.sum(axis=0)) for core, values in weights.items()
        },
        "share in all SHAP values": {
            core: np.mean([item.site_means for item in found.values()], axis=0)
            for core, found in shares.items()
        },
    }
    drawing = Drawing(figsize=(9, 6.2), layout="constrained")
    for ax, (label, values) in zip(drawing.subplots(1, 2), panels.items(), strict=True):
        parts = {core: own / (own.sum() or 1.0) for core, own in values.items()}
        order = np.argsort(-np.mean(list(parts.values()), axis=0), kind="stable")[:DRAWN]
        places = np.arange(len(order))
        height = 0.8 / len(parts)
        for number, ((core, own), colour) in enumerate(zip(parts.items(), COLOURS, strict=True)):
            ax.barh(
                places + (number + 0.5) * height - 0.4,
                own[order],
                height=height * 0.9,
                color=colour,
                label=core,
            )
        ax.set_yticks(places, [USED_SITES[i] for i in order], fontsize=8)
        ax.set_ylim(len(order) - 0.5, -0.5)
        ax.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        ax.set_xlabel(label)
        ax.spines[["top", "right"]].set_visible(False)
    drawing.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return drawing


def _weights(
    mean_hu: FloatArray, stages: npt.NDArray[Any], model: tuple[int, PairCore]
) -> FloatArray:
    seed, core = model
    return fixed_interactions(mean_hu, stages, seed, core=core)


def _all_weights(weights: Mapping[str, FloatArray]) -> pd.DataFrame:
    frame = pd.DataFrame({core: values.sum(axis=0).round(3) for core, values in weights.items()})
    frame.insert(0, "site", [first for first, _ in SITE_PAIRS])
    frame.insert(1, "other site", [second for _, second in SITE_PAIRS])
    return frame.sort_values(PairCore.LIGHTGBM.value, ascending=False, kind="stable")


def _network_findings(table: pd.DataFrame) -> tuple[str, ...]:
    whole = table[table["network"] == COMBINED].to_dict("records")
    told = "; ".join(
        f"{row['core']} shares {row[f'same of the {HEAVIEST} heaviest']:.0f} of the {HEAVIEST} "
        f"heaviest interactions (strengths: Kendall's tau {row['strengths: Kendall tau']:.2f})"
        for row in whole[1:]
    )
    strongest = "; ".join(f"{row['core']} {row['strongest sites']}" for row in whole)
    return (
        f"Combined network, beside LightGBM's: {told}.",
        f"Strongest sites: {strongest}.",
    )


def _site_findings(table: pd.DataFrame) -> tuple[str, ...]:
    told = []
    for core, rows in table.groupby("core", sort=False):
        areas = rows["AUROC, pooled"].mean()
        foremost = ", ".join(f"{r['pair']} {r['foremost site']}" for r in rows.to_dict("records"))
        told.append(f"{core}: mean pair AUROC {areas:.3f}, foremost {foremost}")
    return (f"SHAP out of fold. {'; '.join(told)}.",)


def _rank_agreement(measure: Callable[..., Any], first: FloatArray, second: FloatArray) -> float:
    """Round a rank correlation; NaN where one side is constant, as models without a split are."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return round(float(measure(first, second).statistic), 3)


def _shared(first: FloatArray, second: FloatArray, count: int) -> int:
    tops = [set(np.argsort(-values, kind="stable")[:count]) for values in (first, second)]
    return len(tops[0] & tops[1])


CORES_STEP = StudyStep("cores", "LightGBM, XGBoost and CatBoost side by side", _run)
"""The step that compares the cores."""
