"""The published analysis' descriptive and classical statistics: results first, figures second."""

from modeling.statistics.ageing.age_by_sex import age_by_sex
from modeling.statistics.ageing.declines import declines
from modeling.statistics.characteristics import (
    age_densities,
    group_sizes,
    sex_differences,
)
from modeling.statistics.comparison import compare_sites
from modeling.statistics.correlation import cluster_sites, spearman
from modeling.statistics.delong import Auroc, delong_auroc
from modeling.statistics.linear import Formula, fit_formula
from modeling.statistics.linear_fit import KINDS, FormulaKind, Penalty, Target
from modeling.statistics.projection import Imputation, pls_da, principal_components
from modeling.statistics.single_feature import best_sites, single_site_rocs
from modeling.statistics.two_groups import (
    GroupTest,
    TwoGroups,
    compare_groups,
    false_discovery,
)

__all__ = [
    "KINDS",
    "Auroc",
    "Formula",
    "FormulaKind",
    "GroupTest",
    "Imputation",
    "Penalty",
    "Target",
    "TwoGroups",
    "age_by_sex",
    "age_densities",
    "best_sites",
    "cluster_sites",
    "compare_groups",
    "compare_sites",
    "declines",
    "delong_auroc",
    "false_discovery",
    "fit_formula",
    "group_sizes",
    "pls_da",
    "principal_components",
    "sex_differences",
    "single_site_rocs",
    "spearman",
]
