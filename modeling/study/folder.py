"""A step's folder: written whole, read back and checked."""

import hashlib
import io
import json
import math
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from modeling.study.step import Figure, StepResult, StudyStep, Table

__all__ = [
    "clear_unfinished",
    "dump_json",
    "read_step",
    "read_values",
    "sha256_of",
    "write_step",
]

STEP_FILE = "step.json"
"""What a step's folder holds beside its results: its key, texts, duration and digests."""

VALUES_FILE = "values.json"
"""The values that a step leaves for later steps and for programs."""

TEMPORARY_PREFIX = ".unfinished-"
"""Start of the names of folders that are being written; an interruption may leave one."""

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

PNG_DPI = 160
"""Resolution of the PNG: 1280 pixels for a figure of 8 inches."""

LAYOUT_DIGITS = 9
"""Decimals of the places of axes, as shares of a figure's size."""


def write_step(
    out: Path, folder: str, step: StudyStep, key: str, result: StepResult, started: float
) -> None:
    """Write a step's results into ``out/folder``, replacing it at once when all is there.

    Parameters
    ----------
    out, folder
        The study's folder and the step's in it.
    step, key, result
        The step that was run, the digest of what it depends on, and its result.
    started
        When it was started, in seconds of `time.perf_counter`.

    Raises
    ------
    ValueError
        The name of a table, figure or file is unsafe or used twice.
    """
    temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=out))
    try:
        _write_files(temporary, step, key, result, started)
        temporary.chmod(0o755)
        target = out / folder
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def read_step(folder: Path) -> dict[str, Any] | None:
    """Read a step folder's record; None if it has none or a file has changed since."""
    try:
        record: dict[str, Any] = json.loads((folder / STEP_FILE).read_text(encoding="utf-8"))
        whole = all(sha256_of(folder / name) == digest for name, digest in record["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if whole else None


def read_values(folder: Path) -> dict[str, Any]:
    """Read the values that a step left for later ones."""
    values: dict[str, Any] = json.loads((folder / VALUES_FILE).read_text(encoding="utf-8"))
    return values


def clear_unfinished(out: Path) -> None:
    """Remove folders that an interruption left half written."""
    for path in out.glob(f"{TEMPORARY_PREFIX}*"):
        shutil.rmtree(path, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def json_ready(value: Any) -> Any:
    """Turn numpy and pandas values into plain ones; NaN and infinities become None.

    Raises
    ------
    TypeError
        Something that JSON cannot hold.
    """
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return json_ready(value.tolist())
    if isinstance(value, (pd.Series, pd.Index)):
        return json_ready(value.to_list())
    if isinstance(value, (list, tuple)):
        return [json_ready(item) for item in value]
    if isinstance(value, np.generic):
        return json_ready(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise TypeError(f"{type(value).__name__} does not go into JSON")


def dump_json(value: Any) -> bytes:
    """Write JSON with sorted keys: the same value gives the same bytes."""
    text = json.dumps(json_ready(value), sort_keys=True, indent=1, ensure_ascii=False)
    return (text + "\n").encode()


def _write_files(
    folder: Path, step: StudyStep, key: str, result: StepResult, started: float
) -> None:
    files: dict[str, bytes] = {VALUES_FILE: dump_json(result.values)}

    def add(name: str, content: bytes) -> None:
        if not SAFE_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a safe file name")
        if name in files or name == STEP_FILE:
            raise ValueError(f"two results are named {name!r}")
        files[name] = content

    for table in result.tables:
        add(f"{table.name}.csv", _csv(table))
    for figure in result.figures:
        for suffix, content in _pictures(step, figure).items():
            add(f"{figure.name}.{suffix}", content)
    for name, content in result.files.items():
        add(name, content)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    record = {
        "key": key,
        "name": step.name,
        "title": step.title,
        "needs": step.needs,
        "seconds": round(time.perf_counter() - started, 2),
        "method": result.method,
        "findings": result.findings,
        "tables": [{"name": t.name, "caption": t.caption} for t in result.tables],
        "figures": [{"name": f.name, "caption": f.caption} for f in result.figures],
        "further": sorted(result.files),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    (folder / STEP_FILE).write_bytes(dump_json(record))


def _csv(table: Table) -> bytes:
    return table.frame.to_csv(index=False, lineterminator="\n").encode()


def _pictures(step: StudyStep, figure: Figure) -> dict[str, bytes]:
    """SVG and PNG without date or chance, so that the same results give the same bytes."""
    from matplotlib import rc_context

    svg, png = io.BytesIO(), io.BytesIO()
    settings = {"svg.hashsalt": f"{step.name}/{figure.name}", "svg.fonttype": "path"}
    with rc_context(settings):
        drawn = figure.draw()
        drawn = getattr(drawn, "figure", drawn)
        _settle(drawn)
        drawn.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        drawn.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None})
    return {"svg": svg.getvalue(), "png": png.getvalue()}


def _settle(drawn: Any) -> None:
    """Lay out once and round: the solver's last bits differ, and SVG takes its names from them."""
    drawn.draw_without_rendering()
    drawn.set_layout_engine("none")
    for axes in drawn.axes:
        box = axes.get_position()
        axes.set_position([round(edge, LAYOUT_DIGITS) for edge in box.bounds])
