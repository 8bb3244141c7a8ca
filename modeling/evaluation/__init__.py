"""How good a recipe is on patients that no part of it has seen.

- `evaluation_step`: the default recipe's evaluation as a step of the study.
- `figures`: figures of nested predictions: over all patients, drawn again, and by subgroup.
- `nested`: scores of a recipe on patients that no part of it has seen, beside its apparent
  scores.
- `recipe_evaluation`: everything that is to be said of a recipe's scores on a cohort, as one
  JSON-ready object.
"""
