"""How workers share one database: who holds which work, what lies there, and for how long.

- `fetched_work`: assessments whose instances lie on another machine: fetch them, assess, hand the
  report in.
- `interruption`: the end of a workflow that is taken up again, and how a database that is down is
  waited for.
- `lease`: a worker's hold on its work: who it is, and whether what it has in hand is still its own.
- `outgoing`: the objects that are to be delivered: files, and on PostgreSQL rows that every worker
  can read.
- `purging`: remove the records of work that ended long ago, and keep what is still asked of them.
- `spare_capacity`: a worker with free capacity takes assessments that wait on another machine.
- `takeover`: workers on PostgreSQL take over the work of those that died.
- `work_client`: the records of work as pages and commands reach them, which run none of it.
"""
