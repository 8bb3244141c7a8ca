"""How a stage is decided, and which inputs decide it."""

from modeling.interpretation.dependence_figures import (
    plot_dependence,
    plot_dependence_by_partner,
)
from modeling.interpretation.four_class import (
    FourClass,
    confusion,
    four_class_out_of_fold,
    intervals,
    measures,
)
from modeling.interpretation.route import Question, Route, route
from modeling.interpretation.share_figures import (
    plot_beeswarm,
    plot_heat_map,
    plot_interactions,
    plot_waterfall,
)
from modeling.interpretation.shares import (
    PairShares,
    StageShares,
    contributions,
    pair_shares,
    stage_shares,
)
from modeling.interpretation.steps import interpretation_steps

__all__ = [
    "FourClass",
    "PairShares",
    "Question",
    "Route",
    "StageShares",
    "confusion",
    "contributions",
    "four_class_out_of_fold",
    "interpretation_steps",
    "intervals",
    "measures",
    "pair_shares",
    "plot_beeswarm",
    "plot_dependence",
    "plot_dependence_by_partner",
    "plot_heat_map",
    "plot_interactions",
    "plot_waterfall",
    "route",
    "stage_shares",
]
