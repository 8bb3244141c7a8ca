"""A reader's word becomes work: the study is measured again, or its report is withdrawn."""

from typing import Any

from dbos import DBOSClient

from dicom_node.errors import WorkFailed
from dicom_node.records.reading import Reading, Rejection
from dicom_node.settings.node import NodeSettings
from dicom_node.uids import content_id
from dicom_node.work.sharing.work_client import queue_work, work_client
from dicom_node.work.work_queues import assess_queue, home_of

__all__ = ["reject_report", "send_reading"]


def send_reading(settings: NodeSettings, assessment: str, reading: Reading) -> str:
    """Queue the measurement of a study as its reader wants it.

    Parameters
    ----------
    settings
        Of the node.
    assessment
        Identity of the newest assessment of the study.
    reading
        What the reader said; the same word again changes nothing.

    Returns
    -------
    str
        Id of the work.

    Raises
    ------
    WorkFailed
        The record of the assessment is gone, so that its instances are not known.
    """
    with work_client(settings) as client:
        given, queue = _assessed(client, assessment)
        read_before = given[6] if len(given) > 6 else None
        # what was read may itself be a reader's version of an assessment
        origin = assessment if read_before is None else read_before["assessment"]
        identity = content_id(origin, "read", reading.model_dump_json())
        _, key, names, segmentations, findings = given[:5]
        read = {"assessment": origin, "said": reading.model_dump(mode="json")}
        work = (identity, key, names, segmentations, findings, None, read)
        queue_work(client, "assess_series", identity, queue, *work)
    return identity


def reject_report(settings: NodeSettings, assessment: str, rejection: Rejection) -> str:
    """Queue the withdrawal of a study's reports from all destinations.

    The parameters, what it returns and what it raises are those of `send_reading`.
    """
    with work_client(settings) as client:
        given, queue = _assessed(client, assessment)
        said = rejection.model_dump(mode="json")
        queue_work(client, "reject", rejection.identity, queue, given[1], said)
    return rejection.identity


def _assessed(client: DBOSClient, assessment: str) -> tuple[list[Any], str]:
    """What an assessment was given, and the queue of the machine that holds its images."""
    found = client.list_workflows(workflow_ids=[assessment], load_output=False)
    if not found or not found[0].input or not found[0].queue_name:
        text = "the record of the assessment is gone: send the study again, then read its report"
        raise WorkFailed("reading.work_gone", text)
    arguments, queue = list(found[0].input["args"]), found[0].queue_name
    home = home_of(arguments)  # the work may have been done elsewhere
    return arguments, assess_queue(home) if home else queue
