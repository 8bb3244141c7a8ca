"""From a cohort to models and networks."""

from pathlib import Path
from typing import Annotated

import typer

from dicom_node.commands.ending import EXIT_USAGE, fail

__all__ = ["app"]

app = typer.Typer()
model = typer.Typer(help="The model that stages patients.", no_args_is_help=True)
app.add_typer(model, name="model")


@app.command()
def train(
    cohort: Annotated[Path, typer.Argument(help="The cohort table (TSV, published layout).")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the bundle.")],
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 42,
) -> None:
    """Train the models and the network of a cohort into a bundle."""
    from modeling import read_cohort
    from modeling.training import train_bundle
    from network.build import build_network

    network = build_network(read_cohort(cohort), seed=seed)
    bundle = train_bundle(cohort, out, seed=seed, network=network.to_json())
    print(f"{out}: model {bundle.model_id}")


@app.command()
def evaluate(
    cohort: Annotated[Path, typer.Argument(help="The cohort's table (TSV, CSV or Parquet).")],
    recipe: Annotated[
        str, typer.Option(help="Name of a recipe; 'selected' chooses inside the folds.")
    ] = "default",
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 42,
    repeats: Annotated[int, typer.Option(min=1, help="How often the folds are drawn.")] = 3,
    permutations: Annotated[
        int, typer.Option(min=0, help="How often the stages are shuffled for the control.")
    ] = 20,
    jobs: Annotated[int, typer.Option(min=1, help="Processes at the same time.")] = 2,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="File for all scores as JSON.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="Folder that keeps finished folds; the same command goes on there."
        ),
    ] = None,
) -> None:
    """Score a recipe by repeated nested cross-validation, apparent and nested side by side."""
    import json

    from rich.console import Console
    from rich.progress import Progress

    from modeling import read_cohort
    from modeling.errors import StudyFolderForeign
    from modeling.evaluation.recipe_evaluation import Protocol
    from modeling.evaluation.recipe_evaluation import evaluate as evaluate_recipe

    if not cohort.is_file():
        fail(f"{cohort} is not a file", EXIT_USAGE)
    if json_out is not None and not json_out.resolve().parent.is_dir():
        fail(f"{json_out.parent} is not a folder", EXIT_USAGE)
    if json_out is not None and json_out.is_dir():
        fail(f"{json_out} is a folder, --json names a file", EXIT_USAGE)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(f"folds and shuffles of {recipe}", total=None)
        try:
            found = evaluate_recipe(
                read_cohort(cohort),
                recipe,
                seed=seed,
                protocol=Protocol(repeats=repeats, permutations=permutations),
                jobs=jobs,
                progress=lambda done, all_: progress.update(task, completed=done, total=all_),
                folder=out,
            )
        except StudyFolderForeign as error:
            fail(str(error), EXIT_USAGE)
    print(found.summary())
    if json_out is not None:
        json_out.write_text(json.dumps(found.scores, indent=1, allow_nan=False) + "\n")


@app.command()
def network(
    cohort: Annotated[Path, typer.Argument(help="The cohort table (TSV, published layout).")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for tables and pictures.")],
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 42,
    bootstraps: Annotated[
        int,
        typer.Option(min=0, help="Bootstrap samples of the patients, for the support of edges."),
    ] = 0,
    permutations: Annotated[
        int, typer.Option(min=0, help="Permutations of the stages; the smallest p is 1/(N + 1).")
    ] = 0,
    simulations: Annotated[
        int, typer.Option(min=0, help="Cohorts simulated from a model without interactions.")
    ] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes at the same time.")] = 2,
) -> None:
    """Build the bone-muscle interaction network of a cohort by the published procedure.

    With bootstraps, permutations or simulations, the evidence for its edges and ranks is written
    into OUT/evidence.
    """
    from network.build import run

    run(cohort, out, seed=seed)
    print(f"{out}: nodes.csv, edges.csv, network.graphml, network.cyjs, network.png")
    if bootstraps or permutations or simulations:
        from network.study import run_full

        found = run_full(
            cohort,
            out / "evidence",
            seed,
            bootstraps=bootstraps,
            permutations=permutations,
            simulations=simulations,
            jobs=jobs,
        )
        print("\n".join(found.findings))


@model.command()
def show(
    bundle: Annotated[Path | None, typer.Option(help="Model bundle; default the built-in.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Print the model card: data, method, nested results, subgroups, limits."""
    import json
    import sys

    from modeling import load_bundle

    loaded = load_bundle(bundle)
    if as_json:
        print(json.dumps(dict(loaded.manifest), indent=1))
    elif sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(loaded.card))
    else:
        print(loaded.card, end="")
