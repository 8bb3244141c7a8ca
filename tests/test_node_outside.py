"""The node seen from outside: health, metrics, status; and that nothing tells of a patient."""

import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import pydicom
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE

from dicom_node.demo import free_port
from dicom_node.monitoring.metrics import METRICS
from dicom_node.monitoring.status import StatusReader
from dicom_node.monitoring.status_text import status_text
from dicom_node.records.counters import Counters, read_counters
from dicom_node.records.heartbeat import beat
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from dicom_node.settings.node import NodeSettings, load_settings
from roi_extraction.phantom import PhantomParameters, make_phantom
from tests.dicom_builders import edit, plain_series
from tests.node_process import Node, Pacs

STEPS = "osteonode_assessment_step_seconds"
STEP_NAMES = ("read", "segment", "measure", "stage", "report")

NAME, PATIENT_ID = "ZWIEBELFISCH", "QX774411"
PLANTED = {
    "PatientName": f"{NAME}^ANNA",
    "PatientID": PATIENT_ID,
    "PatientComments": f"{NAME} {PATIENT_ID}",
    "OtherPatientIDs": PATIENT_ID,
    "AccessionNumber": PATIENT_ID,
    "ReferringPhysicianName": f"{NAME}^DR",
    "StudyDescription": f"{NAME} LUMBAR",
}


def stored_texts(database: Path, without: str) -> list[str]:
    """All that the tables of a database hold, but for one table."""
    with closing(sqlite3.connect(database)) as connection:
        asked = "SELECT name FROM sqlite_master WHERE type = 'table' AND name != ?"
        tables = [name for (name,) in connection.execute(asked, (without,))]
        rows = [connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in tables]
    return [str(row) for table in rows for row in table]


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def metric(text: str, name: str, **labels: str) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def send_hostile(node: Node, folder: Path) -> None:
    """Objects in which the patient's name stands where numbers, UIDs or pixels should."""
    ae = AE(ae_title="SCANNER")
    ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    association = ae.associate("127.0.0.1", node.port, ae_title="OSTEONODE")
    for index, changes in enumerate(
        (
            {"StudyInstanceUID": "2.25.1", "SeriesInstanceUID": f"{NAME}.1"},
            {"StudyInstanceUID": "2.25.2", "SeriesInstanceUID": ""},
            {"StudyInstanceUID": PATIENT_ID},
            {
                "StudyInstanceUID": "2.25.4",
                "SeriesInstanceUID": "2.25.41",
                "PatientAge": NAME,
                "StudyTime": NAME,
                "PatientBirthDate": NAME,
            },
        )
    ):
        dataset = pydicom.dcmread(plain_series(folder / str(index), 1)[0])
        for keyword, value in {**PLANTED, **changes}.items():
            setattr(dataset, keyword, value)
        association.send_c_store(dataset)
    association.release()


def status_command(node: Node) -> "subprocess.CompletedProcess[str] | None":
    """What ``osteonode status`` says, once it finds the node ready: a busy machine is slow."""
    command = [sys.executable, "-m", "dicom_node", "status", "--json", "--config", str(node.config)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=180)
    return result if result.returncode == 0 else None


def plant(paths: list[Path]) -> list[Path]:
    for path in paths:
        edit(path, **PLANTED)
    return paths


@pytest.mark.filterwarnings("ignore")
def test_full_run_is_seen_from_outside_and_tells_nothing_of_the_patient(tmp_path: Path) -> None:
    phantom = make_phantom(PhantomParameters.random(7), 7)
    series = plant(write_ct_series(phantom.volume, tmp_path / "ct", InventedHeader(seed="outside")))
    refused = plant(plain_series(tmp_path / "other", 40, kvp=140.0))
    broken = plant(plain_series(tmp_path / "broken", 40))
    for path in broken:
        edit(
            path,
            StudyInstanceUID="2.25.4710",
            SeriesInstanceUID="2.25.4711",
            PixelData=NAME.encode(),
        )
    port = free_port()
    outputs = []
    with Pacs(lambda count: 0xA700 if count < 2 else 0x0000) as pacs:
        node = Node(tmp_path / "node", pacs.port)
        node.config.write_text(node.config.read_text() + f"[web]\nport = {port}\n")
        with node:
            node.wait_for(lambda: get(port, "/readyz")[0] == 200)
            assert get(port, "/healthz") == (200, "ok\n")
            assert get(port, "/docs")[0] == 404
            send_hostile(node, tmp_path / "hostile")
            node.send(refused)
            node.send(broken)
            node.send(series)
            node.wait_for(lambda: node.events("delivered"))
            node.wait_for(lambda: len(node.events("refused")) >= 3)

            def counted() -> str:
                text = get(port, "/metrics")[1]
                done = metric(text, "osteonode_work_finished_total", state="delivered")
                received = metric(text, "osteonode_instances_received_total")
                return text if done and received >= len(series) + 80 else ""

            text = node.wait_for(counted)
            status = node.wait_for(lambda: status_command(node))
            outputs += [text, status.stdout, status.stderr]
    names = {family.name for family in text_string_to_metric_families(text)}
    assert names <= set(METRICS)
    finished = "osteonode_work_finished_total"
    assert metric(text, finished, queue="assess", state="reported") == 1
    assert metric(text, finished, queue="assess", state="refused", code="series.kvp") == 1
    steps = {step: metric(text, f"{STEPS}_count", step=step) for step in STEP_NAMES}
    assert steps == dict.fromkeys(STEP_NAMES, 1)
    assert metric(text, f"{STEPS}_sum", step="segment") > 0.0
    assert metric(text, "osteonode_instances_refused_total") >= 2
    assert metric(text, "osteonode_disk_free_bytes") > 0
    content = json.loads(status.stdout)
    assert content["ready"]
    assert {"assess", "deliver-pacs"} <= {item["queue"] for item in content["finished"]}

    data = tmp_path / "node" / "data"
    assert any(PATIENT_ID.encode() in path.read_bytes() for path in data.rglob("*.dcm"))
    for path in (tmp_path / "node").rglob("*"):
        outputs.append(path.name)
        if path.is_file() and path.suffix != ".dcm" and ".sqlite" not in path.name:
            outputs.append(path.read_bytes().decode("latin-1"))
    outputs += stored_texts(next(data.glob("*.sqlite")), without="listed_studies")
    whole = "\n".join(outputs).upper()
    assert NAME not in whole
    assert PATIENT_ID not in whole
    modes = {path.name: path.stat().st_mode & 0o077 for path in data.iterdir()}
    assert set(modes.values()) == {0}, modes
    audited = [
        json.loads(line)["EventIdentification"]["EventID"]["csd-code"]
        for path in (data / "audit").iterdir()
        for line in path.read_text().splitlines()
    ]
    assert {"110100", "110103", "110104"} <= set(audited)


def settings(tmp_path: Path, text: str = "") -> NodeSettings:
    path = tmp_path / "node.toml"
    path.write_text(f'data_dir = "{tmp_path / "data"}"\n[listener]\nmin_free_mb = 0\n{text}')
    return load_settings(path)


def test_node_is_ready_only_with_signs_of_life_a_database_and_a_disk(tmp_path: Path) -> None:
    chosen = settings(tmp_path, "processes = 2\n")
    reader = StatusReader(chosen)
    problems = reader.read().problems
    assert any("listener-0" in problem for problem in problems)
    assert any("listener-1" in problem for problem in problems)
    assert any("worker" in problem for problem in problems)
    assert any("database" in problem for problem in problems)
    for name in ("listener-0", "listener-1", "worker"):
        beat(chosen.counters_dir, name)
    assert len(reader.read().problems) == 1
    stale = chosen.counters_dir / "worker.alive"
    os.utime(stale, (time.time() - 120, time.time() - 120))
    assert any("worker" in problem for problem in reader.read().problems)
    assert "NOT READY" in status_text(reader.read())
    reader.close()
    full = StatusReader(
        chosen.model_copy(
            update={"listener": chosen.listener.model_copy(update={"min_free_mb": 10**9})}
        )
    )
    assert any("nearly full" in problem for problem in full.read().problems)
    full.close()


def test_counters_survive_a_restart_and_are_summed_over_processes(tmp_path: Path) -> None:
    first = Counters(tmp_path / "listener-0.json")
    first.add("instances_received", "ct", 3)
    first.flush()
    again = Counters(tmp_path / "listener-0.json")
    again.add("instances_received", "ct")
    again.flush()
    second = Counters(tmp_path / "listener-1.json")
    second.add("instances_received", "ct", 10)
    second.flush()
    assert read_counters(tmp_path.glob("*.json")) == {("instances_received", "ct"): 14}


def test_damaged_counters_begin_again(tmp_path: Path) -> None:
    path = tmp_path / "listener-0.json"
    for damage in ('{"a|', "[]", '{"a|": "x"}', ""):
        path.write_text(damage)
        counters = Counters(path)
        assert counters.get("a") == 0
        assert read_counters([path]) == {}
