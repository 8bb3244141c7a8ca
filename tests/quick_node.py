"""The node of ``osteonode serve`` with `tests.quick_worker` in place of its worker.

Its notices, if it has any, are those of `tests.quick_notify`.
"""

import os
import subprocess
import sys
from pathlib import Path

from dicom_node import supervisor
from dicom_node.cli import main

start_of_the_node = supervisor._start

QUICK = {"work": "tests.quick_worker", "notify": "tests.quick_notify"}


def start(command: supervisor.Command, config: Path) -> "subprocess.Popen[bytes]":
    """Start the quick processes as the supervisor starts the node's own."""
    if command.name not in QUICK:
        return start_of_the_node(command, config)
    return subprocess.Popen(
        [sys.executable, "-m", QUICK[command.name], str(config), str(os.getpid())]
    )


if __name__ == "__main__":
    vars(supervisor).update(_start=start)
    main()
