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
    bootstraps: Annotated[
        int, typer.Option(min=0, help="Patients drawn again, for the support of edges.")
    ] = 0,
    permutations: Annotated[
        int, typer.Option(min=0, help="Stages permuted; the smallest p is 1/(N + 1).")
    ] = 0,
    simulations: Annotated[
        int, typer.Option(min=0, help="Stages drawn from a model without interactions.")
    ] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Build the bone-muscle interaction network of a cohort by the published procedure.

    With bootstraps, permutations or simulations, what speaks for its edges and ranks is written
    beside it, into the folder "evidence".
    """
    import network as interactions

    interactions.run(cohort, out, seed=seed)
    print(f"{out}: nodes.csv, edges.csv, network.graphml, network.cyjs, network.png")
    if bootstraps or permutations or simulations:
        found = interactions.run_full(
            cohort,
            out / "evidence",
            seed,
            bootstraps=bootstraps,
            permutations=permutations,
            simulations=simulations,
            jobs=jobs,
        )
        print("\n".join(found.findings))
