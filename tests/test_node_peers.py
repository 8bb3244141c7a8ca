import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydicom
import pytest

from dicom_node.demo import free_port, listens
from tests.fault_node import quick_study
from tests.node_process import Node

pytestmark = pytest.mark.peers


class Orthanc:
    """Debian's Orthanc with an empty store; what it says goes to ``log``, if there is one."""

    log: Path | None = None

    def __init__(self, folder: Path, node_port: int = 11112, plugins: Sequence[str] = ()) -> None:
        folder.mkdir()
        self.dicom_port, self.http_port = free_port(), free_port()
        self.config = folder / "orthanc.json"
        self.config.write_text(
            json.dumps(
                {
                    "Name": "test",
                    "StorageDirectory": str(folder / "store"),
                    "IndexDirectory": str(folder / "store"),
                    "DicomAet": "ORTHANC",
                    "DicomPort": self.dicom_port,
                    "HttpPort": self.http_port,
                    "RemoteAccessAllowed": False,
                    "AuthenticationEnabled": False,
                    "DicomCheckCalledAet": True,
                    "DicomAlwaysAllowStore": False,
                    "DicomCheckModalityHost": True,
                    "DicomModalities": {
                        "node": ["OSTEONODE", "127.0.0.1", node_port],
                        "sender": ["STORESCU", "127.0.0.1", 11113],
                    },
                    "Plugins": list(plugins),
                }
            )
        )

    def __enter__(self) -> "Orthanc":
        verbose = [] if self.log is None else ["--verbose"]
        with open(self.log or os.devnull, "ab") as said:
            self.process = subprocess.Popen(
                ["Orthanc", *verbose, str(self.config)],
                env={**os.environ, "TCP_NODELAY": "1"},
                stdout=said,
                stderr=said,
            )
        wait_for_port(self.dicom_port)
        wait_for_port(self.http_port)
        return self

    def __exit__(self, *_details: object) -> None:
        self.process.terminate()
        self.process.wait(30)

    def get(self, path: str) -> Any:
        url = f"http://127.0.0.1:{self.http_port}{path}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.loads(answer.read())

    def delete(self, path: str) -> None:
        url = f"http://127.0.0.1:{self.http_port}{path}"
        urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=10).close()

    def store(self, path: Path) -> str:
        """Store a file; returns Orthanc's own name of the instance."""
        url = f"http://127.0.0.1:{self.http_port}/instances"
        with urllib.request.urlopen(url, data=path.read_bytes(), timeout=60) as answer:
            return str(json.loads(answer.read())["ID"])

    def file(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}") as answer:
            return bytes(answer.read())


def wait_for_port(port: int) -> None:
    """Wait until a program that was started takes connections."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if listens(port):
            return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens at port {port}")


def dcmtk_storescu(port: int, ae_title: str, folder: Path) -> None:
    """Send with dcmtk's own program, not with pynetdicom's of the same name."""
    result = subprocess.run(
        ["/usr/bin/storescu", "-R", "-aec", ae_title, "+sd", "127.0.0.1", str(port), str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "TCP_NODELAY": "1"},
        timeout=120,
    )
    assert result.returncode == 0, result.stderr


def test_report_of_a_series_sent_by_dcmtk_lands_in_its_study_in_orthanc(tmp_path: Path) -> None:
    series = tmp_path / "series"
    quick_study(series, "peers")
    with (
        Orthanc(tmp_path / "orthanc") as orthanc,
        Node(tmp_path / "node", orthanc.dicom_port, "ORTHANC", quick=True) as node,
    ):
        dcmtk_storescu(orthanc.dicom_port, "ORTHANC", series)
        dcmtk_storescu(node.port, "OSTEONODE", series)
        node.wait_for(lambda: node.events("delivered"))
        [study] = orthanc.get("/studies?expand")
        modalities = {
            details["MainDicomTags"]["Modality"]: details
            for details in orthanc.get(f"/studies/{study['ID']}/series")
        }
        assert set(modalities) == {"CT", "SR"}
        [instance] = modalities["SR"]["Instances"]
        returned = tmp_path / "returned.dcm"
        returned.write_bytes(orthanc.file(f"/instances/{instance}/file"))
        [sent] = (tmp_path / "node" / "data" / "reports").glob("*/*/report.sr.dcm")
        assert pydicom.dcmread(returned) == pydicom.dcmread(sent)
        result = subprocess.run(["dciodvfy", "-new", str(returned)], capture_output=True, text=True)
        assert not [line for line in result.stderr.splitlines() if line.startswith("Error")]
