"""The interaction network: planted interactions, hand-made graphs, files read back."""

import csv
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

import network
from modeling.design import USED_SITES
from network import InteractionNetwork, InvalidGraph, StageTooSmall, locate
from network.build import build_network
from network.export import write_network
from network.graph import compose
from network.interactions import interaction_sums
from tests.test_modeling_cohort import synthetic_cohort

HAND_MADE = {
    "A/B": {("L1", "L2"): 5.0, ("L2", "L3"): 2.0, ("L4", "L5"): 1.5},
    "A/C": {("L1", "L2"): 3.0, ("S1", "L1-L2_1"): 4.0},
}


def hand_made() -> InteractionNetwork:
    return InteractionNetwork(*compose(HAND_MADE, 1.5, 0), 0, 1.5, 1)


def test_the_contents_page_is_whole() -> None:
    assert all(hasattr(network, name) for name in network.__all__)


def test_a_planted_interaction_is_the_strongest() -> None:
    rng = np.random.default_rng(0)
    hu = rng.normal(0, 1, (300, 5))
    hu[::11, 4] = np.nan
    sums = interaction_sums(hu, hu[:, 1] * hu[:, 3] > 0, 0)
    assert tuple(map(int, np.unravel_index(sums.argmax(), sums.shape))) == (1, 3)
    np.testing.assert_allclose(sums, sums.T)
    assert not np.diag(sums).any()
    np.fill_diagonal(sums, 0)
    rest = sums.copy()
    rest[1, 3] = rest[3, 1] = 0
    assert sums[1, 3] > 5 * rest.max()


def test_a_cohort_with_a_planted_pair_has_it_as_its_heaviest_edge() -> None:
    cohort = synthetic_cohort(80)
    rng = np.random.default_rng(2)
    sites = list(USED_SITES)
    cohort[sites] = rng.normal(50, 10, (len(cohort), len(sites)))
    same = (cohort["L2"] > 50) == (cohort["L4-L5_3"] > 50)
    cohort["Disease"] = np.where(same, rng.choice(["A", "B"], 320), rng.choice(["C", "D"], 320))
    found = build_network(cohort, 0, repeats=1)
    assert {found.edges[0].source, found.edges[0].target} == {"L2", "L4-L5_3"}
    assert set(found.edges[0].pairs) <= {"A/C", "A/D", "B/C", "B/D"}
    assert found == build_network(cohort, 0, repeats=1)


def test_the_cutoff_is_exceeded_not_met_and_isolates_are_gone() -> None:
    found = hand_made()
    assert {node.name for node in found.nodes} == {"L1", "L2", "L3", "S1", "L1-L2_1"}
    assert found.edges[0].weight == 8.0
    assert dict(found.edges[0].pairs) == {"A/B": 5.0, "A/C": 3.0}


def test_measures_equal_hand_calculation() -> None:
    by_name = {node.name: node for node in hand_made().nodes}
    assert (by_name["L2"].degree, by_name["L2"].strength) == (2, 10.0)
    # One of the six pairs of the other four nodes has its shortest path through L2.
    assert by_name["L2"].betweenness == pytest.approx(1 / 6, abs=1e-6)
    # Reaches two of four others, each at distance 1: (2 / 2) * (2 / 4).
    assert by_name["L2"].closeness == 0.5
    assert set(hand_made().communities) == {("L2", "L1", "L3"), ("L1-L2_1", "S1")}


def test_places_are_ranked_by_strength_and_strangers_passed_over() -> None:
    found = locate(hand_made(), ["L1", "age", "L5", "L2", "L1"])
    assert [(p.feature, p.strength_rank, p.community, p.node_count) for p in found] == [
        ("L1", 2, 1, 5),
        ("L2", 1, 1, 5),
    ]


def test_json_reads_back_equal_and_networkx_reads_it_too() -> None:
    found = hand_made()
    assert InteractionNetwork.from_json(found.to_json()) == found
    graph = nx.node_link_graph(found.to_json(), edges="edges")
    assert graph["L1"]["L2"]["weight"] == 8.0


@pytest.mark.parametrize("part", ["graph", "nodes", "edges"])
def test_json_that_lacks_a_part_is_refused(part: str) -> None:
    found = hand_made().to_json()
    del found[part]
    with pytest.raises(InvalidGraph):
        InteractionNetwork.from_json(found)


def test_an_edge_without_its_node_is_refused() -> None:
    found = hand_made().to_json()
    found["nodes"].pop()
    with pytest.raises(InvalidGraph, match="without their node"):
        InteractionNetwork.from_json(found)


def test_files_hold_what_the_network_holds(tmp_path: Path) -> None:
    found = hand_made()
    write_network(found, tmp_path)
    graph = nx.read_graphml(tmp_path / "network.graphml")
    assert graph["L1"]["L2"]["A/C"] == 3.0
    assert graph.nodes["L2"]["strength"] == 10.0
    with (tmp_path / "nodes.csv").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == [n.name for n in found.nodes]
    with (tmp_path / "edges.csv").open() as file:
        assert next(csv.DictReader(file))["weight"] == "8.0"
    assert (tmp_path / "network.png").read_bytes().startswith(b"\x89PNG")


def test_an_empty_network_is_a_network(tmp_path: Path) -> None:
    found = InteractionNetwork(*compose({}, 1.5, 0), 0, 1.5, 1)
    write_network(found, tmp_path)
    assert (found.nodes, found.communities, locate(found, ["L1"])) == ((), (), ())


def test_too_few_patients_are_refused() -> None:
    with pytest.raises(StageTooSmall, match="at least 5"):
        build_network(synthetic_cohort(4), 0, repeats=1)
