"""From a cohort to models and networks."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer()


@app.command()
def train(
    cohort: Annotated[Path, typer.Argument(help="The cohort table (TSV, published layout).")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the bundle.")],
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 42,
) -> None:
    """Train the models and the network of a cohort into a bundle."""
    import modeling
    import network as interactions

    network = interactions.build_network(modeling.read_cohort(cohort), seed=seed)
    bundle = modeling.train_bundle(cohort, out, seed=seed, network=network.to_json())
    print(f"{out}: model {bundle.model_id}")


@app.command()
def network(
    cohort: Annotated[Path, typer.Argument(help="The cohort table (TSV, published layout).")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for tables and pictures.")],
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 42,
) -> None:
    """Build the bone-muscle interaction network of a cohort by the published procedure."""
    import network as interactions

    interactions.run(cohort, out, seed=seed)
    print(f"{out}: nodes.csv, edges.csv, network.graphml, network.png")
