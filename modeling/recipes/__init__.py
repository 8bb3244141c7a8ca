"""Recipes: how a stage model is fitted, each behind one small contract.

- `disturbance`: what another scanner or scan may change, as copies of the training patients.
- `registry`: the recipes that can be evaluated, by name, behind one small contract.
- `selected`: a recipe that chooses among others by cross-validation of the patients that it is
  given.
- `stage_forest`: the stage model: derived features, median imputation, two forests and proportional
  odds.
- `stage_regression`: a linear stage model over the same inputs as the forests, for comparison.
"""
