"""The step that explains the pair models and the four-class model by SHAP values."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from modeling.cohort import Stage, features_of
from modeling.design import DESIGN, USED_SITES
from modeling.interpretation.dependence_figures import (
    plot_dependence,
    plot_dependence_by_partner,
)
from modeling.interpretation.share_figures import (
    plot_beeswarm,
    plot_heat_map,
    plot_interactions,
    plot_waterfall,
)
from modeling.interpretation.shares import (
    PairShares,
    StageShares,
    contributions,
    foremost_and_partner,
    mean_interactions,
    mean_shares,
    pair_shares,
    stage_shares,
    typical_patient,
)
from modeling.pair_trees import PAIR_ROUNDS, PairCore
from modeling.study.step import Figure, StepResult, StudyInput, StudyStep, Table

__all__ = ["shap_step"]

SHAP_METHOD = (
    "All values are out of fold: each patient is explained by models that were fitted without "
    "them (5 folds). Pairs: {core} on the 32 sites with the network's parameters and {rounds} "
    "rounds; SHAP values in log-odds of the later stage, exact ({core}'s own), interactions by "
    "path-dependent tree SHAP (Lundberg 2020, doi 10.1038/s42256-019-0138-9). The published values "
    "are in-sample. Stages: the stage model (two forests, and proportional odds, whose part is "
    "shared out by the rescale rule) on its 43 inputs, before calibration; SHAP values in units of "
    "probability, which add up to the uncalibrated "
    "out-of-fold probabilities. Shares tell what the models use, not what causes disease; sites "
    "that go together share their weight arbitrarily. The network step tests which interactions "
    "stand out from chance."
)

NAMES = tuple(feature.name for feature in DESIGN)


def _panels(count: int, size: tuple[float, float], draw: Callable[[int, Any], Any]) -> Any:
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=size, layout="constrained")
    for place, ax in enumerate(drawing.subplots(count // 2, 2).flat):
        draw(place, ax)
    return drawing


def _pair_figures(found: Mapping[str, PairShares], stages: npt.NDArray[Any]) -> tuple[Figure, ...]:
    pairs, shares = list(found), list(found.values())

    def beeswarm(place: int, ax: Any) -> None:
        item = shares[place]
        plot_beeswarm(item.values, item.mean_hu, USED_SITES, "log-odds", ax=ax)
        ax.set_title(f"{pairs[place]}: to the right speaks for {pairs[place][-1]}", fontsize=10)

    def heat(place: int, ax: Any) -> None:
        plot_heat_map(shares[place].values, shares[place].base, USED_SITES, "log-odds", ax=ax)
        ax.set_title(f"{pairs[place]}: red speaks for {pairs[place][-1]}", fontsize=10)

    def dependence(place: int, ax: Any) -> None:
        item = shares[place]
        site = int(item.site_means.argmax())
        earlier, later = pairs[place].split("/")
        plot_dependence(
            item.values[:, site],
            item.mean_hu[:, site],
            f"{USED_SITES[site]} (HU)",
            f"log-odds of {later}",
            stages[item.rows] == later,
            (f"stage {earlier}", f"stage {later}"),
            ax=ax,
        )
        ax.set_title(pairs[place], fontsize=10)

    def partner(place: int, ax: Any) -> None:
        item = shares[place]
        site, other = foremost_and_partner(item)
        plot_dependence_by_partner(
            item.values[:, site],
            item.mean_hu[:, site],
            item.mean_hu[:, other],
            (USED_SITES[site], USED_SITES[other]),
            f"log-odds of {pairs[place][-1]}",
            ax=ax,
        )
        ax.set_title(pairs[place], fontsize=10)

    def interaction(place: int, ax: Any) -> None:
        means = 2 * np.abs(shares[place].interactions).mean(axis=0)
        image = plot_interactions(means, USED_SITES, ax=ax)
        bar = ax.figure.colorbar(image, ax=ax, shrink=0.75, pad=0.01)
        bar.ax.tick_params(labelsize=7)
        bar.set_label("mean absolute interaction (log-odds)", fontsize=7)
        ax.set_title(pairs[place], fontsize=10)

    return (
        Figure(
            "pairs-beeswarm",
            "SHAP values of the eight foremost sites of each pair, a dot a patient, out of fold; "
            "dark: low HU, bright: high HU, grey: missing.",
            lambda: _panels(6, (9, 11), beeswarm),
        ),
        Figure(
            "pairs-heat-map",
            "SHAP values of all patients of each pair, out of fold; above, f(x), the log-odds that "
            "they add up to (dotted: before anything is known).",
            lambda: _panels(6, (10, 10.5), heat),
        ),
        Figure(
            "pairs-dependence",
            "SHAP values of each pair's foremost site against its HU, out of fold.",
            lambda: _panels(6, (8, 9), dependence),
        ),
        Figure(
            "pairs-dependence-partner",
            "SHAP values of each pair's foremost site against its HU, coloured by HU of the site "
            "that it interacts with most (grey: missing), out of fold; as Fig. 5g-l of Wang 2025, "
            "whose values are in-sample.",
            lambda: _panels(6, (9, 9), partner),
        ),
        Figure(
            "pairs-interactions",
            "Mean absolute SHAP interaction of each two of the 14 foremost sites, out of fold; the "
            "table has all.",
            lambda: _panels(6, (9, 11), interaction),
        ),
    )


def _stage_figures(shares: StageShares, stages: npt.NDArray[Any]) -> tuple[Figure, ...]:
    order = list(Stage)

    def beeswarm(place: int, ax: Any) -> None:
        plot_beeswarm(
            shares.values[:, :, place], shares.design, NAMES, "probability", count=9, ax=ax
        )
        ax.tick_params(axis="y", labelsize=8)
        ax.set_title(f"stage {order[place]}: {order[place].label}", fontsize=10)

    def heat(place: int, ax: Any) -> None:
        plot_heat_map(
            shares.values[:, :, place], shares.base[:, place], NAMES, "probability", ax=ax
        )
        ax.set_title(f"stage {order[place]}: {order[place].label}", fontsize=10)

    foremost = np.argsort(-np.abs(shares.values).mean(axis=0).sum(axis=1), kind="stable")[:6]
    last = order.index(Stage.D)

    def dependence(place: int, ax: Any) -> None:
        feature = foremost[place]
        name = NAMES[feature]
        unit = {"age": "years", "sex": "0 female, 1 male"}.get(name, "HU")
        plot_dependence(
            shares.values[:, feature, last],
            shares.design[:, feature],
            f"{name} ({unit})",
            "probability of D",
            stages == Stage.D,
            ("stages A to C", "stage D"),
            ax=ax,
        )

    def waterfall(place: int, ax: Any) -> None:
        stage = order[place]
        patient = typical_patient(shares, stages, stage)
        plot_waterfall(
            contributions(shares, patient, stage), float(shares.base[patient, place]), stage, ax=ax
        )
        ax.set_title(f"patient {patient + 1}, stage {stage}", fontsize=10)

    def waterfalls() -> Any:
        from matplotlib.figure import Figure as Drawing

        drawing = Drawing(figsize=(8, 14), layout="constrained")
        for place, ax in enumerate(drawing.subplots(4, 1)):
            waterfall(place, ax)
        return drawing

    return (
        Figure(
            "stages-beeswarm",
            "SHAP values of the four-class model's nine foremost inputs for each stage, out of "
            "fold; dark: low, bright: high, grey: missing.",
            lambda: _panels(4, (11, 8), beeswarm),
        ),
        Figure(
            "stages-heat-map",
            "SHAP values of all patients for each stage, out of fold; above, f(x), the probability "
            "that they add up to (dotted: before anything is known).",
            lambda: _panels(4, (12, 7.5), heat),
        ),
        Figure(
            "stages-dependence",
            "SHAP values for stage D of the six foremost inputs, out of fold.",
            lambda: _panels(6, (8, 9), dependence),
        ),
        Figure(
            "waterfalls",
            "How the probability of a stage comes about, out of fold: of each stage's patients "
            "that are decided rightly the one of median probability.",
            waterfalls,
        ),
    )


def _run(given: StudyInput, core: PairCore) -> StepResult:
    features, stages = features_of(given.cohort)
    pairs = pair_shares(features, stages, given.seed, core)
    shares = stage_shares(features, stages, given.seed)
    sites, interactions = mean_shares(pairs), mean_interactions(pairs)
    inputs = pd.DataFrame(
        np.abs(shares.values).mean(axis=0).round(6), columns=[f"stage {s}" for s in Stage]
    )
    inputs.insert(0, "input", list(NAMES))
    first = ", ".join(f"{pair} {USED_SITES[sites[pair].to_numpy().argmax()]}" for pair in pairs)
    heaviest = interactions.groupby("pair", sort=False).head(1)
    named = ", ".join(
        f"{row['pair']} {row['site']}–{row['other site']}" for row in heaviest.to_dict("records")
    )
    foremost = ", ".join(
        f"{stage} {NAMES[inputs[f'stage {stage}'].to_numpy().argmax()]}" for stage in Stage
    )
    return StepResult(
        SHAP_METHOD.format(core=core, rounds=PAIR_ROUNDS),
        (
            f"Out of fold the foremost site of each pair is: {first}.",
            f"The four-class model's foremost input for each stage is: {foremost}.",
            f"The heaviest interaction of each pair is: {named or 'none'}; heavy is not proven, "
            "see the network step.",
            f"The partner that the foremost site interacts with most: {_partners(pairs)}.",
        ),
        (
            Table("sites", "Mean absolute SHAP value of each site, log-odds, out of fold.", sites),
            Table(
                "inputs",
                "Mean absolute SHAP value of the four-class model's inputs, probability, out of "
                "fold.",
                inputs,
            ),
            Table("interactions", "SHAP interactions of each pair, out of fold.", interactions),
            Table("examples", "The patients of the waterfalls.", _examples(shares, stages)),
        ),
        (*_pair_figures(pairs, stages), *_stage_figures(shares, stages)),
        {
            "core": core,
            "sites": sites.set_index("site").to_dict(),
            "inputs": inputs.set_index("input").to_dict(),
        },
    )


def _examples(shares: StageShares, stages: npt.NDArray[Any]) -> pd.DataFrame:
    rows = []
    for place, stage in enumerate(Stage):
        patient = typical_patient(shares, stages, stage)
        for item in contributions(shares, patient, stage):
            value = np.nan if item.value is None else round(item.value, 2)
            rows.append((patient + 1, stage.value, item.feature, value, round(item.shap, 6)))
        rows.append((patient + 1, stage.value, "before", np.nan, shares.base[patient, place]))
    columns = ["patient", "stage", "input", "value (HU, years)", "SHAP value (probability)"]
    return pd.DataFrame(rows, columns=columns)


def _partners(pairs: Mapping[str, PairShares]) -> str:
    found = {pair: foremost_and_partner(shares) for pair, shares in pairs.items()}
    return ", ".join(f"{p} {USED_SITES[a]} with {USED_SITES[b]}" for p, (a, b) in found.items())


def shap_step(core: PairCore = PairCore.LIGHTGBM) -> StudyStep:
    """Make the step with a core of the pair models; the four-class model has none."""
    title = "What the models rest on" + ("" if core is PairCore.LIGHTGBM else f" ({core})")
    return StudyStep("shap", title, partial(_run, core=core), parameters={"core": core})
