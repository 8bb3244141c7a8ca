"""The network as a step of a study: as published, with the evidence for its edges and ranks."""

import io
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt
import pandas as pd

from modeling.cohort import STAGE_COLUMN, Stage, read_cohort, without_duplicates
from modeling.design import USED_SITES
from modeling.errors import StepNotPossible
from modeling.pair_trees import PairCore
from modeling.stacking.published import PUBLISHED_FEATURES
from modeling.study.step import Figure, StepResult, StudyInput, StudyStep
from network.build import CUTOFF
from network.cores import CORES_STEP
from network.export import cytoscape_json, flat_graph
from network.figure import plot
from network.findings import chance_sentences, claims_sentences, survival_sentences
from network.fixed import ROUNDS, SITE_PAIRS, SPLITS, fixed_interactions, rounds_curve
from network.graph import InteractionNetwork, compose
from network.interactions import LEAST_OF_A_STAGE
from network.resampling import Resamples, resample
from network.significance import (
    ALPHA,
    COMBINED,
    Evidence,
    evidence,
    evidence_table,
    survivors_by_network,
)
from network.stability import (
    agreement_table,
    centrality_table,
    named,
    seed_networks,
)
from network.study_figures import (
    plot_adjacency,
    plot_centralities,
    plot_evidence,
    plot_panels,
    plot_rounds,
    plot_stability,
)
from network.study_tables import PUBLISHED_SETS, network_tables, rounds_table

__all__ = ["network_step", "network_steps", "run_full"]

FloatArray = npt.NDArray[np.float64]

STUDY_BOOTSTRAPS, STUDY_PERMUTATIONS, STUDY_SIMULATIONS, STUDY_SEEDS = 50, 99, 59, 20
"""A study's numbers of resamples and seeds: the smallest p are 1/100 and 1/60."""

SET_SEEDS = 36
"""Seeds of the networks on the published sets, which are small and cheap."""

OTHER_CORE_NUMBERS = {
    "bootstraps": 0,
    "permutations": 19,
    "simulations": 19,
    "seeds": 8,
    "set_seeds": 12,
}
"""Numbers of another core, whose interactions take several times as long: the smallest p is .05."""

FILE_STEMS = {COMBINED: "network", PUBLISHED_SETS: "network-published-sets"}
"""Stems of the combined networks' files."""

NETWORK_METHOD = (
    "For each two stages {core} (published parameters: rate 0.05, 10 leaves, 512 bins; CatBoost: "
    "rate 0.05, depth 3) on the 32 "
    "sites; absolute SHAP interactions summed over all patients of the pair, in-sample, as "
    "published; an edge where one matrix entry exceeds {cutoff:g} (Wang 2025). The publication "
    "stops boosting early on one held-out fifth, which picks 2 to 230 rounds; here every model has "
    "{rounds} rounds, near the least cross-validated loss of the six pairs, and interactions are "
    "averaged over {splits} splits, so that resamples compare. Support: share of {b} bootstraps of "
    "patients within stages in which the edge is there. Null 1: stages permuted over patients ({p} "
    "times). Null 2: stages drawn from an additive model (boosted trees of one split for the four "
    "stages), so that no interaction exists ({m} times). p are family-wise over the 496 pairs of "
    "sites of a network by the largest weight of each replicate (Westfall and Young 1993) and "
    "cannot be smaller than 1/(replicates + 1); they are not adjusted over the seven networks. The "
    "combined weight sums the six pairs' weights above the cutoff. Degree, betweenness and "
    "closeness ignore weights; clustering is Onnela's (2005, doi 10.1103/PhysRevE.71.065103); "
    "communities are Louvain's.\n\n"
    "The publication's models see the sites that it chose for each pair (8 to 19), not all: the "
    "network on those sets stands beside the one on all sites. Seeds: {seeds} seeds of splits and "
    "communities on all sites, {set_seeds} on the published sets, each with early stopping as "
    "published and with fixed rounds. The sets were chosen on patients of the published cohort."
)


def network_step(
    bootstraps: int = STUDY_BOOTSTRAPS,
    permutations: int = STUDY_PERMUTATIONS,
    simulations: int = STUDY_SIMULATIONS,
    seeds: int = STUDY_SEEDS,
    set_seeds: int = SET_SEEDS,
    core: PairCore = PairCore.LIGHTGBM,
) -> StudyStep:
    """Make the step with its own numbers of resamples and seeds, and its own core."""
    numbers: dict[str, Any] = {
        "bootstraps": bootstraps,
        "permutations": permutations,
        "simulations": simulations,
        "seeds": seeds,
        "set_seeds": set_seeds,
        "core": core,
    }
    title = "Bone-muscle network" + ("" if core is PairCore.LIGHTGBM else f" ({core})")
    return StudyStep("network", title, partial(_run, **numbers), parameters=numbers)


def network_steps(core: PairCore = PairCore.LIGHTGBM) -> tuple[StudyStep, ...]:
    """Give the package's steps in the order in which they run, the network with a core."""
    numbers = {} if core is PairCore.LIGHTGBM else OTHER_CORE_NUMBERS
    return network_step(**numbers, core=core), CORES_STEP


def run_full(
    cohort_path: Path,
    out: Path,
    seed: int,
    *,
    bootstraps: int,
    permutations: int,
    simulations: int,
    jobs: int = 1,
) -> StepResult:
    """Write the step's tables (CSV), figures (PNG and SVG) and graphs into a folder.

    Raises
    ------
    modeling.CohortError
        The cohort cannot be used.
    GraphError
        The network cannot be built.
    """
    cohort = without_duplicates(read_cohort(cohort_path))
    found = network_step(bootstraps, permutations, simulations).run(StudyInput(cohort, seed, jobs))
    out.mkdir(parents=True, exist_ok=True)
    for table in found.tables:
        table.frame.to_csv(out / f"{table.name}.csv", index=False, lineterminator="\n")
    for figure in found.figures:
        drawn = figure.draw()
        drawn.savefig(out / f"{figure.name}.png", dpi=160, metadata={"Software": None})
        drawn.savefig(out / f"{figure.name}.svg", metadata={"Date": None, "Creator": None})
    for name, content in found.files.items():
        (out / name).write_bytes(content)
    text = "\n\n".join((found.method, *found.findings))
    (out / "findings.txt").write_text(f"{text}\n", encoding="utf-8")
    return found


def _run(
    given: StudyInput,
    bootstraps: int,
    permutations: int,
    simulations: int,
    seeds: int,
    set_seeds: int,
    core: PairCore,
) -> StepResult:
    stages = given.cohort[STAGE_COLUMN].to_numpy(dtype=str)
    _check_counts(stages)
    mean_hu = given.cohort[list(USED_SITES)].to_numpy(dtype=np.float64)
    samples = resample(
        mean_hu,
        stages,
        given.seed,
        bootstraps=bootstraps,
        permutations=permutations,
        simulations=simulations,
        core=core,
        jobs=given.jobs,
    )
    seeded = (
        *seed_networks(mean_hu, stages, given.seed, seeds, CUTOFF, given.jobs, core),
        *seed_networks(
            mean_hu, stages, given.seed, set_seeds, CUTOFF, given.jobs, core, PUBLISHED_FEATURES
        ),
    )
    stability, centralities = agreement_table(seeded), centrality_table(seeded)
    weighed = evidence(samples, CUTOFF)
    by_name = named(samples.observed)
    whole = _network(by_name, given.seed)
    panels = {pair: _network({pair: values}, given.seed) for pair, values in by_name.items()}
    of_sets = _network(
        named(fixed_interactions(mean_hu, stages, given.seed, core=core, sets=PUBLISHED_FEATURES)),
        given.seed,
    )
    table = evidence_table(weighed, CUTOFF)
    curve = rounds_curve(mean_hu, stages, given.seed) if core is PairCore.LIGHTGBM else None
    return StepResult(
        NETWORK_METHOD.format(
            core=core,
            cutoff=CUTOFF,
            rounds=ROUNDS,
            splits=SPLITS,
            b=bootstraps,
            p=permutations,
            m=simulations,
            seeds=seeds,
            set_seeds=set_seeds,
        ),
        (
            *survival_sentences(table, permutations, simulations),
            *chance_sentences(samples.observed, samples.permutations),
            *claims_sentences(stability, whole, given.seed),
        ),
        (
            *network_tables(table, whole, panels, of_sets, stability, centralities),
            *((rounds_table(curve),) if curve is not None else ()),
        ),
        (
            *_figures(samples, weighed, whole, panels, of_sets, stability, centralities),
            *((_rounds_figure(curve),) if curve is not None else ()),
        ),
        {
            "core": core,
            "survivors": {
                item.network: int((np.maximum(item.p_permutation, item.p_additive) <= ALPHA).sum())
                for item in weighed
            },
            "stability": stability.to_dict("list"),
        },
        _files({COMBINED: whole, **panels, PUBLISHED_SETS: of_sets}, weighed),
    )


def _check_counts(stages: npt.NDArray[Any]) -> None:
    counts = {s.value: int((stages == s).sum()) for s in Stage}
    few = [f"{name} ({count})" for name, count in counts.items() if count < LEAST_OF_A_STAGE]
    if few:
        raise StepNotPossible(
            f"the network needs {LEAST_OF_A_STAGE} patients of each stage; found {', '.join(few)}"
        )


def _figures(
    samples: Resamples,
    weighed: tuple[Evidence, ...],
    whole: InteractionNetwork,
    panels: Mapping[str, InteractionNetwork],
    of_sets: InteractionNetwork,
    stability: pd.DataFrame,
    centralities: pd.DataFrame,
) -> tuple[Figure, ...]:
    def network() -> Any:
        marked = survivors_by_network(weighed)[COMBINED]
        return plot(whole, marked=marked, marked_label="stands out from permuted labels").figure

    return (
        Figure(
            "network",
            "The combined network; edges that stand out from permuted labels in vermilion.",
            network,
        ),
        Figure(
            "network-published-sets",
            "The combined network on the published sets; no edge of it was tested.",
            lambda: plot(of_sets).figure,
        ),
        Figure(
            "centralities",
            "Degree, betweenness and closeness of the ten foremost sites: mean over networks that "
            "differ in their seed alone, with the middle 90 %; beside a bar how often the site is "
            "first. Published: L5 first, S1 second (Wang 2025).",
            lambda: plot_centralities(centralities),
        ),
        Figure(
            "pairs",
            "The network of each two stages (patient's right on the left; edges that stand out "
            "from permuted labels in vermilion; communities by colour).",
            lambda: plot_panels(panels, weighed),
        ),
        Figure(
            "adjacency",
            "Weights of the combined network between all sites.",
            lambda: plot_adjacency(weighed[-1]).figure,
        ),
        Figure(
            "evidence",
            "Heaviest edges against the heaviest of each null replicate.",
            lambda: plot_evidence(samples, CUTOFF).figure,
        ),
        Figure(
            "stability",
            "Agreement between networks that differ in their seed alone, on all sites and on the "
            "published sets.",
            lambda: plot_stability(stability).figure,
        ),
    )


def _rounds_figure(curve: FloatArray) -> Figure:
    return Figure(
        "rounds",
        "Why the rounds are fixed where they are.",
        lambda: plot_rounds(curve).figure,
    )


def _network(
    interactions: Mapping[str, Mapping[tuple[str, str], float]], seed: int
) -> InteractionNetwork:
    return InteractionNetwork(*compose(interactions, CUTOFF, seed), seed, CUTOFF, SPLITS)


def _files(
    networks: Mapping[str, InteractionNetwork], weighed: tuple[Evidence, ...]
) -> dict[str, bytes]:
    """Write every network as GraphML and Cytoscape JSON, with support and p of tested edges."""
    by_name = {item.network: item for item in weighed}
    files: dict[str, bytes] = {}
    for name, network in networks.items():
        graph = flat_graph(network, _edge_evidence(by_name[name]) if name in by_name else {})
        stem = FILE_STEMS.get(name, f"network-{name.replace('/', '-')}")
        content = io.BytesIO()
        nx.write_graphml(graph, content)
        files[f"{stem}.graphml"] = content.getvalue()
        text = json.dumps(cytoscape_json(graph, f"bone-muscle network, {name}"), indent=1)
        files[f"{stem}.cyjs"] = f"{text}\n".encode()
    return files


def _edge_evidence(item: Evidence) -> dict[tuple[str, str], dict[str, float]]:
    columns = {
        "support": item.support,
        "p_permutation": item.p_permutation,
        "p_additive": item.p_additive,
    }
    return {
        ends: {k: float(v[i]) for k, v in columns.items() if not np.isnan(v[i])}
        for i, ends in enumerate(SITE_PAIRS)
    }
