"""The ``osteonode`` command in the process of the tests, where nothing depends on its own."""

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from dicom_node.cli import main

__all__ = ["run_command"]


def run_command(config: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with a node's settings.

    It takes what its own process would take, from its arguments to its exit status, but not the
    1.5 CPU seconds in which that one imports what is imported here already.
    """
    arguments = ["osteonode", *words, "--config", str(config)]
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", arguments),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            status = end.code
        else:
            status = 0
    return subprocess.CompletedProcess(arguments, int(status or 0), out.getvalue(), err.getvalue())
