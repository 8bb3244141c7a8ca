"""The list of studies, and the page of each.

- `curve`: L1 before and now as a curve.
- `downloads`: the files of a study's report, to keep.
- `kept_files`: a study's report and objects as they lie on disk, found by UIDs from a path.
- `listing`: the list of studies.
- `numbers`: how many studies there are of each kind.
- `own_views`: a visitor saves the filters of the list under a name, and removes them.
- `picture`: which slice is shown, the regions that lie in it, where each level is.
- `pictures`: one slice a request.
- `saved_views`: views of the list of studies that somebody saved.
- `site_table`: the measured sites as a table.
- `slices`: the slices of the series that a report measured, as pictures with outlines.
- `study_page`: the page of a study.
- `study_words`: what the pages say of a study.
- `views`: what the list is asked for: filters and fixed views, as an address has them.
"""
