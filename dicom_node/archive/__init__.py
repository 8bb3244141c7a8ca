"""Screening of an archive: series are listed, looked at, fetched, assessed and reported.

- `folder_source`: a folder tree as a source.
- `listed_header`: a series judged by its headers before any pixel moves.
- `listing`: the questions of a screening are asked, and what is found gets its rows.
- `lists`: a CSV of identifiers and own columns.
- `manners`: when a series may be fetched: time of day, quota, rate, pauses.
- `measured`: what a row keeps of a report.
- `progress`: how far a screening is and what it waits for.
- `results`: the table, its data dictionary and the summary page.
- `runners`: signs of life and temporary folders of the processes that work on a screening.
- `running`: one such process.
- `screenings`: screenings by their names, and what their sources are asked.
- `series_rows`: the rows of a screening: the work on each series and its result.
- `series_work`: the work on one series: judged, fetched, assessed, its report sent.
- `source_names`: what the names of sources and destinations stand for.
- `sources`: what a screening asks of a folder or an archive, whatever it speaks.
- `tables`: the tables in the node's database.
"""
