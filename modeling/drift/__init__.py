"""Whether a scanner's HU stay where they were: medians by month, with control limits.

- `control_chart`: limits of monthly medians, and the step that leaves them.
- `drift_figures`: a chart of each scanner.
- `drift_files`: the table, the charts and what they say, in a folder.
- `scanner_months`: the values of a table of results by scanner, measure and month.
"""
