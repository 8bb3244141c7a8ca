"""How good a recipe is on patients that no part of it has seen.

- `evaluation_step`: the default recipe's evaluation as a step of the study.
- `figures`: scores of nested predictions: over all patients, with intervals, and by subgroup.
- `kept_parts`: finished parts in a folder: a run that was broken off goes on from them.
- `nested`: scores of a recipe on patients that no part of it has seen, beside its apparent
  scores.
- `nested_result`: predictions of an outer cross-validation, and of each fold as arrays to keep.
- `recipe_evaluation`: all scores of a recipe on a cohort, as one JSON-ready object.
- `shifts`: how much the stages move when another scanner, or contrast medium, shifts all HU.
"""
