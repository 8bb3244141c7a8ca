"""A PostgreSQL server for a test, on the loopback."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicom_node.demo import free_port
from tests.conftest import unavailable


class Cluster:
    """A PostgreSQL server of its own on the loopback, as its own user if this one is root."""

    def __init__(
        self,
        folder: Path,
        connections: int = 100,
        address: str = "127.0.0.1",
        prefix: Sequence[str] = (),
    ) -> None:
        self.port = free_port()
        self._folder = folder
        self._connections = connections
        self._address = address
        self._prefix = prefix
        self._data = folder / "data"
        self.url = f"postgresql+psycopg://node:secret-of-db@{address}:{self.port}/osteonode"

    def start(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-l", self._folder / "log", "-w", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def __enter__(self) -> "Cluster":
        self._folder.mkdir()
        password = self._folder / "password"
        password.write_text("secret-of-db")
        shutil.chown(self._folder, "postgres", "postgres")
        self._run("initdb", "-D", self._data, "-U", "node", "-A", "scram-sha-256",
                  f"--pwfile={password}", "--no-sync")  # fmt: skip
        with (self._data / "postgresql.conf").open("a") as conf:
            conf.write(
                f"port = {self.port}\nlisten_addresses = '{self._address}'\nfsync = off\n"
                f"unix_socket_directories = '{self._folder}'\n"
                f"max_connections = {self._connections}\n"
            )
        with (self._data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {self._address}/24 scram-sha-256\n")
        self.start()
        return self

    def __exit__(self, *_details: object) -> None:
        self.stop()

    def _run(self, program: str, *words: object) -> None:
        path = max(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
        result = subprocess.run(
            [*self._prefix, "runuser", "-u", "postgres", "--", str(path), *map(str, words)],
            capture_output=True, text=True, timeout=60, cwd="/", stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr + result.stdout


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A server that is made and started, or a skipped test where none is installed."""
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        unavailable("not installed: postgresql (see .ci/run)")
    if Path("/proc/self").owner() != "root":
        pytest.skip("only root may start a server as the user postgres")
    folder = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True).stdout.strip())
    folder.chmod(0o755)
    try:
        with Cluster(folder / "cluster") as found:
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)
