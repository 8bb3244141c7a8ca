"""A machine with a simulated worker, in a process and with a folder of its own, or a shared one."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dicom_node.settings.node import NodeSettings, load_settings
from tests.command_line import run_command
from tests.simulated_worker import HASTE_VARIABLE, SECONDS_VARIABLE, queue_studies

DEADLINE_SECONDS = 120.0


class Machine:
    """One worker that can be started, killed and looked at."""

    def __init__(
        self,
        folder: Path,
        database_url: str,
        ports: Sequence[int] = (),
        data: Path | None = None,
        *,
        seconds: float = 0.0,
        settings: str = "",
        processes: int = 2,
        prefix: Sequence[str] = (),
        haste: float = 1.0,
    ) -> None:
        folder.mkdir(parents=True)
        self._prefix = prefix
        self.config = folder / "node.toml"
        self.log_path = folder / "log"
        self._environment = {
            **os.environ,
            SECONDS_VARIABLE: str(seconds),
            HASTE_VARIABLE: str(haste),
        }
        self._process: subprocess.Popen[bytes] | None = None
        peers = "".join(
            f"""[[destinations]]
name = "pacs{index}"
ae_title = "PACS"
host = "127.0.0.1"
port = {port}
objects = ["sr"]
retry_seconds = 0.5
retry_backoff = 1.0
max_attempts = 10000
"""
            for index, port in enumerate(ports)
        )
        self.config.write_text(
            f"""data_dir = {json.dumps(str(data or folder / "data"))}
database_url = "{database_url}"
poll_seconds = 0.2
{settings}
[limits]
processes = {processes}
{peers}"""
        )

    @property
    def settings(self) -> NodeSettings:
        return load_settings(self.config)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def ended(self) -> int | None:
        """Exit status; None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def start(self) -> "Machine":
        with self.log_path.open("ab") as log_file:
            self._process = subprocess.Popen(
                [*self._prefix, sys.executable, "-m", "tests.simulated_worker", str(self.config)],
                stderr=log_file,
                env=self._environment,
            )
        return self

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill -9, and wait for it."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(30)

    def stop(self) -> None:
        """End it if it runs, whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def queue(self, names: Sequence[str]) -> None:
        """Queue studies that this machine received."""
        queue_studies(self.settings, names)

    def queue_inside(self, names: Sequence[str]) -> None:
        """Do so from the network that the machine is in."""
        program = (
            "import sys; from pathlib import Path; from tests.simulated_worker import *; "
            "queue_studies(load_settings(Path(sys.argv[1])), sys.argv[2:])"
        )
        subprocess.run(
            [*self._prefix, sys.executable, "-c", program, str(self.config), *names], check=True
        )

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = self.log_path.read_text().splitlines() if self.log_path.exists() else []
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):  # a line that a kill cut short
                found.append(json.loads(line))
        return [line for line in found if isinstance(line, dict) and line.get("event") == name]

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """What a command with the machine's settings says."""
        return run_command(self.config, *words)


def wait_for(condition: Callable[[], Any], *machines: Machine) -> Any:
    """Wait until a condition holds; the logs of the machines say why it does not."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.1)
    logs = "\n".join(f"{m.log_path}:\n{m.log_path.read_text()[-3000:]}" for m in machines)
    raise AssertionError(f"waited in vain:\n{logs}")
