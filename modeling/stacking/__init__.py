"""Stacked base models for the six pairs of stages."""

from modeling.stacking.passes import BasePasses, all_combinations
from modeling.stacking.recipe import LIGHT_CORE, LIGHT_MODELS, PublishedRecipe, published_as_fixed

__all__ = [
    "LIGHT_CORE",
    "LIGHT_MODELS",
    "BasePasses",
    "PublishedRecipe",
    "all_combinations",
    "published_as_fixed",
]
