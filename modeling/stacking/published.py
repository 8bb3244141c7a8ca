"""What the publication chose and reported: feature sets, models and their scores, as data."""

from collections.abc import Mapping

from modeling.stacking.boosting import BaseModel, ModelSpec

__all__ = [
    "ELIMINATION_CORES",
    "PUBLISHED_AUROC",
    "PUBLISHED_FEATURES",
    "PUBLISHED_FOLDS",
    "PUBLISHED_MODELS",
    "REPRODUCED_AUROC",
    "SEARCH_MODELS",
    "SELECTED_MODELS",
]


def _sites(names: str) -> tuple[str, ...]:
    return tuple(names.split())


PUBLISHED_FEATURES: Mapping[str, tuple[str, ...]] = {
    "A/B": _sites("L1 L4 L5 S1 L1-L2_3 L2-L3_2 L2-L3_6 L3-L4_2 L4-L5_1 L4-L5_3"),
    "A/C": _sites("L1 L4 L1-L2_3 L2-L3_4 L2-L3_5 L3-L4_1 L4-L5_1 L5-S1_4"),
    "A/D": _sites(
        "L1 L2 L4 L5 L1-L2_3 L1-L2_4 L1-L2_6 L2-L3_3 L2-L3_5 L3-L4_5 L4-L5_1 L4-L5_3 L4-L5_4"
        " L4-L5_5"
    ),
    "B/C": _sites(
        "L3 L5 S1 L1-L2_1 L1-L2_6 L2-L3_3 L2-L3_6 L3-L4_2 L3-L4_3 L4-L5_2 L4-L5_3 L4-L5_4 L4-L5_5"
    ),
    "B/D": _sites(
        "L1 L5 S1 L1-L2_5 L1-L2_6 L2-L3_1 L2-L3_2 L2-L3_3 L2-L3_6 L3-L4_1 L3-L4_6 L4-L5_1 L4-L5_3"
    ),
    "C/D": _sites(
        "L1 L2 L5 S1 L1-L2_2 L1-L2_3 L1-L2_4 L1-L2_6 L2-L3_2 L2-L3_3 L2-L3_4 L3-L4_1 L3-L4_2"
        " L3-L4_3 L3-L4_6 L4-L5_2 L4-L5_5 L5-S1_1 L5-S1_4"
    ),
}
"""The sites chosen for each pair (Wang 2025; `bminet` 0.1.4, `our_feature_combinations`)."""

PUBLISHED_FOLDS = 5
"""Folds of every cross-validation of the publication (`bminet` 0.1.4)."""

SELECTED_MODELS: Mapping[BaseModel, ModelSpec] = {
    BaseModel.RANDOM_FOREST: ModelSpec.of(BaseModel.RANDOM_FOREST, n_estimators=3000, max_depth=5),
    BaseModel.LIGHTGBM: ModelSpec.of(BaseModel.LIGHTGBM, n_estimators=1500, max_depth=5),
    BaseModel.XGBOOST: ModelSpec.of(BaseModel.XGBOOST, n_estimators=1500, max_depth=5),
    BaseModel.CATBOOST: ModelSpec.of(BaseModel.CATBOOST, iterations=800, depth=5),
}
"""The tuned base models that the chosen combinations are made of (`bminet` 0.1.4,
`our_base_models`)."""

_FOREST, _LIGHT, _XG, _CAT = (SELECTED_MODELS[model] for model in BaseModel)

PUBLISHED_MODELS: Mapping[str, tuple[ModelSpec, ...]] = {
    "A/B": (_LIGHT, _CAT),
    "A/C": (_FOREST, _LIGHT),
    "A/D": (_FOREST, _LIGHT),
    "B/C": (_FOREST, _LIGHT),
    "B/D": (_LIGHT, _XG, _CAT),
    "C/D": (_FOREST, _XG, _CAT),
}
"""The base models stacked for each pair (`bminet` 0.1.4, `our_base_models`)."""

SEARCH_MODELS: Mapping[BaseModel, ModelSpec] = {
    BaseModel.RANDOM_FOREST: ModelSpec.of(
        BaseModel.RANDOM_FOREST, n_estimators=3000, max_depth=10, class_weight="balanced"
    ),
    BaseModel.LIGHTGBM: ModelSpec.of(
        BaseModel.LIGHTGBM, n_estimators=1500, max_depth=10, class_weight="balanced"
    ),
    BaseModel.XGBOOST: ModelSpec.of(BaseModel.XGBOOST, n_estimators=1500, max_depth=10),
    BaseModel.CATBOOST: ModelSpec.of(BaseModel.CATBOOST, iterations=800, depth=10),
}
"""The base models of the toolkit's search of combinations (`bminet` 0.1.4, `StackingModel`). The
class weight that it gives XGBoost is misspelt there and ignored, so it is left out."""

ELIMINATION_CORES: Mapping[BaseModel, ModelSpec] = {
    BaseModel.LIGHTGBM: ModelSpec.of(
        BaseModel.LIGHTGBM, n_estimators=1000, max_depth=5, class_weight="balanced"
    ),
    BaseModel.XGBOOST: ModelSpec.of(BaseModel.XGBOOST, n_estimators=1000, max_depth=5),
    BaseModel.CATBOOST: ModelSpec.of(BaseModel.CATBOOST, iterations=1000, depth=5),
}
"""The cores of recursive feature elimination (`bminet` 0.1.4, `FeatureSelector`). XGBoost has no
class weight and ignores the one given there."""

PUBLISHED_AUROC: Mapping[str, float] = {
    "A/B": 0.788,
    "A/C": 0.909,
    "A/D": 0.942,
    "B/C": 0.708,
    "B/D": 0.820,
    "C/D": 0.770,
}
"""As reported (Wang 2025, medRxiv 2025.02.12.25321163)."""

REPRODUCED_AUROC: Mapping[str, float] = {
    "A/B": 0.782,
    "A/C": 0.888,
    "A/D": 0.928,
    "B/C": 0.649,
    "B/D": 0.800,
    "C/D": 0.787,
}
"""The published sets and models run once by scikit-learn's `StackingClassifier` on the published
table, 5 folds, seed 42."""
