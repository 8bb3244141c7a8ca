"""How a stage is decided and what it rests on."""

from modeling.interpretation.four_class import (
    FourClass,
    confusion,
    four_class_out_of_fold,
    intervals,
    measures,
)
from modeling.interpretation.route import Question, Route, route
from modeling.interpretation.steps import INTERPRETATION_STEPS

__all__ = [
    "INTERPRETATION_STEPS",
    "FourClass",
    "Question",
    "Route",
    "confusion",
    "four_class_out_of_fold",
    "intervals",
    "measures",
    "route",
]
