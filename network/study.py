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

from modeling.calibration import PAIRS, pair_name
from modeling.cohort import STAGE_COLUMN, Stage, read_cohort, without_duplicates
from modeling.design import USED_SITES
from modeling.errors import StepNotPossible
from modeling.study.step import Figure, StepResult, StudyInput, StudyStep, Table
from network.build import CUTOFF
from network.export import cytoscape_json, flat_graph
from network.figure import plot
from network.findings import chance_sentences, claims_sentences, survival_sentences
from network.fixed import ROUNDS, SITE_PAIRS, SPLITS, rounds_curve
from network.graph import InteractionNetwork, clustering, compose
from network.interactions import MIN_PATIENTS
from network.resampling import Resamples, resample
from network.significance import (
    ALPHA,
    COMBINED,
    Evidence,
    evidence,
    evidence_table,
    survivors_by_network,
)
from network.stability import agreement_table, named, seed_networks
from network.study_figures import (
    plot_adjacency,
    plot_evidence,
    plot_panels,
    plot_rounds,
    plot_stability,
)

__all__ = ["NETWORK_STEPS", "communities", "network_step", "run_full"]

FloatArray = npt.NDArray[np.float64]

STUDY_BOOTSTRAPS, STUDY_PERMUTATIONS, STUDY_SIMULATIONS, STUDY_SEEDS = 50, 99, 59, 20
"""A study's numbers of resamples and seeds: the smallest p are 1/100 and 1/60."""

LEAST_OF_A_STAGE = 2 * MIN_PATIENTS
"""Patients of each stage, so that stages drawn from a model seldom fall below `MIN_PATIENTS`."""

NETWORK_METHOD = (
    "For each two stages LightGBM (published parameters: rate 0.05, 10 leaves, 512 bins) on the 32 "
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
    "communities are Louvain's. Seeds: {seeds} seeds of splits and communities, as published and "
    "with fixed rounds."
)


def communities(network: InteractionNetwork) -> pd.DataFrame:
    """List a network's communities: ``community``, ``sites``, ``strength``, ``members``."""
    strength = {node.name: node.strength for node in network.nodes}
    return pd.DataFrame(
        [
            (number, len(sites), round(sum(strength[s] for s in sites), 3), ", ".join(sites))
            for number, sites in enumerate(network.communities, start=1)
        ],
        columns=["community", "sites", "strength (log-odds)", "members"],
    )


def network_step(
    bootstraps: int = STUDY_BOOTSTRAPS,
    permutations: int = STUDY_PERMUTATIONS,
    simulations: int = STUDY_SIMULATIONS,
    seeds: int = STUDY_SEEDS,
) -> StudyStep:
    """Make the step with its own numbers of resamples and seeds."""
    numbers: dict[str, Any] = {
        "bootstraps": bootstraps,
        "permutations": permutations,
        "simulations": simulations,
        "seeds": seeds,
    }
    return StudyStep("network", "Bone-muscle network", partial(_run, **numbers), parameters=numbers)


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
    given: StudyInput, bootstraps: int, permutations: int, simulations: int, seeds: int
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
        jobs=given.jobs,
    )
    stability = agreement_table(
        seed_networks(mean_hu, stages, given.seed, seeds, CUTOFF, given.jobs)
    )
    curve = rounds_curve(mean_hu, stages, given.seed)
    weighed = evidence(samples, CUTOFF)
    by_name = named(samples.observed)
    whole = _network(by_name, given.seed)
    panels = {pair: _network({pair: values}, given.seed) for pair, values in by_name.items()}
    table = evidence_table(weighed, CUTOFF)
    return StepResult(
        NETWORK_METHOD.format(
            cutoff=CUTOFF,
            rounds=ROUNDS,
            splits=SPLITS,
            b=bootstraps,
            p=permutations,
            m=simulations,
            seeds=seeds,
        ),
        (
            *survival_sentences(table, permutations, simulations),
            *chance_sentences(samples.observed, samples.permutations),
            *claims_sentences(stability, whole, given.seed),
        ),
        _tables(table, whole, panels, stability, curve),
        _figures(samples, weighed, whole, panels, stability, curve),
        {
            "survivors": {
                item.network: int((np.maximum(item.p_permutation, item.p_additive) <= ALPHA).sum())
                for item in weighed
            },
            "stability": stability.to_dict("list"),
        },
        _files(whole, panels, weighed),
    )


def _check_counts(stages: npt.NDArray[Any]) -> None:
    counts = {s.value: int((stages == s).sum()) for s in Stage}
    few = [f"{name} ({count})" for name, count in counts.items() if count < LEAST_OF_A_STAGE]
    if few:
        raise StepNotPossible(
            f"the network needs {LEAST_OF_A_STAGE} patients of each stage; found {', '.join(few)}"
        )


def _tables(
    edges: pd.DataFrame,
    whole: InteractionNetwork,
    panels: Mapping[str, InteractionNetwork],
    stability: pd.DataFrame,
    curve: FloatArray,
) -> tuple[Table, ...]:
    nodes = pd.concat([_nodes(COMBINED, whole), *(_nodes(p, n) for p, n in panels.items())])
    return (
        Table(
            "edges",
            "Every edge of the combined network and of each pair, with what speaks for it.",
            edges,
        ),
        Table("nodes", "Sites of the combined network and of each pair.", nodes),
        Table("communities", "Communities of the combined network.", communities(whole)),
        Table("stability", "Agreement between networks of different seeds.", stability),
        Table("rounds", "Rounds of least cross-validated log-loss.", _rounds_table(curve)),
    )


def _figures(
    samples: Resamples,
    weighed: tuple[Evidence, ...],
    whole: InteractionNetwork,
    panels: Mapping[str, InteractionNetwork],
    stability: pd.DataFrame,
    curve: FloatArray,
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
            "Agreement between networks that differ in their seed alone.",
            lambda: plot_stability(stability).figure,
        ),
        Figure(
            "rounds",
            "Why the rounds are fixed where they are.",
            lambda: plot_rounds(curve).figure,
        ),
    )


def _network(
    interactions: Mapping[str, Mapping[tuple[str, str], float]], seed: int
) -> InteractionNetwork:
    return InteractionNetwork(*compose(interactions, CUTOFF, seed), seed, CUTOFF, SPLITS)


def _nodes(name: str, network: InteractionNetwork) -> pd.DataFrame:
    clustered = clustering(network.edges)
    rows = [{"network": name, **vars(n), "clustering": clustered[n.name]} for n in network.nodes]
    return pd.DataFrame(rows).rename(columns={"name": "site", "strength": "strength (log-odds)"})


def _rounds_table(curve: FloatArray) -> pd.DataFrame:
    return pd.DataFrame(
        [
            (
                pair_name(pair),
                int(v.argmin()) + 1,
                round(float(v.min()), 4),
                round(float(v[ROUNDS - 1]), 4),
            )
            for pair, v in zip(PAIRS, curve, strict=True)
        ],
        columns=["pair", "best rounds", "least log-loss", f"log-loss at {ROUNDS} rounds"],
    )


def _files(
    whole: InteractionNetwork,
    panels: Mapping[str, InteractionNetwork],
    weighed: tuple[Evidence, ...],
) -> dict[str, bytes]:
    """Write every network as GraphML and Cytoscape JSON, with support and p of each edge."""
    by_name = {item.network: item for item in weighed}
    files: dict[str, bytes] = {}
    for name, network in ((COMBINED, whole), *panels.items()):
        item = by_name[name]
        columns = {
            "support": item.support,
            "p_permutation": item.p_permutation,
            "p_additive": item.p_additive,
        }
        further = {
            ends: {k: float(v[i]) for k, v in columns.items() if not np.isnan(v[i])}
            for i, ends in enumerate(SITE_PAIRS)
        }
        graph = flat_graph(network, further)
        stem = "network" if name == COMBINED else f"network-{name.replace('/', '-')}"
        content = io.BytesIO()
        nx.write_graphml(graph, content)
        files[f"{stem}.graphml"] = content.getvalue()
        text = json.dumps(cytoscape_json(graph, f"bone-muscle network, {name}"), indent=1)
        files[f"{stem}.cyjs"] = f"{text}\n".encode()
    return files


NETWORK_STEPS: tuple[StudyStep, ...] = (network_step(),)
"""In the order in which they run."""
