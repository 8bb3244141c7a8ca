"""Screenings, their series and their runners as rows of the node's database.

- `archive_share`: the connections that an archive allows, shared out among all runners.
- `lists`: a CSV of identifiers and own columns.
- `overview`: all screenings at a glance, and the counts of one for its flow chart.
- `progress`: how far a screening is and what it waits for.
- `runners`: signs of life and temporary folders of the processes that work on a screening.
- `screenings`: screenings by their names, and what their sources are asked.
- `series_rows`: the rows of a screening: the work on each series and its result.
- `tables`: the tables, and the time by which all runners go.
"""
