"""How good a recipe is on patients that no part of it has seen.

- `evaluation_step`: the default recipe's evaluation as a step of the study.
- `figures`: scores of nested predictions: over all patients, with intervals, and by subgroup.
- `nested`: scores of a recipe on patients that no part of it has seen, beside its apparent
  scores.
- `recipe_evaluation`: all scores of a recipe on a cohort, as one JSON-ready object.
- `shifts`: how much the stages move when another scanner, or contrast medium, shifts all HU.
"""
