"""Run the node's processes side by side and start again the one that dies."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dicom_node.errors import SettingsInvalid
from dicom_node.logs import log

__all__ = ["Command", "end_with_parent", "stop_on_signal", "supervise"]

RESTART_SECONDS = 2.0
"""Pause before a dead process is started again."""

STOP_SECONDS = 20.0
"""How long a process may take to stop before it is killed."""

USAGE_STATUS = 2
"""Exit status of a command that cannot use its settings: to start it again would not help."""

POLL_SECONDS = 0.25
"""How often the processes, and the parent, are looked at."""

PRIVATE_UMASK = 0o077
"""Files that the node writes can be read by its own user only."""


def stop_on_signal() -> threading.Event:
    """An event that SIGTERM and SIGINT set; also lets only the node's user read its new files."""
    os.umask(PRIVATE_UMASK)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    return stop


def end_with_parent(parent: int | None, stop: threading.Event) -> None:
    """Set ``stop`` when the parent process has ended, even if it was killed.

    Parameters
    ----------
    parent
        Its process id; None to watch nothing.
    stop
        The event to set.
    """
    if parent is None:
        return

    def watch() -> None:
        while not stop.wait(POLL_SECONDS):
            if os.getppid() != parent:
                stop.set()

    threading.Thread(target=watch, daemon=True).start()


@dataclass(frozen=True)
class Command:
    """One process of the node: its name, and the arguments of ``osteonode``."""

    name: str
    arguments: tuple[str, ...]


def supervise(commands: Sequence[Command], config: Path, stop: threading.Event) -> None:
    """Run ``osteonode ARGUMENTS --config`` for each command until ``stop`` is set.

    Parameters
    ----------
    commands
        The processes to run.
    config
        The settings file of them all.
    stop
        Ends the processes when it is set.

    Raises
    ------
    SettingsInvalid
        A process cannot use the settings, or the model that they name; it said why on stderr.
    """
    running = {command: _start(command, config) for command in commands}
    dead_since: dict[Command, float] = {}
    try:
        while not stop.wait(POLL_SECONDS):
            for command, process in running.items():
                if process.poll() is None:
                    continue
                if command not in dead_since:
                    dead_since[command] = time.monotonic()
                    log().error("process died", process=command.name, status=process.returncode)
                    if process.returncode == USAGE_STATUS:
                        raise SettingsInvalid(
                            f"{command.name} cannot use the settings or the model"
                        )
                elif time.monotonic() - dead_since[command] >= RESTART_SECONDS:
                    del dead_since[command]
                    running[command] = _start(command, config)
    finally:
        for process in running.values():
            if process.poll() is None:
                process.terminate()
        for process in running.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(command: Command, config: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [
            sys.executable, "-m", "dicom_node", *command.arguments,
            "--config", str(config), "--parent", str(os.getpid()),
        ]
    )  # fmt: skip
