"""What the worker enters for the pages, and how that stays in step with the disk.

- `list_upkeep`: keep the list of studies in step with the disk: enter what it lacks, take out what
  is gone.
- `reported_study`: what the folder of a report says of its study, for the list of studies.
- `study_records`: what the worker enters for the pages: its list of studies, their deliveries and
  events.
"""
