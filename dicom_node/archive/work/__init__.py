"""One process that works on a screening: it lists, judges, fetches, assesses and sends.

- `asking`: the questions of a screening are asked, and what is found gets its rows.
- `manners`: when a series may be fetched: time of day, quota, rate, pauses.
- `measured`: what a row keeps of a report.
- `running`: the process with its threads.
- `series_work`: the work on one series: judged, fetched, assessed, its report sent.
- `source_names`: what the names of sources and destinations stand for.
"""
