"""The pages for people: who may see them, how they look, and what they show.

- `app`: the application: the machine addresses, and the pages of all rooms.
- `database`: the node's database as the pages reach it, at the first request that needs it.
- `faults`: the pages that say in words why a request has no answer.
- `names`: names of persons as the pages write them.
- `navigation`: which pages a visitor is offered, by role.
- `rendering`: templates and texts become answers.

Rooms beside them: `access`, who may come in; `studies`, what came of each study; `reading`, what a
reader says of it; `operation`, what the administrator sees and does; `research`, cohorts, scanners
and the model. ``templates/``, ``static/`` and ``texts.toml`` hold what is shown.
"""
