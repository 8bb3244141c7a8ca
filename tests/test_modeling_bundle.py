"""Bundles: deterministic, verified, and refused when anything is wrong."""

import hashlib
import json
import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

import modeling.evaluation.nested
from modeling import (
    Bundle,
    BundleIncompatible,
    BundleNotFound,
    BundleTampered,
    BundleUntrusted,
    load_bundle,
    save_bundle,
)
from modeling.bundle.bundle import BUNDLE_LIBRARIES, _model_id
from modeling.evaluation.recipe_evaluation import Protocol
from modeling.training import train, train_bundle
from network import InteractionNetwork
from network.build import run as run_network
from tests.conftest import unavailable
from tests.test_modeling_cohort import synthetic_cohort, write

MAX_BUNDLE_BYTES = 6_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_bundle(load_bundle(), tmp_path / "bundle")
    return tmp_path / "bundle"


def restate(folder: Path, **changed: object) -> None:
    """Make the manifest consistent with the files again, as a careful forger would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in manifest["files"]:
        manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    manifest["model_id"] = _model_id(manifest["files"], manifest["feature_schema_version"])
    (folder / "manifest.json").write_text(json.dumps(manifest | changed))


def test_the_default_bundle_is_small_and_states_its_scores() -> None:
    bundle = load_bundle()
    assert sum(map(len, bundle.contents.values())) < MAX_BUNDLE_BYTES
    assert 0.8 < bundle.scores["mean_pair_auroc"] < 0.87
    assert bundle.network is not None
    assert InteractionNetwork.from_json(bundle.network).nodes[0].name == "L5"


def test_a_saved_bundle_loads_with_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = save_bundle(load_bundle(folder), tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    assert again.model_id == load_bundle().model_id


def test_the_network_does_not_change_the_model_id(tmp_path: Path) -> None:
    bundle = save_bundle(load_bundle(), tmp_path, network={"nodes": []})
    assert bundle.model_id == load_bundle().model_id
    assert load_bundle(tmp_path).network == {"nodes": []}


@pytest.mark.parametrize(
    "name", ["forest.npz", "recipe.json", "network.json", "nested_calls.csv", "model_card.md"]
)
def test_a_tampered_file_is_refused(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(BundleTampered, match=name):
        load_bundle(folder)


def test_another_model_id_is_refused(folder: Path) -> None:
    restate(folder, model_id="extratrees-0000000000000000")
    with pytest.raises(BundleTampered, match="identifier"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["manifest.json", "forest.npz"])
def test_an_absent_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleNotFound, match=name):
        load_bundle(folder)


def test_another_feature_schema_is_refused(folder: Path) -> None:
    restate(folder, feature_schema_version=99)
    with pytest.raises(BundleIncompatible, match="schema 99"):
        load_bundle(folder)


def test_a_permuted_site_order_is_refused(folder: Path) -> None:
    recipe = json.loads((folder / "recipe.json").read_text())
    recipe["sites"][:2] = recipe["sites"][1::-1]
    (folder / "recipe.json").write_text(json.dumps(recipe))
    restate(folder)
    with pytest.raises(BundleIncompatible, match="another order"):
        load_bundle(folder)


def test_a_file_outside_the_bundle_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["../secret"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleIncompatible, match="other files"):
        load_bundle(folder)


def rewrite_forest(folder: Path, **changed: np.ndarray) -> None:
    """Replace arrays of the forests by others, with a manifest that fits."""
    with np.load(folder / "forest.npz") as archive:
        arrays = {name: archive[name] for name in archive} | changed
    np.savez(folder / "forest.npz", **arrays)
    restate(folder)


def test_python_objects_in_the_forest_are_refused(folder: Path) -> None:
    rewrite_forest(folder, early_roots=np.array([{}], dtype=object))
    with pytest.raises(BundleUntrusted):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("early_left", 0),
        ("early_right", 2_000_000),
        ("early_features", 43),
        ("early_features", -2),
        ("early_roots", -1),
        ("late_samples", 0),
        ("late_thresholds", np.nan),
    ],
)
def test_trees_that_lead_nowhere_are_refused(folder: Path, name: str, value: float) -> None:
    with np.load(folder / "forest.npz") as archive:
        array = archive[name]
    array[0] = value
    rewrite_forest(folder, **{name: array})
    with pytest.raises(BundleIncompatible, match="hold a stage model"):
        load_bundle(folder)


@pytest.mark.parametrize(
    "changed",
    [
        {"late_values": np.zeros((3, 1), dtype=np.float32)},
        {"late_values": np.zeros((3, 1))},
        {"early_values": np.zeros(3, dtype=np.float32)},
        {"odds_weights": np.zeros(42)},
        {"odds_cuts": np.array([0.1, 0.2, 0.0])},
        {"odds_middle": np.full(43, np.nan)},
    ],
    ids=["lengths", "type", "shape", "inputs", "order of cuts", "not finite"],
)
def test_arrays_that_do_not_fit_are_refused(folder: Path, changed: dict[str, np.ndarray]) -> None:
    rewrite_forest(folder, **changed)
    with pytest.raises(BundleIncompatible, match="hold a stage model"):
        load_bundle(folder)


def test_a_forest_file_of_another_kind_is_refused(folder: Path) -> None:
    (folder / "forest.npz").write_bytes(b"PK not a zip")
    restate(folder)
    with pytest.raises((BundleIncompatible, BundleUntrusted)):
        load_bundle(folder)


def test_the_same_seed_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modeling.evaluation.nested, "NESTED_FOLDS", 2)
    short = Protocol(repeats=1, permutations=1, bootstraps=5)
    path = write(synthetic_cohort(), tmp_path)
    first, second = (train_bundle(path, tmp_path / name, 7, protocol=short) for name in "ab")
    assert dict(first.contents) == dict(second.contents)
    assert dict(first.manifest) == dict(second.manifest)
    other: Bundle = train(synthetic_cohort(), 8, protocol=short)
    assert other.model_id != first.model_id
    assert load_bundle(tmp_path / "a").model_id == first.model_id
    shutil.rmtree(tmp_path / "b")


@pytest.mark.figures
@pytest.mark.shared
def test_the_default_bundle_is_what_the_published_cohort_gives(
    shared_data: Path, tmp_path: Path
) -> None:
    default = load_bundle()
    stated = default.manifest["libraries"]
    if stated != {name: version(name) for name in BUNDLE_LIBRARIES}:
        unavailable("the default bundle was trained with other library versions")
    cohort = shared_data / "cohort" / "cohort.tsv"
    network = run_network(cohort, tmp_path / "network", 42)
    found = train_bundle(cohort, tmp_path / "bundle", 42, network.to_json())
    assert dict(found.manifest) == dict(default.manifest)


def test_the_docs_hold_the_default_bundles_card() -> None:
    docs = Path(__file__).parents[1] / "docs" / "model_card.md"
    assert docs.read_text() == load_bundle().card


def test_the_card_states_nested_beside_apparent_and_what_stage_d_means() -> None:
    bundle = load_bundle()
    for name, pair in bundle.scores["pairs"].items():
        assert f"| {name} | {pair['auroc']:.3f} |" in bundle.card
        assert f"| {pair['apparent']:.3f} |" in bundle.card
    assert "does not say that a\nfracture was seen" in bundle.card
    assert "Not a medical device" in bundle.card
