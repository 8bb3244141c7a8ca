"""The node seen from outside: its status for people, for programs and for Prometheus.

- `finished_work`: the work that ended: how much, with what outcome, and how long it took.
- `metrics`: the status as Prometheus metrics; no label holds anything of a patient.
- `notice_status`: what is told of the node, and whether those who are to be told take it.
- `shared_status`: the status, read once for all who ask at about the same time.
- `status`: what the node is doing, read from its folders and its database, so that restarts
  lose nothing.
- `status_text`: the status as lines for people.
- `web`: the HTTP endpoint: whether the node is alive and can work, and what it has done.
- `workers`: the workers of all machines, and the work that none of them can do.
"""
