"""Tell an administrator what needs somebody: by webhook and mail, rarely, and nothing of a patient.

- `answers`: what a target answers to a notice, and how long it may take.
- `mail`: send a notice by SMTP.
- `notice`: a notice as targets get it: JSON, and its words.
- `notice_words`: all words of the notices.
- `noticing`: the process that looks, settles and sends.
- `observing`: what is the matter with the node now.
- `sending`: queued notices go out, each target in a thread of its own.
- `settling`: which conditions are told now, so that none is told twice or too often.
- `targets`: whom the settings name, and a test notice to each.
- `webhook`: send a notice by HTTP POST.
"""
