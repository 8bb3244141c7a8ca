"""The published toolkit's side of ``bench.modeling``: runs in its own environment, alone.

``python toolkit_side.py SPEC`` with a JSON of task, cohort, pair, sites, scale and patient; the
last line on stdout is a JSON of seconds and results.
"""

import json
import sys
import time
from typing import Any

import numpy as np
import pandas as pd


def main(spec: dict[str, Any]) -> dict[str, Any]:
    table = pd.read_csv(spec["cohort"], sep="\t").drop_duplicates(ignore_index=True)
    table = table.drop(columns=["Gender", "Age"])
    first, second = spec["pair"].split("/")
    pair = table[table["Disease"].isin([first, second])].reset_index(drop=True)
    name = f"{first} vs {second}"
    np.random.seed(42)  # noqa: NPY002
    if spec["task"] == "elimination":
        from BMINet.Interaction.feature_select import FeatureSelector

        selector = FeatureSelector(estimator_num=spec["core_rounds"], depth=5)
        clock = Clock()
        best, scores = selector._model_rfe(pair, first, second)
        return clock.read() | {"accuracy": [float(s) for s in scores], "chosen": list(best)}
    from BMINet.Model.stacking_model import StackingModel

    if spec["task"] == "stacking":
        model = StackingModel(base_models=_base_models(spec["scale"]))
        columns = ["Disease", *spec["sites"]]
        clock = Clock()
        found = model.stacking_model_search(pair[columns], {name: spec["sites"]})
        seconds = clock.read()
        from sklearn.metrics import roc_auc_score

        scores = found[name] if isinstance(found, dict) else found[0]
        auroc = roc_auc_score(scores.iloc[:, 0], scores["IntegratedScore"])
        return seconds | {"best_auroc": float(auroc)}
    model = StackingModel()
    clock = Clock()
    stage = model.single_predict_multi_classify(spec["patient"], use_our_model=True)
    return clock.read() | {"stage": stage}


def _base_models(scale: float) -> list[tuple[str, Any]]:
    """The search's own base models with their rounds scaled."""
    from catboost import CatBoostClassifier
    from lightgbm import LGBMClassifier
    from sklearn.ensemble import RandomForestClassifier
    from xgboost import XGBClassifier

    def rounds(full: int) -> int:
        return max(1, round(full * scale))

    return [
        (
            "RandomForest",
            RandomForestClassifier(
                n_estimators=rounds(3000), max_depth=10, class_weight="balanced"
            ),
        ),
        (
            "LGBM",
            LGBMClassifier(
                verbose=-1, n_estimators=rounds(1500), max_depth=10, class_weight="balanced"
            ),
        ),
        ("XGBoost", XGBClassifier(n_estimators=rounds(1500), max_depth=10)),
        (
            "CatBoost",
            CatBoostClassifier(
                verbose=False, iterations=rounds(800), max_depth=10, allow_writing_files=False
            ),
        ),
    ]


class Clock:
    """CPU seconds of this process, all threads, and wall time, from its making on."""

    def __init__(self) -> None:
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def read(self) -> dict[str, float]:
        return {
            "cpu_s": time.process_time() - self.cpu,
            "wall_s": time.perf_counter() - self.wall,
        }


if __name__ == "__main__":
    print("\n" + json.dumps(main(json.loads(sys.argv[1]))))
