"""What the processes write down about themselves: audit trail, counters, signs of life.

- `audit`: the audit trail: who sent what, what was done with it, where it went (DICOM PS3.15,
  A.5).
- `counters`: counters of one process, in a file: they survive a restart, and other processes read
  them.
- `database`: the node's own tables in the workflow database, beside those of its engine.
- `followed_studies`: what was measured on each study, for following a scanner's HU over time.
- `heartbeat`: signs of life: a file a process, touched while it works.
- `instance_servers`: where each spool's instances are served to other machines.
- `listed_studies`: the list of all studies: whose each is, and what came of it.
- `noticed/`: what an administrator is told of, so that a restart repeats nothing and loses nothing.
- `reading`: a reader's word on a report: accepted as it is, or corrected and measured again.
- `scanner_drift`: whether a scanner's HU moved, looked at by a worker, read by the status.
- `security_alerts`: refusals in the audit trail: each one, but of a flood the first ones and their
  number.
- `study_deliveries`: which object of a study is where on its way to which destination.
- `study_events`: what happened with each study, in its order.
- `study_listing`: what the node enters in the list of all studies, and takes out of it.
- `withdrawals`: which reports were withdrawn, for those who look from outside.
- `work_totals`: counts and durations of work that ended: by queue, outcome, and step of the
  assessments.
- `worker_table`: the table of workers on PostgreSQL: who works, since when, and when each last gave
  a sign.
"""
