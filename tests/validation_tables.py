"""Tables of synthetic patients and a model of one line, for tests of staging and validation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from modeling.calibration import OsteoporosisLimits, osteoporosis_set
from modeling.cohort import SITE_NAMES, Sex, Stage
from modeling.staging import StagePrediction
from roi_extraction.anatomy import Finding

MANIFEST = {
    "model_id": "line-1",
    "cohort": {"content_sha256": "0" * 64, "patients": {"A": 100, "B": 100, "C": 100, "D": 100}},
    "scores": {},
}
"""What a validation reads of a bundle's manifest."""

MEANS_HU = np.array([190.0, 150.0, 110.0, 70.0])
"""Mean HU of L1 in the four stages of `LineStager`."""

SPREAD_HU = 30.0
"""Standard deviation of L1 within a stage."""

LIMITS = OsteoporosisLimits(no_below=0.35, yes_above=0.6)
"""When `LineStager` decides on osteoporosis."""


def probabilities_of(l1_hu: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Bayes' probabilities of four stages of equal share with normal L1; shape (n, 4)."""
    likelihood = np.exp(-(((l1_hu[:, None] - MEANS_HU) / SPREAD_HU) ** 2) / 2)
    return np.asarray(likelihood / likelihood.sum(axis=1, keepdims=True))


class LineStager:
    """Stages by L1 alone, exactly right for patients of `patients_frame`; abstains without L1."""

    def stage_many(
        self,
        mean_hu: npt.NDArray[np.float64],
        ages: Sequence[float | None],
        sexes: Sequence[Sex | None],
    ) -> list[StagePrediction]:
        return [self._stage(hu[:1]) for hu in mean_hu]

    def _stage(self, l1: npt.NDArray[np.float64]) -> StagePrediction:
        if np.isnan(l1[0]):
            finding = Finding("model.too_few_vertebrae", "no L1")
            return StagePrediction(None, {}, {}, (), "line-1", "no L1", (finding,))
        p = dict(zip(Stage, map(float, probabilities_of(l1)[0]), strict=True))
        stages = list(Stage)
        pairwise = {
            f"{a}/{b}": p[b] / (p[a] + p[b]) for i, a in enumerate(stages) for b in stages[i + 1 :]
        }
        within = tuple(stage for stage in Stage if p[stage] >= 0.1)
        return StagePrediction(
            max(p, key=lambda s: p[s]),
            p,
            pairwise,
            within,
            "line-1",
            osteoporosis=osteoporosis_set(p, LIMITS),
        )


def patients_frame(counts: dict[str, int], seed: int = 0, offset_hu: float = 0.0) -> pd.DataFrame:
    """Patients with L1 and L2 alone: ``patient``, ``sex``, ``age``, ``ward``, ``L2``, ``L1``."""
    generator = np.random.default_rng(seed)
    stages = [stage for stage, count in counts.items() for _ in range(count)]
    n = len(stages)
    l1 = MEANS_HU[["ABCD".index(s) for s in stages]] + generator.normal(0, SPREAD_HU, n)
    return pd.DataFrame(
        {
            "patient": [f"P{i:04d}" for i in range(n)],
            "sex": np.where(generator.random(n) < 0.6, "F", "M"),
            "age": generator.integers(50, 90, n),
            "ward": np.where(generator.random(n) < 0.5, "north, old", "south"),
            "L2": np.round(l1 + 3 + offset_hu, 2),
            "L1": np.round(l1 + offset_hu, 2),
            "Disease": stages,
        }
    )


def whole_frame(count: int) -> pd.DataFrame:
    """Patients with all 36 sites, whom the built-in model can stage; the stages in turn."""
    generator = np.random.default_rng(1)
    rows = [
        [150 - 20 * (i % 4) + generator.normal(0, 8) for _ in range(6)]
        + [35 + generator.normal(0, 4) for _ in range(30)]
        for i in range(count)
    ]
    frame = pd.DataFrame(np.round(rows, 2), columns=list(SITE_NAMES))
    frame.insert(0, "id", [f"x{i}" for i in range(count)])
    frame.insert(1, "Disease", ["ABCD"[i % 4] for i in range(count)])
    return frame.assign(age=60.0, sex="F")


def written(frame: pd.DataFrame, path: Path) -> Path:
    """Write by suffix and give the path."""
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False, sep="," if path.suffix == ".csv" else "\t")
    return path
