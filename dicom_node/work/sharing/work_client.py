"""The records of work as pages and commands reach them, which run none of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dbos import DBOSClient, DBOSPortableJSONSerializer, EnqueueOptions

from dicom_node.records.worker_table import WORKFLOW_VERSION
from dicom_node.settings.node import NodeSettings

__all__ = ["queue_work", "work_client"]


@contextmanager
def work_client(settings: NodeSettings) -> Iterator[DBOSClient]:
    """Reach the records of work, and leave the database afterwards."""
    client = DBOSClient(
        system_database_url=settings.database, serializer=DBOSPortableJSONSerializer()
    )
    try:
        yield client
    finally:
        client.destroy()


def queue_work(
    client: DBOSClient, workflow: str, identity: str, queue: str, *arguments: Any
) -> None:
    """Queue a piece of work for a worker of this version; the same identity again changes nothing.

    Parameters
    ----------
    client
        Of the records.
    workflow
        Name of the method of the worker.
    identity
        Of the work.
    queue
        Where it waits.
    arguments
        Of the method.
    """
    options: EnqueueOptions = {
        "workflow_name": f"Worker.{workflow}",
        "class_name": "Worker",
        "instance_name": "worker",
        "queue_name": queue,
        "workflow_id": identity,
        "app_version": WORKFLOW_VERSION,
    }
    client.enqueue(options, *arguments)
