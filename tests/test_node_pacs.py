"""The worker against real archives: counts, identity, commitment, failed work and its retry.

The assessments are quick ones (`tests.quick_worker`).
"""

import random
import subprocess
import time
from pathlib import Path

import pydicom
import pytest

from dicom_node.demo import free_port
from tests.fault_node import FaultNode, quick_study, send_until_taken
from tests.test_node_peers import Orthanc, dcmtk_storescu

pytestmark = pytest.mark.peers


class Dcmqrscp:
    """dcmtk's archive with an empty database."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.database = folder / "database"
        self.database.mkdir(parents=True)
        self._config = folder / "dcmqrscp.cfg"
        self._config.write_text(
            f"""NetworkTCPPort = {self.port}
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
QRPACS {self.database} RW (200, 1024mb) ANY
AETable END
"""
        )

    def __enter__(self) -> "Dcmqrscp":
        self._process = subprocess.Popen(
            ["/usr/bin/dcmqrscp", "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        echo = ["/usr/bin/echoscu", "-aec", "QRPACS", "127.0.0.1", str(self.port)]
        while time.monotonic() < deadline:
            if subprocess.run(echo, capture_output=True).returncode == 0:
                return self
            time.sleep(0.1)
        raise AssertionError("dcmqrscp did not start")

    def __exit__(self, *_details: object) -> None:
        self._process.terminate()
        self._process.wait(30)

    def reports(self) -> list[str]:
        files = [path for path in self.database.iterdir() if path.name.startswith("SR")]
        return [str(pydicom.dcmread(path).SOPInstanceUID) for path in files]


def query(port: int, ae_title: str) -> str:
    return f'[query]\nae_title = "{ae_title}"\nhost = "127.0.0.1"\nport = {port}\n'


def test_series_is_read_only_when_it_has_as_many_instances_as_dcmqrscp_counts(
    tmp_path: Path,
) -> None:
    paths, uid = quick_study(tmp_path / "ct", "counted")
    with Dcmqrscp(tmp_path / "pacs") as pacs:
        dcmtk_storescu(pacs.port, "QRPACS", tmp_path / "ct")
        with FaultNode(
            tmp_path / "node", [pacs.port], query(pacs.port, "QRPACS"), ae_title="QRPACS"
        ) as node:
            send_until_taken(node.port, paths[:-1], random.Random(1))
            [waiting] = node.wait_for(lambda: node.events("waiting"))
            assert "35 of 36 instances" in waiting["reason"]
            assert not node.events("assessing")
            send_until_taken(node.port, [paths[0], paths[1], *paths[-6:]], random.Random(1))
            node.wait_for(lambda: node.events("delivered"))
            assert pacs.reports() == [uid]
            assert len(node.events("assessing")) == 1


def test_orthanc_commits_the_report_on_an_association_of_its_own(tmp_path: Path) -> None:
    paths, _ = quick_study(tmp_path / "ct", "committed")
    node = FaultNode(
        tmp_path / "node",
        [0],
        ae_title="ORTHANC",
        destination='objects = ["sr"]\ncommitment = true',
    )
    with Orthanc(tmp_path / "orthanc", node.port) as orthanc:
        node.config.write_text(
            node.config.read_text().replace("port = 0", f"port = {orthanc.dicom_port}")
        )
        with node:
            send_until_taken(node.port, paths, random.Random(1))
            node.wait_for(lambda: node.events("committed"))
            assert len(node.events("delivered")) == 1
            # what was asked is forgotten once the outcome is on record, which is after the event
            node.wait_for(lambda: not list((node.data / "commitments").iterdir()))


def test_report_of_another_patient_than_in_the_pacs_is_held_until_it_is_retried(
    tmp_path: Path,
) -> None:
    paths, uid = quick_study(tmp_path / "ct", "held")
    other = tmp_path / "other"
    other.mkdir()
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.PatientID = "SOMEONE"
        dataset.save_as(other / path.name)
    with Orthanc(tmp_path / "orthanc") as orthanc:
        dcmtk_storescu(orthanc.dicom_port, "ORTHANC", other)
        with FaultNode(
            tmp_path / "node",
            [orthanc.dicom_port],
            query(orthanc.dicom_port, "ORTHANC"),
            ae_title="ORTHANC",
        ) as node:
            send_until_taken(node.port, paths, random.Random(1))
            [event] = node.wait_for(lambda: node.events("delivery failed"))
            assert event["code"] == "report.pacs_identity"
            assert "PatientID" in event["reason"]
            assert "SOMEONE" not in node.log_path.read_text()
            listed = node.command("failed")
            assert listed.returncode == 1
            assert "report.pacs_identity" in listed.stdout
            [wrong] = orthanc.get("/studies")
            orthanc.delete(f"/studies/{wrong}")
            dcmtk_storescu(orthanc.dicom_port, "ORTHANC", tmp_path / "ct")
            assert node.command("retry", "--all").returncode == 0
            node.wait_for(lambda: node.events("delivered"))
            assert node.command("failed").returncode == 0
            [study] = orthanc.get("/studies")
            found = [
                orthanc.get(f"/instances/{item['ID']}/tags?simplify")["SOPInstanceUID"]
                for item in orthanc.get(f"/studies/{study}/instances")
            ]
            assert uid in found
