"""What an administrator is told of, so that a restart repeats nothing and loses nothing.

- `outgoing`: notices on their way to their targets: queued, claimed, taken or given up.
- `standing`: the conditions that were noticed, and which machine looks at the common ones.
"""
