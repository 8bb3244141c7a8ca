"""A trained model as files: its manifest, limits, novelty and model card.

- `bundle`: a trained model as files with a manifest: packed, written, read back and verified.
- `fitted`: everything that training fits besides the forest, as JSON.
- `forest_file`: the stage model as bytes: the same model gives the same bytes, and reading it runs
  no code.
- `limits`: when the model abstains: too little measured, or values far outside the cohort's.
- `model_card`: the model card: what a bundle was made from, how well it scores, and where its
  limits are.
- `nested_calls`: what a model's calls are worth at a prevalence, by its out-of-fold answers on its
  own cohort.
- `novelty`: how far a patient's values lie from the cohort's, as a rank among its patients.
"""
