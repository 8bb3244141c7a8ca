"""The results of a screening: one table, its data dictionary and a page that sums it up.

- `columns`: the columns in their order, and what each of them holds.
- `flow`: the flow chart: how many came how far, and why others did not.
- `pseudonyms`: keyed pseudonyms in place of identifiers.
- `rows`: the rows, read from the database batch by batch.
- `summary`: what the page shows, counted while the table is written.
- `summary_figures`: its figures as SVG.
- `summary_page`: the page.
- `writing`: the files, each complete or not at all.
"""
