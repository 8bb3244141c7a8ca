"""The stage model as bytes: the same model gives the same bytes, and reading it runs no code."""

import io
import zipfile
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.design import DESIGN
from modeling.errors import BundleIncompatible, BundleUntrusted
from modeling.flat_trees import LEAF, FlatTrees
from modeling.stage_blend import StageBlend, StageOdds, StageTrees

__all__ = ["forest_bytes", "read_forest"]

FOREST_TYPES = {
    "roots": np.int32,
    "features": np.int16,
    "thresholds": np.float32,
    "left": np.int32,
    "right": np.int32,
    "samples": np.int32,
    "values": np.float32,
}
"""Type of each array of a `FlatTrees`."""

PARTS = {"early": 2, "late": 1}
"""Outputs of the two forests of a `StageTrees`."""


CUTS = 3
"""Between four stages."""


def forest_bytes(model: StageBlend) -> bytes:
    """Serialise as a NumPy archive (.npz) of plain arrays, without times."""
    arrays = {
        f"{part}_{field.name}": getattr(getattr(model.trees, part), field.name)
        for part in PARTS
        for field in fields(FlatTrees)
    }
    arrays |= {f"odds_{field.name}": getattr(model.odds, field.name) for field in fields(StageOdds)}
    target = io.BytesIO()
    np.savez_compressed(target, **arrays)
    return target.getvalue()


def read_forest(data: bytes, name: str) -> StageBlend:
    """Read what `forest_bytes` wrote, without running any code that it may hold.

    Parameters
    ----------
    data
        The file's content.
    name
        The file's name, for messages.

    Raises
    ------
    BundleUntrusted
        The file holds Python objects.
    BundleIncompatible
        Not readable, trained on other inputs, or no trees.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            found = {part: _trees(archive, part) for part in PARTS}
            odds = _odds(archive)
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise BundleUntrusted(["object"]) from error
        raise BundleIncompatible(f"{name} does not hold a stage model: {error}") from error
    except (KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise BundleIncompatible(f"{name} does not hold a stage model: {error}") from error
    return StageBlend(StageTrees(**found), odds)


def _odds(archive: "np.lib.npyio.NpzFile") -> StageOdds:
    lengths = {"middle": len(DESIGN), "weights": len(DESIGN), "cuts": CUTS}
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, length in lengths.items():
        array = archive[f"odds_{name}"]
        if array.dtype != np.float64 or array.shape != (length,) or not np.isfinite(array).all():
            raise ValueError(f"odds_{name} is no {length} numbers")
        array.setflags(write=False)
        arrays[name] = array
    if not (np.diff(arrays["cuts"]) < 0).all():
        raise ValueError("odds_cuts do not fall")
    return StageOdds(**arrays)


def _trees(archive: "np.lib.npyio.NpzFile", part: str) -> FlatTrees:
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, kind in FOREST_TYPES.items():
        array = archive[f"{part}_{name}"]
        if array.dtype != kind or array.ndim != (2 if name == "values" else 1):
            raise ValueError(f"{part}_{name} has the type {array.dtype}, {array.ndim} dimensions")
        array.setflags(write=False)
        arrays[name] = array
    trees = FlatTrees(**arrays)
    _check(trees, PARTS[part])
    return trees


def _check(trees: FlatTrees, outputs: int) -> None:
    nodes = np.arange(len(trees.features))
    leaf = trees.features == LEAF
    counts = {len(getattr(trees, name)) for name in FOREST_TYPES if name != "roots"}
    if counts != {len(nodes)} or trees.values.shape[1] != outputs or not len(trees.roots):
        raise ValueError("arrays of unlike lengths")
    if not ((leaf | (trees.features >= 0)) & (trees.features < len(DESIGN))).all():
        raise ValueError("trained on other inputs")
    for following in (trees.left, trees.right):
        if not (leaf | (following > nodes)).all() or (following >= len(nodes)).any():
            raise ValueError("a node that does not lead to a leaf")
        if (following[leaf] != nodes[leaf]).any():
            raise ValueError("a leaf that leads on")
    if (trees.roots < 0).any() or (trees.roots >= len(nodes)).any() or (trees.samples <= 0).any():
        raise ValueError("a tree without a root or a node without patients")
    if not (np.isfinite(trees.thresholds).all() and np.isfinite(trees.values).all()):
        raise ValueError("a number that is not finite")
