"""Names that the worker and the commands about its work share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dicom_node.records.worker_table import HOME_MARK, homed_queue
from dicom_node.reporting.report_history import REPORT_FILE

__all__ = [
    "ASSESS_QUEUE",
    "assess_queue",
    "commit_queue",
    "delivery_queue",
    "elsewhere_queue",
    "home_of",
    "object_file",
    "object_path",
    "object_work",
]

ASSESS_QUEUE = "assess"

HOME_ARGUMENT = 7
"""Place of the spool's name among the arguments of an assessment."""


def assess_queue(home: str) -> str:
    """The queue of the assessments from one spool: work stays where the pixels are.

    On SQLite there is one spool, without a name.
    """
    return homed_queue(ASSESS_QUEUE, home)


def home_of(arguments: Sequence[Any]) -> str:
    """The spool that the files of an assessment with these arguments lie in; empty if unsaid."""
    return str(arguments[HOME_ARGUMENT]) if len(arguments) > HOME_ARGUMENT else ""


def elsewhere_queue(home: str) -> str:
    """The queue of assessments that the workers with one spool took from other spools.

    >>> elsewhere_queue("0f3a")
    'assess-elsewhere@0f3a'
    """
    return f"{ASSESS_QUEUE}-elsewhere{HOME_MARK}{home}"


def delivery_queue(destination: str) -> str:
    """Each destination has its own queue, so that a dead one never delays another."""
    return f"deliver-{destination}"


def commit_queue(destination: str, home: str = "") -> str:
    """The queue of looks for storage commitment, on the machine whose listener gets the answers."""
    return homed_queue(f"commit-{destination}", home)


def object_file(sent: dict[str, str]) -> str:
    """Name of the file that a delivery sends; one that was queued by version 0.2.0 names none."""
    return sent.get("file", REPORT_FILE)


def object_path(reports: Path, sent: dict[str, str]) -> Path:
    """The file that a delivery sends, in the folder of all reports."""
    return reports / sent["study"] / sent["folder"] / object_file(sent)


def object_work(sent: dict[str, str], destination: str) -> str:
    """Begins the ids of all work on one object for one destination."""
    file = object_file(sent)
    what = "" if file == REPORT_FILE else f":{file.removesuffix('.dcm')}"
    return f"{sent['identity']}:{destination}{what}"
