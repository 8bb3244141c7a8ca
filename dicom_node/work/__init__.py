"""The durable work on a study: when it is complete, its assessment, its delivery, its end.

- `arrivals`: which studies are complete: nothing more arrives, no slice is missing, the patient is
  one.
- `assessment_pool`: surveys and assessments in child processes with limits on time and memory.
- `assessment_steps`: the steps of a study's assessment: assess it, and write down an assessment
  that failed.
- `child_process`: what runs in a child process: its limits, its end, and where it failed.
- `complete_study`: a study that is complete: which of its files are assessed, and under which
  identity.
- `delivery_steps`: the steps of a report's delivery: send it, and ask the destination to commit to
  keeping it.
- `discarding`: what of a study was set aside or stands in conflict, and how it is removed.
- `failed_work`: work that ended for good: listed with its reason, and taken up again on request.
- `listing/`: what the worker enters for the pages, and how that stays in step with the disk.
- `preload`: what the children that assess share: imported once, by the server that they are forked
  from.
- `readings`: a reader's word becomes work: the study is measured again, or its report is withdrawn.
- `retention`: remove received instances and reports after the time that the settings give them.
- `sharing/`: how workers share one database: who holds which work, and what lies there.
- `turns`: the order of waiting work: senders take turns, so that a flood from one delays only its
  own.
- `withdrawal_steps`: the steps of the withdrawal of a report that stands under another patient.
- `work_queues`: names that the worker and the commands about its work share.
- `worker`: the worker's process: starts the durable work, and hands it the studies that are
  complete.
- `workflows`: durable work: a DBOS workflow for each study, one for each attempt to
  deliver a report.
"""
