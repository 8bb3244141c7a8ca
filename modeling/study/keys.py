"""A digest of all that a step's results depend on."""

import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from modeling.study.step import StudyStep

__all__ = ["code_digest", "digest_of", "package_of", "step_keys", "versions"]

STUDY_LIBRARIES = (
    "catboost",
    "lightgbm",
    "matplotlib",
    "networkx",
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "shap",
    "xgboost-cpu",
)
"""Distributions whose version may change a result."""


def versions() -> dict[str, str]:
    """Versions of this software, Python and the libraries that compute."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in ("osteonode", *STUDY_LIBRARIES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def code_digest(packages: Sequence[str]) -> str:
    """SHA-256 over the source files of packages, so that changed code is run again."""
    digest = hashlib.sha256()
    for package in sorted(set(packages)):
        for folder in getattr(import_module(package), "__path__", ()):
            for path in sorted(Path(folder).rglob("*.py")):
                digest.update(path.relative_to(folder).as_posix().encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def step_keys(steps: Sequence[StudyStep], cohort_digest: str, seed: int) -> dict[str, str]:
    """A digest for each step, by name.

    It covers the cohort's content, the seed, the step's name and parameters, this software's
    version and source, the libraries' versions, and the keys of the steps that it needs. The
    number of jobs is left out: it changes no result.

    Parameters
    ----------
    steps
        In order, each after those that it needs.
    cohort_digest
        As `modeling.cohort_sha256` gives it.
    seed
        Seed of everything drawn.
    """
    software = versions()
    sources: dict[str, str] = {}
    keys: dict[str, str] = {}
    for step in steps:
        package = package_of(step.run)
        if package not in sources:
            sources[package] = code_digest(("roi_extraction", "modeling", package))
        content: Mapping[str, Any] = {
            "cohort": cohort_digest,
            "seed": seed,
            "name": step.name,
            "parameters": step.parameters,
            "versions": software,
            "code": sources[package],
            "needs": {name: keys[name] for name in step.needs},
        }
        keys[step.name] = digest_of(content)
    return keys


def digest_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of JSON-ready content, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def package_of(function: Callable[..., Any]) -> str:
    """The top package of a function, which may be bound to arguments."""
    function = getattr(function, "func", function)
    return str(getattr(function, "__module__", "") or "modeling").partition(".")[0]
