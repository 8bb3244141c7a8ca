"""The model against any hospital's table: staged, and held against a reference where it has one.

- `calibration_check`: stated probabilities against found shares.
- `coverage_check`: how often prediction sets hold the true stage.
- `decision_curve`: what acting on the model is worth.
- `discrimination`: how well the model tells the stages apart.
- `figures`: the figures of a validation.
- `patient_bootstrap`: intervals of any measure over patients drawn again.
- `recalibration`: the model adapted to a hospital, scored by cross-fitting.
- `predictions`: the model's answers to the rows of a table.
- `report`: a validation's folder: sections with tables and figures, JSON, one HTML page.
- `sections`: a validation's results as tables, findings and figures to read.
- `staged_table`: a table of patients with the model's answer beside each.
- `subgroup_check`: the main measures by sex, age and columns of the table.
- `training_check`: whether a table is the model's own training cohort.
- `validation`: a labelled table against a bundle as it is.
- `weighted_measures`: measures of patients who count with weights.
"""
