"""SHAP's tree explainer, imported only where it is used."""

import warnings
from typing import Any

__all__ = ["tree_explainer"]


def tree_explainer(model: Any) -> Any:
    """Make a path-dependent `shap.TreeExplainer` of a fitted tree model.

    References
    ----------
    Lundberg SM et al. From local explanations to global understanding with explainable AI for
    trees. Nat Mach Intell 2020, doi 10.1038/s42256-019-0138-9.
    """
    with warnings.catch_warnings():
        # Importing shap draws on parts of matplotlib that are about to be deprecated.
        warnings.simplefilter("ignore")
        import shap
    return shap.TreeExplainer(model)
