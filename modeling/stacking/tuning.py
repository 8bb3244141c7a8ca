"""Settings of the base models taken from a small grid by their out-of-fold AUROC."""

from collections.abc import Mapping, Sequence

from sklearn.metrics import roc_auc_score

from modeling.stacking.boosting import BaseModel, ModelSpec
from modeling.stacking.passes import BasePasses

__all__ = ["GRID", "tuned_models"]

GRID: Mapping[BaseModel, tuple[ModelSpec, ...]] = {
    BaseModel.RANDOM_FOREST: tuple(
        ModelSpec.of(BaseModel.RANDOM_FOREST, n_estimators=1000, max_depth=depth)
        for depth in (3, 5, 10)
    ),
    BaseModel.LIGHTGBM: tuple(
        ModelSpec.of(BaseModel.LIGHTGBM, n_estimators=rounds, max_depth=depth, learning_rate=0.05)
        for depth in (3, 5)
        for rounds in (50, 200)
    ),
    BaseModel.XGBOOST: tuple(
        ModelSpec.of(BaseModel.XGBOOST, n_estimators=rounds, max_depth=depth, learning_rate=0.05)
        for depth in (3, 5)
        for rounds in (50, 200)
    ),
    BaseModel.CATBOOST: tuple(
        ModelSpec.of(BaseModel.CATBOOST, iterations=rounds, depth=depth, learning_rate=0.05)
        for depth in (3, 5)
        for rounds in (100, 400)
    ),
}
"""Depths and rounds around what a few hundred patients bear; the published settings have no
learning rate of their own and run to the end of their rounds."""


def tuned_models(
    passes: BasePasses,
    pair: str,
    sites: Sequence[str],
    grid: Mapping[BaseModel, Sequence[ModelSpec]] = GRID,
) -> dict[BaseModel, ModelSpec]:
    """Take the settings of each base model with the highest out-of-fold AUROC.

    The AUROC of what is taken is apparent; patients outside ``passes`` score it honestly.
    """
    later = passes.later(pair)
    found = {}
    for model, specs in grid.items():
        passes.prepare(pair, sites, specs, inner=False)
        found[model] = max(
            specs,
            key=lambda spec: float(roc_auc_score(later, passes.base_scores(pair, sites, spec))),
        )
    return found
