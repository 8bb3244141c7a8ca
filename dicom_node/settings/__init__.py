"""The node's settings: one TOML file, with the sections of its doors and of its work.

- `archives`: settings of the archives that a screening reads.
- `edge`: settings of the node's doors: listener, TLS, audit trail.
- `environment`: environment variables that set the settings: their names, and what is wrong.
- `masking`: settings for printing, with every secret of every URL masked.
- `node`: the node's settings: one TOML file, unknown keys refused, environment overrides.
- `notices`: settings of the notices: what an administrator is told of, by webhook and by mail.
- `weak_points`: what in the settings leaves the node more open than a hospital should.
- `web`: settings of the web pages: address, TLS, who may sign in and how.
- `work`: settings of the worker's side: destinations, PACS query, retention.
"""
