"""The node seen from outside: its status for people, for programs and for Prometheus.

- `metrics`: the status as Prometheus metrics; no label holds anything of a patient.
- `status`: what the node is doing, read from its folders and its database, so that it survives
  restarts.
- `status_text`: the status as lines for people.
- `web`: the HTTP endpoint: is the node alive, can it work, what has it done.
"""
