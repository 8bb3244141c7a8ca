"""What speaks for the network's edges and ranks: nulls, supports, seeds, files."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from modeling.calibration import PAIRS, pair_name
from modeling.cohort import Stage
from modeling.design import USED_SITES
from modeling.pair_trees import PairCore, fit_pair
from modeling.study import StepResult
from modeling.study.step import StudyInput
from network import InvalidGraph, StageTooSmall, clustering
from network.export import cytoscape_json, flat_graph
from network.findings import survival_sentences
from network.fixed import SITE_PAIRS, fixed_interactions
from network.graph import Edge, compose
from network.resampling import Resamples, additive_probabilities, resample
from network.significance import (
    EVIDENCE_COLUMNS,
    adjusted_p,
    combined_weights,
    evidence,
    evidence_table,
)
from network.stability import (
    CENTRALITIES,
    PROTOCOLS,
    SET_PROTOCOLS,
    SeedNetworks,
    agreement,
    centrality_table,
    seed_networks,
)
from network.study import network_step
from tests.test_modeling_cohort import synthetic_cohort
from tests.test_network_graph import hand_made

SMALL: dict[str, Any] = {"splits": 1, "rounds": 12}


def patients(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """HU without any relation to the stages, ``count`` patients of each."""
    rng = np.random.default_rng(seed)
    return rng.normal(100, 30, (4 * count, len(USED_SITES))), np.repeat(list("ABCD"), count)


def crossed(count: int) -> tuple[np.ndarray, np.ndarray]:
    """A and D differ by whether L2 and L4 lie on the same side of 85 HU, by nothing else."""
    hu, stages = patients(count)
    same = (hu[:, 1] > 85) == (hu[:, 3] > 85)
    stages = np.where(np.isin(stages, ["A", "D"]), np.where(same, "A", "D"), stages)
    kept = np.isin(stages, ["A", "D"]) | (np.arange(len(stages)) % 3 == 0)
    return hu[kept], stages[kept]


def test_a_planted_interaction_stands_out_from_both_nulls_and_no_other() -> None:
    hu, stages = crossed(110)
    found = resample(
        hu, stages, 0, bootstraps=3, permutations=19, simulations=19, splits=1, rounds=20
    )
    table = evidence_table(evidence(found, 1.5), 1.5)
    kept = table[(table["network"] == "A/D") & table["survives both"]]
    assert list(zip(kept["source"], kept["target"], strict=True)) == [("L2", "L4")]
    assert kept["support (share of bootstraps)"].tolist() == [1.0]
    assert kept["adjusted p, permuted labels"].tolist() == [0.05]


def test_resamples_are_the_same_in_any_number_of_processes() -> None:
    hu, stages = patients(45)
    wanted = {"bootstraps": 1, "permutations": 1, "simulations": 1, **SMALL}
    one, two = (resample(hu, stages, 3, jobs=jobs, **wanted) for jobs in (1, 2))
    for name in ("observed", "bootstraps", "permutations", "additive"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert one.observed.any()
    assert not np.array_equal(one.observed, one.permutations[0])


def test_a_null_without_replicates_gives_no_p() -> None:
    hu, stages = patients(45)
    found = resample(hu, stages, 0, bootstraps=0, permutations=0, simulations=0, **SMALL)
    item = evidence(found, 1.5)[0]
    assert np.isnan(item.p_permutation).all()
    assert np.isnan(item.support).all()
    assert not evidence_table((item,), 1.5)["survives both"].any()


def test_the_additive_model_has_additive_log_odds() -> None:
    hu, stages = patients(40)
    # Four made-up patients: two sites each at a low and a high value, the rest alike.
    corners = np.tile(hu[:1], (4, 1))
    corners[:, 1], corners[:, 3] = [60, 60, 140, 140], [60, 140, 60, 140]
    shifted = hu.copy()
    shifted[:, 1] += 30 * (stages == "D")
    shifted[:, 3] += 30 * (stages == "D")
    known = np.vstack([shifted, corners])
    labels = np.concatenate([stages, list("ABCD")])
    logs = np.log(additive_probabilities(known, labels, 0)[-4:])
    odds = logs[:, 3] - logs[:, 0]
    assert abs(odds[1] - odds[0]) + abs(odds[2] - odds[0]) > 0.1
    assert odds[0] + odds[3] == pytest.approx(odds[1] + odds[2], abs=1e-9)


def test_adjusted_p_counts_the_largest_of_each_replicate() -> None:
    null = np.array([[1.0, 5.0], [2.0, 0.0], [3.0, 1.0]])
    observed = np.array([6.0, 5.0, 2.5, 0.0])
    counted = [(1 + sum(row.max() >= value for row in null)) / 4 for value in observed]
    np.testing.assert_allclose(adjusted_p(observed, null), counted)


def test_family_wise_error_is_kept_on_noise() -> None:
    rng = np.random.default_rng(5)
    smallest = [
        adjusted_p(rng.exponential(size=50), rng.exponential(size=(19, 50))).min()
        for _ in range(400)
    ]
    # 5 % expected; 9 % is above four standard deviations of 400 draws.
    assert np.mean(np.array(smallest) <= 0.05) < 0.09
    assert min(smallest) == 0.05


def test_combined_weights_sum_what_exceeds_the_cutoff() -> None:
    values = np.zeros((len(PAIRS), len(SITE_PAIRS)))
    values[0, 3], values[1, 3], values[2, 3] = 2.0, 1.5, 4.0
    assert combined_weights(values, 1.5)[3] == 6.0
    assert combined_weights(values[None], 1.5).shape == (1, len(SITE_PAIRS))


def test_too_few_patients_and_negative_numbers_are_refused() -> None:
    hu, stages = patients(4)
    with pytest.raises(StageTooSmall):
        fixed_interactions(hu, stages, 0)
    with pytest.raises(InvalidGraph):
        resample(hu, stages, 0, bootstraps=-1, permutations=0, simulations=0)


def test_a_model_without_a_split_has_no_interactions() -> None:
    hu, stages = patients(45)
    assert not fixed_interactions(np.ones_like(hu), stages, 0, **SMALL).any()


def test_clustering_is_that_of_onnela() -> None:
    weights = {("L1", "L2"): 8.0, ("L2", "L3"): 1.0, ("L1", "L3"): 8.0, ("L3", "L4"): 4.0}
    found = clustering([Edge(a, b, w, {}) for (a, b), w in weights.items()])
    # One triangle of shares 1, 1/8 and 1: the cube root of their product is one half.
    assert found == pytest.approx({"L1": 0.5, "L2": 0.5, "L3": 0.5 / 3, "L4": 0.0}, abs=1e-5)
    assert clustering([]) == {}


def test_networks_that_are_equal_agree_fully_and_opposite_ranks_fully_disagree() -> None:
    up = np.arange(32, dtype=float)
    edges = frozenset({("L1", "L2")})
    groups = np.array([[1] * 16 + [2] * 16] * 2)
    same = SeedNetworks("x", dict.fromkeys(CENTRALITIES, np.array([up, up])), groups, (edges,) * 2)
    found = agreement(same)
    assert found["strength: Kendall tau"] == found["edge overlap (Jaccard)"] == 1
    assert found["partition agreement (adjusted Rand)"] == 1
    turned = SeedNetworks(
        "x", dict.fromkeys(CENTRALITIES, np.array([up, -up])), groups, (edges, frozenset())
    )
    found = agreement(turned)
    assert found["strength: Kendall tau"] == pytest.approx(-1)
    assert found["degree: Spearman rho"] == pytest.approx(-1)
    assert found["strength: same among the first 3"] == found["edge overlap (Jaccard)"] == 0
    assert found["share with L5 first by strength"] == 0


def test_seed_networks_are_built_by_each_protocol() -> None:
    hu, stages = crossed(30)
    found = seed_networks(hu, stages, 0, 4, 0.1)
    assert tuple(networks.protocol for networks in found) == PROTOCOLS
    assert [len(networks.edges) for networks in found] == [4, 1, 4, 1]
    assert np.isnan(agreement(found[1])["edge overlap (Jaccard)"])
    # As `compose` gives it when asked directly.
    single = fixed_interactions(hu, stages, 0, splits=1)
    nodes, edges = compose(
        {
            f"{a}/{b}": dict(zip(SITE_PAIRS, row.tolist(), strict=True))
            for (a, b), row in zip(combinations("ABCD", 2), single, strict=True)
        },
        0.1,
        0,
    )
    assert {(e.source, e.target) for e in edges} == found[2].edges[0]
    strengths = dict(zip(USED_SITES, found[2].ranks["strength"][0], strict=True))
    assert {n.name: n.strength for n in nodes}.items() <= strengths.items()


def test_pairs_see_the_sites_of_their_sets_alone() -> None:
    sets = {pair_name(pair): ("L2", "L4") for pair in PAIRS} | {"A/D": ("L1", "L2", "L4", "S1")}
    found = seed_networks(*crossed(15), 0, 4, 0.1, sets=sets)
    hu, stages = crossed(110)
    assert tuple(networks.protocol for networks in found) == SET_PROTOCOLS
    values = fixed_interactions(hu, stages, 0, splits=1, sets=sets)
    seen = {SITE_PAIRS[i] for i in np.flatnonzero(values[PAIRS.index((Stage.A, Stage.D))])}
    assert ("L2", "L4") in seen <= set(combinations(("L1", "L2", "L4", "S1"), 2))
    assert {SITE_PAIRS[i] for i in np.flatnonzero(values[0])} <= {("L2", "L4")}
    # The same as a cohort that has these columns alone.
    columns = [USED_SITES.index(site) for site in ("L2", "L4")]
    rows = np.isin(stages, ["A", "B"])
    model = fit_pair(*split_of(hu[rows][:, columns], stages[rows] == "B"), 0)
    expected = np.abs(model.interactions(hu[rows][:, columns])).sum(axis=0)[0, 1]
    assert values[0][SITE_PAIRS.index(("L2", "L4"))] == pytest.approx(expected)


def split_of(hu: np.ndarray, later: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The four fifths that the first split of seed 0 trains on."""
    target = later.astype(int)
    seen, _ = train_test_split(
        np.arange(len(target)), test_size=0.2, random_state=0, stratify=target
    )
    return hu[seen], target[seen]


def test_centralities_are_listed_with_their_spread_the_largest_mean_first() -> None:
    ranks = np.zeros((2, len(USED_SITES)))
    ranks[:, USED_SITES.index("L5")] = (4, 6)
    ranks[:, USED_SITES.index("S1")] = (5, 1)
    networks = SeedNetworks(
        "x", dict.fromkeys(CENTRALITIES, ranks), np.zeros((2, 32), dtype=int), (frozenset(),) * 2
    )
    table = centrality_table((networks,))
    first, second = table[table["measure"] == "degree"].head(2).to_dict("records")
    assert (first["site"], first["mean"], first["share first"]) == ("L5", 5.0, 0.5)
    assert (second["site"], second["mean"], second["share second"]) == ("S1", 3.0, 0.5)


@pytest.mark.parametrize("core", [PairCore.XGBOOST, PairCore.CATBOOST])
def test_a_planted_interaction_is_the_heaviest_by_every_core(core: PairCore) -> None:
    hu, stages = crossed(110)
    sets = {pair_name(pair): ("L1", "L2", "L4", "S1") for pair in PAIRS}
    values = fixed_interactions(hu, stages, 0, splits=1, rounds=30, core=core, sets=sets)
    assert SITE_PAIRS[int(values[PAIRS.index((Stage.A, Stage.D))].argmax())] == ("L2", "L4")


def check_cytoscape(found: dict[str, Any]) -> None:
    """The parts of Cytoscape.js JSON that Cytoscape's reader asks for."""
    assert found["format_version"] == "1.0"
    assert isinstance(found["data"]["name"], str)
    nodes, edges = found["elements"]["nodes"], found["elements"]["edges"]
    names = [node["data"]["id"] for node in nodes]
    assert len(set(names)) == len(names)
    assert all(isinstance(name, str) for name in names)
    assert all(set(node["position"]) == {"x", "y"} for node in nodes)
    assert len({edge["data"]["id"] for edge in edges}) == len(edges)
    assert all({edge["data"]["source"], edge["data"]["target"]} <= set(names) for edge in edges)
    kinds: dict[str, set[type]] = {}
    for item in (*nodes, *edges):
        for key, value in item["data"].items():
            assert isinstance(value, (str, int, float, bool))
            kinds.setdefault(key, set()).add(type(value))
    assert all(len(kind) == 1 for kind in kinds.values()), kinds


def test_cytoscape_json_keeps_its_form_and_networkx_reads_it_back() -> None:
    graph = flat_graph(hand_made(), {("L2", "L1"): {"support": 0.9}})
    found = json.loads(json.dumps(cytoscape_json(graph)))
    check_cytoscape(found)
    back = nx.cytoscape_graph(found)
    assert set(back) == set(graph)
    assert back["L1"]["L2"]["weight"] == 8.0
    assert back["L1"]["L2"]["support"] == 0.9
    assert back["L1"]["L2"]["A/C"] == 3.0
    assert back.nodes["L2"]["strength"] == 10.0


@pytest.fixture(scope="module")
def result() -> StepResult:
    cohort = synthetic_cohort(45)
    rng = np.random.default_rng(0)
    cohort[list(USED_SITES)] = rng.normal(80, 25, (len(cohort), len(USED_SITES)))
    step = network_step(bootstraps=1, permutations=1, simulations=1, seeds=4, set_seeds=4)
    return step.run(StudyInput(cohort, 0, 1))


def test_all_files_of_the_step_read_back(result: StepResult, tmp_path: Path) -> None:
    edges = next(table.frame for table in result.tables if table.name == "edges")
    assert set(edges["network"]) <= {"combined", *(f"{a}/{b}" for a, b in PAIRS)}
    nodes = next(table.frame for table in result.tables if table.name == "nodes")
    assert "combined, published sets" in set(nodes["network"])
    for name, content in result.files.items():
        if name.startswith("network-published-sets"):
            continue
        path = tmp_path / name
        path.write_bytes(content)
        of = "combined" if name.startswith("network.") else name.split(".")[0][8:].replace("-", "/")
        expected = int((edges["network"] == of).sum())
        if name.endswith("cyjs"):
            found = json.loads(content)
            check_cytoscape(found)
            graph = nx.cytoscape_graph(found)
        else:
            graph = nx.read_graphml(path)
        assert graph.number_of_edges() == expected
        assert all("p_permutation" in d and "support" in d for _, _, d in graph.edges(data=True))
        assert all("clustering" in d for _, d in graph.nodes(data=True))


def test_too_few_replicates_say_nothing_and_enough_name_the_survivors(result: StepResult) -> None:
    assert result.findings[0].startswith("1 replicates of permuted labels: too few")
    assert not any("both nulls" in sentence for sentence in result.findings)
    edge = dict.fromkeys(EVIDENCE_COLUMNS[7:], True)
    table = pd.DataFrame([{"network": "A/D", "source": "L2", "target": "L4", **edge}])
    said = survival_sentences(table, 19, 19)
    assert "A/D: L2–L4" in said[0]
    assert said[2].startswith("Edges that stand out from both nulls: 1;")
    assert survival_sentences(table.assign(**dict.fromkeys(edge, False)), 19, 19)[2].startswith(
        "No"
    )


def test_the_figures_are_drawn(result: StepResult, tmp_path: Path) -> None:
    for figure in result.figures:
        drawn = figure.draw()
        drawn.savefig(tmp_path / "x.png", dpi=40)
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_the_evidence_of_an_empty_network_is_an_empty_table() -> None:
    nothing = np.zeros((len(PAIRS), len(SITE_PAIRS)))
    samples = Resamples(nothing, nothing[None], nothing[None], nothing[None])
    table = evidence_table(evidence(samples, 1.5), 1.5)
    assert isinstance(table, pd.DataFrame)
    assert table.empty
