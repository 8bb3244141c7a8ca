"""Everything that training fits besides the forest, as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.bundle.limits import StagingLimits
from modeling.bundle.novelty import Novelty
from modeling.calibration import PAIRS, OsteoporosisLimits, Sigmoid, pair_name
from modeling.cohort import SITE_NAMES, Stage
from modeling.design import CLIP_HU, DESIGN
from modeling.errors import BundleIncompatible

__all__ = ["FITTED_FILE", "FittedParameters"]

FITTED_FILE = "recipe.json"
"""The fitted parameters; the name belongs to the bundle's format."""


@dataclass(frozen=True, eq=False)
class FittedParameters:
    """Everything that training fits besides the forest.

    A recipe (`modeling.recipes`) says how a model is fitted; these numbers are what one fit gave.

    Parameters
    ----------
    medians
        float64, shape (43,): replaces a missing input of `modeling.design.DESIGN`.
    stage_sigmoids
        By stage: calibrates its probability; see `modeling.stage_calibration.calibrated`.
    sigmoids
        By pair name: the later stage's probability, by the log ratio of the two stages' calibrated
        ones.
    thresholds
        By stage: the lowest calibrated probability that keeps it in the prediction set.
    osteoporosis
        When osteoporosis, or its absence, can be ruled out, by the calibrated probabilities.
    limits
        When to abstain.
    novelty
        How far a patient lies from the cohort.
    """

    medians: npt.NDArray[np.float64]
    stage_sigmoids: Mapping[Stage, Sigmoid]
    sigmoids: Mapping[str, Sigmoid]
    thresholds: Mapping[Stage, float]
    osteoporosis: OsteoporosisLimits
    limits: StagingLimits
    novelty: Novelty

    def to_json(self) -> dict[str, Any]:
        """Write as a JSON object; inputs are stated by name, to be checked on reading."""
        return {
            "sites": list(SITE_NAMES),
            "clip_hu": list(CLIP_HU),
            "medians": {f.name: float(m) for f, m in zip(DESIGN, self.medians, strict=True)},
            "stage_sigmoids": {s.value: vars(found) for s, found in self.stage_sigmoids.items()},
            "sigmoids": {name: vars(found) for name, found in self.sigmoids.items()},
            "thresholds": {stage.value: low for stage, low in self.thresholds.items()},
            "osteoporosis": vars(self.osteoporosis),
            "limits": self.limits.to_json(),
            "novelty": self.novelty.to_json(),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "FittedParameters":
        """Read what `to_json` wrote.

        Raises
        ------
        BundleIncompatible
            Other inputs, another order, or parts missing.
        """
        try:
            if list(found["sites"]) != list(SITE_NAMES) or list(found["clip_hu"]) != list(CLIP_HU):
                raise BundleIncompatible("the bundle was trained on other sites or another order")
            if list(found["medians"]) != [feature.name for feature in DESIGN]:
                raise BundleIncompatible("the bundle was trained on other derived features")
            medians = np.array(list(found["medians"].values()), dtype=np.float64)
            medians.setflags(write=False)
            names = [pair_name(pair) for pair in PAIRS]
            return cls(
                medians,
                {stage: Sigmoid(**found["stage_sigmoids"][stage.value]) for stage in Stage},
                {name: Sigmoid(**found["sigmoids"][name]) for name in names},
                {stage: float(found["thresholds"][stage.value]) for stage in Stage},
                OsteoporosisLimits(**found["osteoporosis"]),
                StagingLimits.from_json(found["limits"]),
                Novelty.from_json(found["novelty"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleIncompatible(
                f"{FITTED_FILE} lacks a part or has a wrong one: {error}"
            ) from error
