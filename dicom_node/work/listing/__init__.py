"""What the worker enters for the pages, and how that stays in step with the disk.

- `kept_readings`: what readers said of reports, for figures of agreement.
- `list_upkeep`: keep the list of studies in step with the disk: enter what it lacks, take out what
  is gone.
- `read_study`: what a reader said of a study's report, beside what the program had measured.
- `reported_study`: what the folder of a report says of its study, for the list of studies.
- `study_records`: what the worker enters for the pages: its list of studies, their deliveries and
  events.
"""
