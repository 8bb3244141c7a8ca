"""The network of patients drawn again, of permuted stages and of an additive model."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import lightgbm
import numpy as np
import numpy.typing as npt

from modeling.cohort import Stage
from modeling.pair_trees import PairCore
from network.errors import InvalidGraph
from network.fixed import ROUNDS, SPLITS, fixed_interactions
from network.interactions import MIN_PATIENTS

__all__ = ["ADDITIVE_ROUNDS", "Resamples", "additive_probabilities", "mapper", "resample"]

FloatArray = npt.NDArray[np.float64]
Labels = npt.NDArray[np.str_]

ADDITIVE_ROUNDS = 110
"""Rounds of the additive model: about those of least cross-validated log-loss on the published
cohort."""

BOOTSTRAP, PERMUTATION, ADDITIVE = 1, 2, 3
"""Kinds of resample, each a part of its seeds."""


@dataclass(frozen=True)
class Resamples:
    """Interactions of the cohort and of its resamples.

    Parameters
    ----------
    observed
        float64, shape (6, 496): as `fixed_interactions` gives them.
    bootstraps
        float64, shape (b, 6, 496): of patients drawn again within their stages.
    permutations
        float64, shape (p, 6, 496): stages permuted over all patients.
    additive
        float64, shape (m, 6, 496): stages drawn from `additive_probabilities`.
    """

    observed: FloatArray
    bootstraps: FloatArray
    permutations: FloatArray
    additive: FloatArray


def additive_probabilities(
    mean_hu: FloatArray, stages: Labels, seed: int, rounds: int = ADDITIVE_ROUNDS
) -> FloatArray:
    """Fit the four stages without interactions: boosted trees of one split, added up.

    The log-odds between any two stages are then a sum of functions of one site each.

    Parameters
    ----------
    mean_hu
        float64, shape (n, sites), HU, NaN where missing.
    stages
        str, shape (n,).
    seed
        Seed of the model.
    rounds
        Boosting rounds.

    Returns
    -------
    ndarray
        float64, shape (n, 4): columns A to D.
    """
    order = [stage.value for stage in Stage]
    parameters = {
        "objective": "multiclass",
        "num_class": len(order),
        "learning_rate": 0.05,
        "num_leaves": 2,
        "max_bin": 512,
        "num_threads": 1,
        "deterministic": True,
        "force_col_wise": True,
        "verbose": -1,
        "seed": seed,
    }
    target = np.array([order.index(stage) for stage in stages])
    model = lightgbm.train(parameters, lightgbm.Dataset(mean_hu, target), rounds)
    return np.asarray(model.predict(mean_hu), dtype=np.float64)


def resample(
    mean_hu: FloatArray,
    stages: Labels,
    seed: int,
    *,
    bootstraps: int,
    permutations: int,
    simulations: int,
    splits: int = SPLITS,
    rounds: int = ROUNDS,
    core: PairCore = PairCore.LIGHTGBM,
    jobs: int = 1,
) -> Resamples:
    """Build the cohort's interactions and those of every resample.

    Parameters
    ----------
    mean_hu
        float64, shape (n, 32), HU of `USED_SITES`, NaN where missing.
    stages
        str, shape (n,).
    seed
        Seed of everything drawn; each resample has its own stream, whatever the number of jobs.
    bootstraps, permutations, simulations
        Number of resamples of each kind. The smallest p is 1 / (number + 1).
    splits, rounds, core
        As for `fixed_interactions`.
    jobs
        Processes.

    Raises
    ------
    StageTooSmall
        A stage is too small.
    InvalidGraph
        A negative number.
    """
    if min(bootstraps, permutations, simulations) < 0 or jobs < 1:
        raise InvalidGraph("bootstraps, permutations, simulations: none may be negative")
    probabilities = additive_probabilities(mean_hu, stages, seed) if simulations else None
    work = partial(
        _replicate,
        mean_hu=mean_hu,
        stages=stages,
        probabilities=probabilities,
        seed=seed,
        splits=splits,
        rounds=rounds,
        core=core,
    )
    kinds = ((BOOTSTRAP, bootstraps), (PERMUTATION, permutations), (ADDITIVE, simulations))
    tasks = [(kind, number) for kind, count in kinds for number in range(count)]
    observed = fixed_interactions(mean_hu, stages, seed, splits=splits, rounds=rounds, core=core)
    with mapper(jobs, len(tasks)) as run:
        values = list(run(work, tasks))
    found = np.array(values).reshape(-1, *observed.shape)
    ends = np.cumsum([bootstraps, permutations])
    return Resamples(observed, *np.split(found, ends))


@contextmanager
def mapper(jobs: int, tasks: int) -> Iterator[Callable[..., Iterator[FloatArray]]]:
    """Give `map`, or the map of a pool of spawned processes where there are several."""
    if jobs == 1 or tasks < 2:
        yield map
        return
    with ProcessPoolExecutor(min(jobs, tasks), mp_context=get_context("spawn")) as pool:
        yield pool.map


def _replicate(
    task: tuple[int, int],
    mean_hu: FloatArray,
    stages: Labels,
    probabilities: FloatArray | None,
    seed: int,
    splits: int,
    rounds: int,
    core: PairCore,
) -> FloatArray:
    kind, number = task
    generator = np.random.default_rng([seed, kind, number])
    if kind == BOOTSTRAP:
        groups = [np.flatnonzero(stages == stage) for stage in Stage]
        rows = np.concatenate([generator.choice(group, len(group)) for group in groups])
        mean_hu, stages = mean_hu[rows], stages[rows]
    elif kind == PERMUTATION:
        stages = generator.permutation(stages)
    else:
        assert probabilities is not None
        stages = _drawn_stages(probabilities, generator)
    return fixed_interactions(
        mean_hu, stages, seed + 1 + number * splits, splits=splits, rounds=rounds, core=core
    )


def _drawn_stages(probabilities: FloatArray, generator: np.random.Generator) -> Labels:
    """Draw a stage for each patient; draw all again where a stage is too small to be fitted."""
    order = np.array([stage.value for stage in Stage])
    edges = probabilities.cumsum(axis=1)[:, :-1]
    while True:
        found = order[(generator.random(len(edges))[:, None] > edges).sum(axis=1)]
        if min(int((found == stage).sum()) for stage in Stage) >= MIN_PATIENTS:
            return np.asarray(found)
