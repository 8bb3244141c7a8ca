"""Time and CPU of elimination, stacking search and prediction beside the published toolkit.

Run as ``python -m bench.modeling COHORT``; makes an environment with `bminet` 0.1.4 for itself.
Both sides run one after the other on the same machine with the same hyper-parameters; CPU seconds
count all threads, from after the imports on. Wall time is the machine's load as well.
"""

import json
import os
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from bench.toolkit_side import Clock
from modeling import Sex, Stager, load_bundle, read_cohort, without_duplicates
from modeling.cohort import AGE_COLUMN, SEX_COLUMN, SITE_NAMES, STAGE_COLUMN, features_of
from modeling.stacking import BasePasses, published_as_fixed
from modeling.stacking.boosting import BaseModel, ModelSpec
from modeling.stacking.elimination import eliminate, eliminate_apparent
from modeling.stacking.protocol import search_stacks, stack_name
from modeling.stacking.published import ELIMINATION_CORES, PUBLISHED_FEATURES, SEARCH_MODELS

TOOLKIT = "bminet==0.1.4"

OUT = Path("bench-output")
"""Holds the toolkit's environment, the JSON of all results and the table."""

PATIENT_ROW = 200
"""The patient that is staged: data row 201 of the cohort without duplicates."""

REPEATS = 50
"""Patients staged by the warm stager for one mean."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1", "OPENBLAS_NUM_THREADS": "1"}
"""For the toolkit, whose threads otherwise burn CPU seconds by waiting for each other; this
project's side fits on one thread as well."""

WANTED = {"elimination": 3.5, "stacking": 7.0, "prediction": 1000.0}
"""How many times fewer CPU seconds this project should need."""


def main(
    cohort: Path,
    scale: Annotated[float, typer.Option(help="Share of the rounds, on both sides.")] = 1.0,
    pair: str = "B/D",
    tasks: str = "elimination,stacking,prediction",
    kept: Annotated[bool, typer.Option(help="Also keep the published stacks and predict.")] = True,
) -> None:
    """Run the tasks on both sides, compare results, and write JSON and the table."""
    python = _toolkit()
    table = without_duplicates(read_cohort(cohort))
    spec: dict[str, Any] = {
        "cohort": str(cohort.resolve()),
        "pair": pair,
        "sites": list(PUBLISHED_FEATURES[pair]),
        "scale": scale,
        "core_rounds": max(1, round(1000 * scale)),
        "patient": _toolkit_patient(table.iloc[PATIENT_ROW]),
    }
    path = OUT / "modeling.json"
    found: dict[str, Any] = {}
    ours: dict[str, Callable[[], dict[str, Any]]] = {
        "elimination": lambda: _elimination(table, pair, spec["core_rounds"]),
        "stacking": lambda: _stacking(table, pair, scale),
        "prediction": lambda: _prediction(table, kept),
    }
    for task in tasks.split(","):
        print(f"{task}: this project ...", flush=True)
        own = ours[task]()
        print(f"{task}: the toolkit ...", flush=True)
        theirs = _run_toolkit(python, spec | {"task": task})
        found = json.loads(path.read_text()) if path.exists() else {}
        found[task] = {"pair": pair, "scale": scale, "ours": own, "toolkit": theirs}
        path.write_text(json.dumps(found, indent=1))
    text = _table(found)
    (OUT / "modeling.md").write_text(text)
    print(text)


def _elimination(table: Any, pair: str, rounds: int) -> dict[str, Any]:
    chosen = table[table[STAGE_COLUMN].isin(pair.split("/"))]
    # The toolkit shuffles the patients by NumPy's global generator, seeded with 42 there.
    order = np.random.RandomState(42).permutation(len(chosen))
    chosen = chosen.iloc[order]
    features, later = chosen[list(SITE_NAMES)], (chosen[STAGE_COLUMN] == pair[-1]).to_numpy()
    full = dict(ELIMINATION_CORES[BaseModel.LIGHTGBM].parameters)
    core = ModelSpec.of(BaseModel.LIGHTGBM, **(full | {"n_estimators": rounds}))
    clock = Clock()
    apparent = eliminate_apparent(features, later, core, 42)
    seconds = clock.read()
    clock = Clock()
    nested = eliminate(features, later, core, 42)
    return seconds | {
        "nested": clock.read(),
        "accuracy": apparent.accuracy.mean(axis=0).tolist(),
        "path": list(apparent.names),
        "nested_auroc": float(nested.mean.max()),
    }


def _stacking(table: Any, pair: str, scale: float) -> dict[str, Any]:
    specs = []
    for model, full in SEARCH_MODELS.items():
        name = "iterations" if model is BaseModel.CATBOOST else "n_estimators"
        given = dict(full.parameters)
        specs.append(ModelSpec.of(model, **(given | {name: max(1, round(given[name] * scale))})))
    clock = Clock()
    passes = BasePasses(*features_of(table), 42)
    search = search_stacks(passes, pair, PUBLISHED_FEATURES[pair], specs)
    auroc = search.auroc
    return clock.read() | {
        "best_auroc": auroc[search.best],
        "best": stack_name(search.best),
        "fits": passes.fits,
    }


def _prediction(table: Any, kept: bool) -> dict[str, Any]:
    row = table.iloc[PATIENT_ROW]
    hu = row[list(SITE_NAMES)].to_numpy(dtype=np.float64)
    sex = Sex.MALE if row[SEX_COLUMN] else Sex.FEMALE
    stager = Stager(load_bundle())
    staged = stager.stage(hu, float(row[AGE_COLUMN]), sex)
    if staged.predicted is None:
        raise SystemExit(f"the patient is not staged: {staged.abstained}")
    stager.explain(hu, float(row[AGE_COLUMN]), sex)
    clock = Clock()
    for _ in range(REPEATS):
        staged = stager.stage(hu, float(row[AGE_COLUMN]), sex)
    seconds = {name: value / REPEATS for name, value in clock.read().items()}
    clock = Clock()
    for _ in range(REPEATS):
        stager.stage(hu, float(row[AGE_COLUMN]), sex)
        stager.explain(hu, float(row[AGE_COLUMN]), sex)
    both = {name: value / REPEATS for name, value in clock.read().items()}
    found = seconds | {"explained": both, "stage": str(staged.predicted)}
    if kept:
        features, stages = features_of(table)
        clock = Clock()
        recipe = published_as_fixed(42).fit(features, stages)
        fit = clock.read()
        one = features.iloc[[PATIENT_ROW]]
        recipe.pair_scores(one)
        clock = Clock()
        for _ in range(REPEATS):
            scores = recipe.pair_scores(one)
        found["published_stacks_kept"] = {
            "fit": fit,
            **{name: value / REPEATS for name, value in clock.read().items()},
            "probabilities": {name: float(value[0]) for name, value in scores.items()},
        }
    return found


def _toolkit_patient(row: Any) -> list[Any]:
    values = [None if np.isnan(value) else float(value) for value in row[list(SITE_NAMES)]]
    male = bool(row[SEX_COLUMN])
    return [not male, male, float(row[AGE_COLUMN]), *values]


def _toolkit() -> Path:
    """Make the toolkit's environment if need be; give its Python."""
    folder = OUT / "bminet-venv"
    python = folder / "bin" / "python"
    ready = folder / ".ready"
    if not ready.exists():
        print(f"installing {TOOLKIT} in {folder} ...", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", TOOLKIT], check=True)
        ready.touch()
    return python


def _run_toolkit(python: Path, spec: dict[str, Any]) -> dict[str, Any]:
    script = Path(__file__).with_name("toolkit_side.py")
    started = time.perf_counter()
    done = subprocess.run(
        [python.absolute(), "-W", "ignore", str(script), json.dumps(spec)],
        capture_output=True,
        text=True,
        cwd=OUT,
        env=os.environ | ONE_THREAD,
    )
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1]) | {"process_s": time.perf_counter() - started}


def _table(found: dict[str, Any]) -> str:
    lines = [
        "| task | toolkit, CPU s (wall s) | this project, CPU s (wall s) | times fewer | wanted |",
        "|---|---|---|---|---|",
    ]

    def row(task: str, name: str, ours: dict[str, Any]) -> None:
        theirs = found[task]["toolkit"]
        lines.append(
            f"| {name} | {theirs['cpu_s']:.1f} ({theirs['wall_s']:.1f}) "
            f"| {ours['cpu_s']:.3g} ({ours['wall_s']:.3g}) "
            f"| {theirs['cpu_s'] / ours['cpu_s']:,.1f} | {WANTED[task]:,g} |"
        )

    if both := found.get("elimination"):
        what = f"elimination, {both['pair']}, rounds x {both['scale']:g}"
        row("elimination", f"{what}, published curve", both["ours"])
        row("elimination", f"{what}, nested curve", both["ours"]["nested"])
    if both := found.get("stacking"):
        row("stacking", f"15 stacks, {both['pair']}, rounds x {both['scale']:g}", both["ours"])
    if both := found.get("prediction"):
        row("prediction", "one patient, four stages, warm", both["ours"])
        row("prediction", "the same with its explanation", both["ours"]["explained"])
        if "published_stacks_kept" in both["ours"]:
            row(
                "prediction",
                "one patient, the published stacks fitted once, all six pairs",
                both["ours"]["published_stacks_kept"],
            )
    lines.append("")
    lines += _agreement(found)
    return "\n".join(lines) + "\n"


def _agreement(found: dict[str, Any]) -> list[str]:
    lines = []
    if both := found.get("elimination"):
        theirs, ours = both["toolkit"], both["ours"]
        chosen = set(theirs["chosen"])
        own = set(ours["path"][: len(chosen)])
        apart = np.abs(np.array(theirs["accuracy"]) - np.array(ours["accuracy"]))
        lines.append(
            f"- Elimination: accuracy for each of {len(apart)} sizes differs by {apart.mean():.4f} "
            f"on average, {apart.max():.4f} at most; of the toolkit's {len(chosen)} chosen sites "
            f"{len(chosen & own)} are the last {len(chosen)} of this path."
        )
    if both := found.get("stacking"):
        lines.append(
            f"- Stacking: best AUROC {both['toolkit']['best_auroc']:.3f} by the toolkit, "
            f"{both['ours']['best_auroc']:.3f} here."
        )
    if both := found.get("prediction"):
        lines.append(
            f"- Prediction: {both['toolkit']['stage']} by the toolkit, stage "
            f"{both['ours']['stage']} here (another model)."
        )
    return lines


if __name__ == "__main__":
    typer.run(main)
