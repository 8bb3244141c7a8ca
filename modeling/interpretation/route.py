"""The published route: a four-class decision by asking pairs of stages one after another."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from modeling.calibration import PAIRS, pair_name
from modeling.cohort import Stage
from modeling.errors import InvalidFeatures

__all__ = ["THRESHOLD", "Question", "Route", "route"]

THRESHOLD = 0.5
"""From this probability on, the later stage of a pair wins (`bminet` 0.1.4)."""

FIRST = (Stage.A, Stage.D)
"""The pair asked first."""

FOLLOWS: Mapping[tuple[tuple[Stage, Stage], bool, bool], tuple[Stage, Stage]] = {
    ((Stage.A, Stage.D), True, True): (Stage.B, Stage.D),
    ((Stage.A, Stage.D), False, False): (Stage.A, Stage.C),
    ((Stage.B, Stage.D), True, True): (Stage.C, Stage.D),
    ((Stage.B, Stage.D), False, True): (Stage.B, Stage.C),
    ((Stage.A, Stage.C), True, False): (Stage.B, Stage.C),
    ((Stage.A, Stage.C), False, False): (Stage.A, Stage.B),
}
"""The pair asked next: by the pair, whether its later stage won, and whether D won the first
question. Where nothing follows, the winner is the answer (`bminet` 0.1.4)."""


@dataclass(frozen=True)
class Question:
    """One pair that was asked.

    Parameters
    ----------
    pair
        Its name, such as ``A/D``.
    probability
        Probability of the later stage.
    winner
        The stage that it was decided for.
    """

    pair: str
    probability: float
    winner: Stage


@dataclass(frozen=True)
class Route:
    """How a patient came to a stage.

    Parameters
    ----------
    questions
        In the order in which they were asked: always three.
    """

    questions: tuple[Question, ...]

    @property
    def stage(self) -> Stage:
        """The stage at the end."""
        return self.questions[-1].winner

    @property
    def closest(self) -> Question:
        """The question whose probability was nearest to the threshold of one half."""
        return min(self.questions, key=lambda question: abs(question.probability - THRESHOLD))

    def __str__(self) -> str:
        """Write the route, such as ``A/D 0.91 D, B/D 0.40 B, B/C 0.55 C``."""
        return ", ".join(f"{q.pair} {q.probability:.2f} {q.winner}" for q in self.questions)


def route(
    pair_probabilities: Mapping[str, float], thresholds: Mapping[str, float] | None = None
) -> Route:
    """Follow the published route for one patient.

    A or D is asked first. Where D wins, B or D follows, then C or D if D wins again and B or C if
    not. Where A wins, A or C follows, then B or C if C wins and A or B if not.

    Parameters
    ----------
    pair_probabilities
        By pair such as ``A/B``, all six: the probability of the later stage, such as
        `StagePrediction.pairwise`.
    thresholds
        By pair, from which probability on the later stage wins; `THRESHOLD` where absent.

    Raises
    ------
    InvalidFeatures
        A pair is missing, or a probability is outside [0, 1].

    References
    ----------
    Wang et al. 2025, medRxiv 2025.02.12.25321163; the order of the questions is that of the
    `bminet` 0.1.4 source distribution.

    Examples
    --------
    >>> asked = {"A/B": 0.2, "A/C": 0.6, "A/D": 0.9, "B/C": 0.7, "B/D": 0.4, "C/D": 0.1}
    >>> str(route(asked))
    'A/D 0.90 D, B/D 0.40 B, B/C 0.70 C'
    """
    for name in map(pair_name, PAIRS):
        if name not in pair_probabilities:
            raise InvalidFeatures(f"the route needs a probability of all six pairs, not of {name}")
        if not 0 <= pair_probabilities[name] <= 1 or np.isnan(pair_probabilities[name]):
            raise InvalidFeatures(f"{name}: {pair_probabilities[name]} is not a probability")
    limits = thresholds or {}
    asked: list[Question] = []
    pair: tuple[Stage, Stage] | None = FIRST
    while pair is not None:
        name = pair_name(pair)
        later = pair_probabilities[name] >= limits.get(name, THRESHOLD)
        asked.append(Question(name, float(pair_probabilities[name]), pair[1] if later else pair[0]))
        pair = FOLLOWS.get((pair, later, asked[0].winner is Stage.D))
    return Route(tuple(asked))
