"""Recipes: how a stage model is fitted, each behind one small contract.

- `registry`: the recipes that can be evaluated, by name, behind one small contract.
- `selected`: a recipe that chooses among others by cross-validation of the patients that it is
  given.
- `stage_forest`: the stage model: derived features, median imputation, one four-class forest.
- `stage_regression`: linear stage models over the same inputs as the forest, for comparison.
"""
