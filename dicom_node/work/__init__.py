"""The durable work on a study: when it is complete, its assessment, its delivery, its end.

- `analysis`: assess the best series among some files and write its report into a folder.
- `arrivals`: which studies in the spool are complete: quiet, without gaps, and as many as the
  PACS says.
- `assessment_pool`: assessments in child processes with limits on time and memory.
- `failed_work`: work that ended for good: listed with its reason, and taken up again on request.
- `input_findings`: what the reader should know of the files that were given.
- `report_folder`: write the files of one report: each complete or not at all.
- `retention`: remove received instances and reports after the time that the settings give them.
- `work_queues`: names that the worker and the commands about its work share.
- `work_steps`: what is done in one step of the work: assess a study, send a report, ask for
  commitment.
- `worker`: durable work: a DBOS workflow per study, one per report and attempt to deliver it.
"""
