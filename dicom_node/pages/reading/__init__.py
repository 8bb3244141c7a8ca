"""The reader's word: reports accepted, rejected or corrected, and how often readers agree.

- `agreement`: the page of agreement between program and readers, and the same as CSV.
- `agreement_figures`: how often readers accept what was measured, and by how much they correct it.
- `confirmation`: what a reader is asked to confirm, bound to their session.
- `draft`: what a reader has entered in the form, before it is a word.
- `level_names`: sites under other names of their levels.
- `shown_report`: the report that a reader is shown, and whether it can be read just now.
- `word`: the pages of a word: the form, what is to be confirmed, and what came of it.
- `word_view`: what the form shows: slices with outlines, tables of sites, choices.
"""
