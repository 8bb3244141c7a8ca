"""A trained model as files with a manifest: packed, written, read back and verified."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from modeling.bundle.fitted import FITTED_FILE, FittedParameters
from modeling.bundle.forest_file import forest_bytes, read_forest
from modeling.bundle.model_card import model_card
from modeling.bundle.nested_calls import NestedCalls, PredictiveValues
from modeling.cohort import Stage
from modeling.errors import (
    BundleIncompatible,
    BundleNotFound,
    BundleTampered,
)
from modeling.stage_blend import StageBlend
from roi_extraction.features import FEATURE_SCHEMA_VERSION

__all__ = [
    "BUNDLE_FORMAT",
    "Bundle",
    "load_bundle",
    "pack",
    "save_bundle",
]

BUNDLE_FORMAT = "osteonode.bundle/4"
"""Raised whenever the files' meaning changes."""

BUNDLE_LIBRARIES = ("lightgbm", "networkx", "numpy", "pandas", "scikit-learn", "shap")
"""Libraries whose versions the manifest states."""

MANIFEST_FILE = "manifest.json"
"""States what the bundle is and the SHA-256 of each of its files."""

FOREST_FILE = "forest.npz"
"""The two forests and the proportional odds, as plain arrays."""

NETWORK_FILE = "network.json"
"""The cohort's interaction network, which a bundle may lack."""

CALLS_FILE = "nested_calls.csv"
"""Out-of-fold answers on the cohort, which a bundle may lack: what calls are worth follows."""

CARD_FILE = "model_card.md"
"""The model card."""

EXAMPLE_MIX = {Stage.A: 0.45, Stage.B: 0.38, Stage.C: 0.12, Stage.D: 0.05}
"""Assumed shares of the stages in an unselected population: the card shows by them how much
predictive values depend on the mix."""

BUNDLE_FILES = (FOREST_FILE, FITTED_FILE, NETWORK_FILE, CALLS_FILE, CARD_FILE)


@dataclass(frozen=True, eq=False)
class Bundle:
    """A model ready to use, and the files that it is.

    Parameters
    ----------
    forest
        The fitted forests and proportional odds over imputed designs.
    fitted
        Everything else that training fitted.
    network
        The cohort's interaction network in node-link form, or None.
    calls
        Out-of-fold answers on the cohort, or None.
    manifest
        What the bundle states about itself.
    contents
        The files by name, without the manifest.
    """

    forest: StageBlend
    fitted: FittedParameters
    network: dict[str, Any] | None
    calls: NestedCalls | None
    manifest: Mapping[str, Any]
    contents: Mapping[str, bytes]

    @property
    def model_id(self) -> str:
        """Identifies the predictions: derived from forest, fitted parameters and feature schema."""
        return str(self.manifest["model_id"])

    @property
    def prevalence(self) -> dict[Stage, float]:
        """Share of each stage among the patients of the cohort."""
        return _shares(self.manifest["cohort"])

    @property
    def card(self) -> str:
        """The model card, Markdown."""
        return self.contents[CARD_FILE].decode()

    @property
    def scores(self) -> Mapping[str, Any]:
        """Out-of-fold scores of the recipe on the cohort that it was trained on."""
        return dict(self.manifest["scores"])


def pack(
    forest: StageBlend,
    fitted: FittedParameters,
    provenance: Mapping[str, Any],
    calls: NestedCalls | None = None,
    network: Mapping[str, Any] | None = None,
) -> Bundle:
    """Make a bundle of what was trained; the same parts give the same bytes.

    Parameters
    ----------
    forest
        The fitted forests and proportional odds over imputed designs.
    fitted
        Everything else that training fitted.
    provenance
        JSON-ready: ``cohort``, ``seed`` and ``scores``.
    calls
        Out-of-fold answers on the cohort; None for none.
    network
        The cohort's interaction network in node-link form, JSON-ready; None for none.
    """
    contents = {FOREST_FILE: forest_bytes(forest), FITTED_FILE: _json_bytes(fitted.to_json())}
    if calls is not None:
        contents[CALLS_FILE] = calls.to_csv()
        calls = NestedCalls.from_csv(contents[CALLS_FILE])
    return _stated(Bundle(forest, fitted, None, calls, provenance, contents), network)


def _stated(bundle: Bundle, network: Mapping[str, Any] | None) -> Bundle:
    """State a bundle's files in a new manifest; forest and fitted parameters keep their bytes."""
    kept = (FOREST_FILE, FITTED_FILE, CALLS_FILE)
    contents = {name: bundle.contents[name] for name in kept if name in bundle.contents}
    if network is not None:
        contents[NETWORK_FILE] = _json_bytes(network)
    stated = {name: bundle.manifest[name] for name in ("cohort", "seed", "scores")}
    libraries = bundle.manifest.get("libraries") or {
        name: version(name) for name in BUNDLE_LIBRARIES
    }
    model_id = _model_id(_digests(contents), FEATURE_SCHEMA_VERSION)
    values = [] if bundle.calls is None else _values(bundle.calls, _shares(stated["cohort"]))
    contents[CARD_FILE] = model_card(model_id, stated, libraries, values).encode()
    manifest = {
        "format": BUNDLE_FORMAT,
        "model_id": model_id,
        "feature_schema_version": FEATURE_SCHEMA_VERSION,
        "stages": {stage.value: stage.label for stage in Stage},
        **stated,
        "libraries": libraries,
        "files": _digests(contents),
    }
    held = None if network is None else dict(network)
    return Bundle(bundle.forest, bundle.fitted, held, bundle.calls, manifest, contents)


def save_bundle(bundle: Bundle, folder: Path, network: Mapping[str, Any] | None = None) -> Bundle:
    """Write a bundle; what was in ``folder`` under its files' names is replaced.

    Parameters
    ----------
    bundle
        What to write.
    folder
        Where to; made if absent.
    network
        A network to write in place of the bundle's own: node-link form, JSON-ready.

    Returns
    -------
    Bundle
        What was written.
    """
    if network is not None:
        bundle = _stated(bundle, network)
    folder.mkdir(parents=True, exist_ok=True)
    for name in BUNDLE_FILES:
        if name not in bundle.contents:
            (folder / name).unlink(missing_ok=True)
    for name, data in bundle.contents.items():
        (folder / name).write_bytes(data)
    (folder / MANIFEST_FILE).write_bytes(_json_bytes(bundle.manifest))
    return bundle


def load_bundle(folder: Path | None = None) -> Bundle:
    """Read and verify a bundle; None means the one that comes with the software.

    Raises
    ------
    BundleNotFound
        No manifest, or a listed file is absent.
    BundleTampered
        A file's digest, or the model's identifier, is not what the manifest states.
    BundleIncompatible
        Another format, feature schema, site order or library generation.
    BundleUntrusted
        The model's file holds Python objects.
    """
    root = files("modeling") / "default_bundle" if folder is None else folder

    def read(name: str) -> bytes:
        try:
            return root.joinpath(name).read_bytes()
        except OSError as error:
            raise BundleNotFound(f"the bundle has no readable {name}") from error

    manifest = _parsed(read(MANIFEST_FILE), MANIFEST_FILE)
    if manifest.get("format") != BUNDLE_FORMAT:
        raise BundleIncompatible(
            f"expected a bundle of format {BUNDLE_FORMAT}, found {manifest.get('format')!r}"
        )
    schema = manifest.get("feature_schema_version")
    if schema != FEATURE_SCHEMA_VERSION:
        raise BundleIncompatible(
            f"the bundle takes features of schema {schema}, this software measures schema "
            f"{FEATURE_SCHEMA_VERSION}: train it again"
        )
    listed = manifest.get("files")
    if not isinstance(listed, dict) or not {FOREST_FILE, FITTED_FILE, CARD_FILE} <= set(
        listed
    ) <= set(BUNDLE_FILES):
        raise BundleIncompatible("the manifest lists other files than a bundle has")
    contents = {name: read(name) for name in listed}
    for name, data in contents.items():
        if hashlib.sha256(data).hexdigest() != listed[name]:
            raise BundleTampered(f"{name} does not have the SHA-256 that the manifest states")
    if manifest.get("model_id") != _model_id(listed, schema):
        raise BundleTampered("the model's identifier does not follow from its files")
    absent = [name for name in ("cohort", "seed", "scores") if name not in manifest]
    if absent:
        raise BundleIncompatible(f"the manifest does not state {', '.join(absent)}")
    fitted = FittedParameters.from_json(_parsed(contents[FITTED_FILE], FITTED_FILE))
    network = _parsed(contents[NETWORK_FILE], NETWORK_FILE) if NETWORK_FILE in contents else None
    forest = read_forest(contents[FOREST_FILE], FOREST_FILE)
    return Bundle(forest, fitted, network, _calls(contents), manifest, contents)


def _calls(contents: Mapping[str, bytes]) -> NestedCalls | None:
    if CALLS_FILE not in contents:
        return None
    try:
        return NestedCalls.from_csv(contents[CALLS_FILE])
    except ValueError as error:
        raise BundleIncompatible(f"{CALLS_FILE} is not what it should be: {error}") from error


def _shares(cohort: Mapping[str, Any]) -> dict[Stage, float]:
    patients = cohort["patients"]
    total = sum(patients[stage.value] for stage in Stage)
    return {stage: patients[stage.value] / total for stage in Stage}


def _values(
    calls: NestedCalls, cohort: Mapping[Stage, float]
) -> list[tuple[Mapping[Stage, float], PredictiveValues]]:
    return [(mix, calls.predictive_values(cohort, mix)) for mix in (cohort, EXAMPLE_MIX)]


def _digests(contents: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}


def _model_id(digests: Mapping[str, str], schema: int) -> str:
    said = _json_bytes(
        {
            "feature_schema_version": schema,
            "forest": digests[FOREST_FILE],
            "recipe": digests[FITTED_FILE],
        }
    )
    return f"extratrees-{hashlib.sha256(said).hexdigest()[:16]}"


def _json_bytes(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _parsed(data: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError as error:
        raise BundleTampered(f"{name} is not JSON") from error
    if not isinstance(found, dict):
        raise BundleTampered(f"{name} is not a JSON object")
    return found
