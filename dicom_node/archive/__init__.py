"""Screening of an archive: series are listed, looked at, fetched, assessed and reported.

- `bookkeeping`: screenings, their series and their runners as rows of the node's database.
- `folder_source`: a folder tree as a source.
- `listed_header`: a series judged by its headers before any pixel moves.
- `lists`: a CSV of identifiers and own columns.
- `results`: the table, its data dictionary and the summary page.
- `source_names`: what the names of sources and destinations stand for.
- `sources`: what a screening asks of a folder or an archive, whatever it speaks.
- `work`: one process that works on a screening.
"""
