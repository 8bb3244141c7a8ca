"""The node of ``osteonode serve`` with `tests.quick_worker` in place of its worker."""

import os
import subprocess
import sys
from pathlib import Path

from dicom_node import supervisor
from dicom_node.cli import main

start_of_the_node = supervisor._start


def start(command: supervisor.Command, config: Path) -> "subprocess.Popen[bytes]":
    """Start the quick worker as the supervisor starts the node's own processes."""
    if command.name != "work":
        return start_of_the_node(command, config)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.quick_worker", str(config), str(os.getpid())]
    )


if __name__ == "__main__":
    vars(supervisor).update(_start=start)
    main()
