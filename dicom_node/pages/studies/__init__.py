"""The list of studies, and the page of each.

- `kept_files`: a study's report and objects as they lie on disk, found by UIDs from a path.
- `pictures`: one slice a request.
- `slices`: the slices of the series that a report measured, as pictures with outlines.
"""
