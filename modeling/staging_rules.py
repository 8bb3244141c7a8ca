"""What a user decides about staging: how frequent the stages are, and what must be measured."""

from collections.abc import Mapping
from dataclasses import dataclass

from modeling.cohort import Stage

__all__ = ["COHORT_RULES", "StagingRules", "at_prevalence"]


@dataclass(frozen=True)
class StagingRules:
    """What a user decides about staging.

    Parameters
    ----------
    prevalence
        Share of each stage among the patients who are staged, each above 0, adding up to 1; None
        for the cohort's.
    without_l5_s1
        Whether a patient without both L5 and S1 is staged all the same.
    """

    prevalence: Mapping[Stage, float] | None = None
    without_l5_s1: bool = False

    @property
    def variant(self) -> str:
        """What tells stages by these rules from those by the cohort's; empty for the cohort's."""
        said = []
        if self.prevalence is not None:
            said.append(" ".join(f"{s} {self.prevalence[s]:g}" for s in Stage))
        if self.without_l5_s1:
            said.append("without L5 and S1")
        return "".join(f"; {words}" for words in said)


COHORT_RULES = StagingRules()
"""Stages as frequent as in the cohort, and L5 or S1 measured."""


def at_prevalence(
    probabilities: Mapping[Stage, float],
    cohort: Mapping[Stage, float],
    prevalence: Mapping[Stage, float],
) -> dict[Stage, float]:
    """Re-weight probabilities for patients among whom the stages are otherwise frequent.

    It holds if patients of one stage look alike here and in the cohort (label shift).

    Parameters
    ----------
    probabilities
        By stage, adding up to 1, as the cohort's mix gives them.
    cohort
        Shares of the stages in the cohort.
    prevalence
        Shares of the stages among these patients.

    References
    ----------
    Saerens M, Latinne P, Decaestecker C. Adjusting the outputs of a classifier to new a priori
    probabilities: a simple procedure. Neural Comput 2002, doi 10.1162/089976602753284446.

    Examples
    --------
    >>> even = dict.fromkeys(Stage, 0.25)
    >>> rare = {Stage.A: 0.7, Stage.B: 0.1, Stage.C: 0.1, Stage.D: 0.1}
    >>> at_prevalence(even, even, rare) == rare
    True
    """
    weights = {s: probabilities[s] * prevalence[s] / cohort[s] for s in Stage}
    total = sum(weights.values())
    return {s: weight / total for s, weight in weights.items()}
