"""Logs and audit records: what they say, that it is documented, and that no patient is in them."""

import ast
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pydicom
import pytest
from pydicom.uid import ComprehensiveSRStorage, CTImageStorage
from pynetdicom import AE
from pynetdicom.association import Association
from structlog.testing import capture_logs

from dicom_node.demo import free_port
from dicom_node.logs import ALLOWED_FIELDS, MAX_FRAMES, fault_fields
from dicom_node.receiving.listener import start_listener
from dicom_node.records.audit import AuditTrail, Peer
from dicom_node.records.security_alerts import MOST_EACH_MINUTE, SecurityAlerts
from dicom_node.settings.edge import Listener
from dicom_node.spool.spool import Spool
from dicom_node.work.sharing.interruption import Interrupted
from dicom_node.work.workflows import Worker
from tests.dicom_builders import plain_series

ROOT = Path(__file__).parents[1]


def logged() -> Iterator[tuple[str, str, set[str]]]:
    """Each ``log().level("event", field=...)`` of the code: event, level, fields."""
    for path in sorted((ROOT / "dicom_node").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Call)
                and isinstance(node.func.value.func, ast.Name)
                and node.func.value.func.id == "log"
            ):
                [event] = node.args
                texts = [
                    part.value
                    for part in ast.walk(event)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                ]
                fields = {keyword.arg for keyword in node.keywords if keyword.arg}
                for text in texts:
                    yield text, node.func.attr, fields


def documented() -> dict[str, str]:
    rows = re.findall(r"^\| `([^`]+)` \| (\w+) \|", (ROOT / "docs/events.md").read_text(), re.M)
    return dict(rows)


def test_every_event_of_the_code_is_documented_and_no_other() -> None:
    events = {event for event, _, _ in logged()}
    assert len(events) > 15
    assert events == set(documented())


def test_every_field_of_the_code_is_on_the_allow_list() -> None:
    assert set().union(*(fields for _, _, fields in logged())) <= ALLOWED_FIELDS


def test_every_reason_of_a_refusal_is_documented() -> None:
    text = (ROOT / "docs/events.md").read_text()
    code = "".join(
        (ROOT / "dicom_node" / "receiving" / name).read_text()
        for name in ("limits.py", "upper_layer.py", "listener_server.py")
    )
    reasons = set(re.findall(r'(?:fail|refuse)\("(\w+)"', code))
    reasons |= set(re.findall(r'return "(tls_\w+)"', code))
    assert len(reasons) > 10
    assert {reason for reason in reasons if f"`{reason}`" not in text} == set()


LEAK = """
import sys, threading, warnings, logging, gc
from dicom_node.logs import configure_logs, log
configure_logs("test")
warnings.warn("value DOE^JANE is wrong")
logging.getLogger("pydicom").error("DOE^JANE")
logging.getLogger("pynetdicom").critical("DOE^JANE")
logging.getLogger("somebody").critical("DOE^JANE")
log().info("working", patient="DOE^JANE", name="DOE^JANE")
def fail(): raise ValueError("DOE^JANE")
thread = threading.Thread(target=fail); thread.start(); thread.join()
class Bad:
    def __del__(self): raise ValueError("DOE^JANE")
Bad(); gc.collect()
fail()
"""


def test_texts_of_libraries_faults_and_unknown_fields_are_not_written() -> None:
    result = subprocess.run(
        [sys.executable, "-c", LEAK], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1
    assert "DOE" not in result.stdout + result.stderr
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    faults = [line for line in lines if line["event"] == "unforeseen fault"]
    assert [line["frames"][0] for line in faults] == [
        "<string>:10 fail",
        "<string>:13 Bad.__del__",
        "<string>:10 fail",
    ]
    assert [line["dropped_fields"] for line in lines if line["event"] == "working"] == [2]


def fail_deep(depth: int) -> None:
    if depth:
        fail_deep(depth - 1)
    pydicom.dcmread(Path("/home/DOE^JANE/missing.dcm"))


def caught(function: Callable[[], object]) -> dict[str, Any]:
    try:
        function()
    except Exception as error:
        return fault_fields(error)
    raise AssertionError("nothing was raised")


def test_fault_is_told_by_its_innermost_frames_and_not_by_its_text() -> None:
    fields = caught(lambda: fail_deep(100))
    assert fields["error"] == "FileNotFoundError"
    assert len(fields["frames"]) == MAX_FRAMES
    innermost, ours = fields["frames"][:2]
    assert re.fullmatch(r"pydicom/filereader\.py:\d+ dcmread", innermost)
    assert re.fullmatch(r"tests/test_node_events\.py:\d+ fail_deep", ours)
    assert "DOE" not in json.dumps(fields)


def test_faults_that_led_to_a_fault_are_told_too() -> None:
    def translated() -> None:
        try:
            fail_deep(100)
        except OSError as error:
            raise RuntimeError("DOE^JANE") from error

    fields = caught(translated)
    assert fields["error"] == "RuntimeError"
    after = fields["frames"].index("after FileNotFoundError")
    assert fields["frames"][after + 1].startswith("pydicom/filereader.py:")
    assert len(fields["frames"]) <= MAX_FRAMES + 1
    assert "DOE" not in json.dumps(fields)


def test_fault_that_hides_what_led_to_it_is_told_alone() -> None:
    def hiding() -> None:
        try:
            fail_deep(0)
        except OSError:
            raise RuntimeError from None

    assert [frame.partition(":")[0] for frame in caught(hiding)["frames"]] == [
        "tests/test_node_events.py",
        "tests/test_node_events.py",
    ]


PLANTED = """
import sys
from {module} import {owner}
from dicom_node.cli import main
def plant(*_arguments, **_settings):
    raise ValueError("DOE^JANE")
{owner}.{method} = plant
main()
"""
"""Runs ``osteonode`` with a method that fails and names a patient."""


@contextmanager
def planted(
    tmp_path: Path, command: str, method: str, settings: str = ""
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], list[dict[str, Any]]]]]:
    """Run a process of the node with a planted fault; yields it and a reader of its faults."""
    config = tmp_path / "node.toml"
    config.write_text(f'data_dir = "{tmp_path / "data"}"\npoll_seconds = 0.1\n{settings}')
    module, owner, name = method.rsplit(".", 2)
    code = PLANTED.format(module=module, owner=owner, method=name)
    log_path = tmp_path / "log"
    with log_path.open("wb") as log_file:
        process = subprocess.Popen(
            [sys.executable, "-c", code, command, "--config", str(config)], stderr=log_file
        )

    def faults() -> list[dict[str, Any]]:
        lines = [line for line in log_path.read_text().splitlines() if line.startswith("{")]
        return [line for line in map(json.loads, lines) if line["event"] == "unforeseen fault"]

    try:
        yield process, faults
    finally:
        process.terminate()
        process.wait(60)
    assert "DOE" not in log_path.read_text()


def wait_for(condition: Callable[[], Any], seconds: float = 120.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return result


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # pynetdicom's sockets, nobody listens yet
def test_planted_fault_in_the_listener_is_found_by_its_place(tmp_path: Path) -> None:
    port = free_port()
    instance = pydicom.dcmread(plain_series(tmp_path / "ct", 1)[0])
    ae = AE(ae_title="SCANNER")
    ae.add_requested_context(instance.SOPClassUID, instance.file_meta.TransferSyntaxUID)
    with planted(
        tmp_path,
        "listen",
        "dicom_node.receiving.receiver.Receiver._check",
        f"[listener]\nport = {port}\nmin_free_mb = 0\n",
    ) as (_, faults):

        def associate() -> Association | None:
            association = ae.associate("127.0.0.1", port, ae_title="OSTEONODE")
            return association if association.is_established else None

        association = wait_for(associate)
        assert association.send_c_store(instance).Status == 0x0110
        association.release()
        [fault] = wait_for(faults)
    assert fault["error"] == "ValueError"
    assert fault["frames"][0] == "<string>:6 plant"
    assert re.fullmatch(
        r"dicom_node/receiving/receiver\.py:\d+ Receiver\._store", fault["frames"][1]
    )


def test_planted_fault_in_the_worker_is_found_by_its_place_and_ends_it(tmp_path: Path) -> None:
    with planted(tmp_path, "work", "dicom_node.work.arrivals.Arrivals.look") as (process, faults):
        assert process.wait(180) == 3
        [fault] = faults()
    assert fault["error"] == "ValueError"
    assert fault["frames"][0] == "<string>:6 plant"
    assert re.fullmatch(r"dicom_node/work/worker\.py:\d+ watch", fault["frames"][1])
    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert re.fullmatch(
        r"osteonode: unforeseen fault: ValueError at dicom_node/work/worker\.py:\d+ watch, .*; "
        "all frames are in the log",
        last,
    )


def test_planted_fault_in_a_workflow_is_found_by_its_place() -> None:
    worker = SimpleNamespace(running=set(), broken=threading.Event())
    with capture_logs() as lines, pytest.raises(Interrupted):  # noqa: SIM117
        with Worker._runs(cast(Worker, worker)):
            fail_deep(0)
    [line] = lines
    assert (line["event"], line["error"]) == ("interrupted", "FileNotFoundError")
    assert line["frames"][1].startswith("tests/test_node_events.py:")
    assert "DOE" not in json.dumps(line)
    assert worker.broken.is_set()


def test_planted_fault_in_the_web_process_is_found_by_its_place(tmp_path: Path) -> None:
    port = free_port()
    reader = "dicom_node.monitoring.status.StatusReader.read"
    with planted(tmp_path, "web", reader, f"[web]\nport = {port}\n") as (_, faults):
        texts: list[str] = []

        def status() -> int:
            try:
                with urllib.request.urlopen(
                    f"http://127.0.0.1:{port}/readyz", timeout=10
                ) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as answer:
                texts.append(answer.read().decode())
                return answer.code
            except OSError:
                return 0

        assert wait_for(status) == 500
        assert texts == ["an unforeseen fault, see the log\n"]
        [fault] = wait_for(faults)
    assert re.match(
        r"dicom_node/monitoring/shared_status\.py:\d+ SharedStatus\.now", fault["frames"][1]
    )


def records(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted(folder.glob("audit-*.jsonl"))
        for line in path.read_text().splitlines()
    ]


def test_audit_records_say_who_sent_what_what_was_done_and_where_it_went(tmp_path: Path) -> None:
    audit = AuditTrail(tmp_path / "audit", "NODE")
    ct, pacs = Peer("CT1", "10.0.0.7", ("ct1.hospital",)), Peer("PACS", "10.0.0.2:104")
    audit.started("listener")
    audit.refused(Peer("EVIL", "10.9.9.9"), "calling_ae_title")
    audit.received(ct, "1.2.3", {CTImageStorage: 40})
    audit.assessed("1.2.3", "abc", "refused", "series.kvp", 40)
    audit.delivered(pacs, "1.2.3", "abc", None)
    audit.delivered(pacs, "1.2.3", "abc", "refused with status 0xA700")
    found = records(tmp_path / "audit")
    events = [r["EventIdentification"]["EventID"]["csd-code"] for r in found]
    assert events == ["110100", "110113", "110104", "110103", "110104", "110104"]
    outcomes = [r["EventIdentification"]["EventOutcomeIndicator"] for r in found]
    assert outcomes == [0, 8, 0, 4, 0, 4]
    source, node = found[2]["ActiveParticipant"]
    assert (source["UserID"], source["NetworkAccessPointID"]) == ("CT1", "10.0.0.7")
    assert source["AlternativeUserID"] == "ct1.hospital"
    assert source["UserIsRequestor"] is True
    assert node["UserID"] == "NODE"
    [study] = found[2]["ParticipantObjectIdentification"]
    assert study["ParticipantObjectID"] == "1.2.3"
    assert study["SOPClass"] == [{"UID": CTImageStorage, "NumberOfInstances": 40}]
    [sent] = found[4]["ParticipantObjectIdentification"]
    assert sent["SOPClass"][0]["UID"] == ComprehensiveSRStorage
    assert found[4]["ActiveParticipant"][1]["NetworkAccessPointID"] == "10.0.0.2:104"
    [path] = (tmp_path / "audit").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600


def test_audit_files_are_one_a_day_and_old_ones_go_only_when_asked(tmp_path: Path) -> None:
    old = tmp_path / "audit-2020-01-01.jsonl"
    old.write_text("{}\n")
    os.utime(old, (0, 0))
    AuditTrail(tmp_path).started("listener")
    assert old.exists()
    assert len(list(tmp_path.iterdir())) == 2
    for path in tmp_path.iterdir():
        if path != old:
            path.unlink()
    AuditTrail(tmp_path, keep_days=30).started("listener")
    assert not old.exists()


def test_full_disk_does_not_stop_the_node_for_its_audit_trail(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    AuditTrail(blocked / "audit").started("listener")


def alerts_of(folder: Path) -> list[tuple[str, str]]:
    """Reason and address of each Security Alert."""
    return [
        (
            record["EventIdentification"]["EventOutcomeDescription"],
            record["ActiveParticipant"][0]["NetworkAccessPointID"],
        )
        for record in records(folder)
        if record["EventIdentification"]["EventID"]["csd-code"] == "110113"
    ]


def test_flood_of_refusals_is_a_few_records_and_their_number(tmp_path: Path) -> None:
    now = [0.0]
    alerts = SecurityAlerts(AuditTrail(tmp_path), lambda: now[0])
    for number in range(5000):
        alerts.refused(Peer("EVIL", "10.9.9.9"), "calling_ae_title")
        if number < 3:
            alerts.refused(Peer("EVIL", "10.9.9.9"), "called_ae_title")
            alerts.refused(Peer("CT1", "10.0.0.7"), "calling_ae_title")
    assert len(alerts_of(tmp_path)) == MOST_EACH_MINUTE + 6
    now[0] = 61.0
    alerts.flush()
    assert alerts_of(tmp_path)[-1] == ("calling_ae_title, 4990 times", "10.9.9.9")
    alerts.refused(Peer("EVIL", "10.9.9.9"), "calling_ae_title")
    assert alerts_of(tmp_path)[-1] == ("calling_ae_title", "10.9.9.9")
    for number in range(3000):
        alerts.refused(Peer("", f"2001:db8::{number:x}"), "address")
    alerts.flush(everything=True)
    found = alerts_of(tmp_path)
    assert len(found) < 1100
    assert sum(reason.startswith("address, ") for reason, _ in found) == 1


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # pynetdicom's sockets
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"max_associations": 1}, "too_many_associations"),
        ({"min_free_mb": 10**9}, "disk_nearly_full"),
        ({"allowed_ae_titles": ("CT1",)}, "calling_ae_title"),
        ({"allowed_networks": ("10.0.0.0/8",)}, "address"),
        ({"ae_title": "ANOTHER"}, "called_ae_title"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_refused_association_or_connection_is_a_security_alert(
    tmp_path: Path, settings: dict[str, Any], reason: str
) -> None:
    chosen = Listener.model_validate({"port": 0, "min_free_mb": 0, **settings})
    server = start_listener(chosen, Spool(tmp_path), audit=AuditTrail(tmp_path / "audit"))
    ae = AE(ae_title="EVIL")
    ae.add_requested_context(CTImageStorage)
    first, second = (ae.associate("127.0.0.1", server.port, ae_title="OSTEONODE") for _ in "ab")
    assert not second.is_established
    first.abort()
    server.shutdown()
    found = alerts_of(tmp_path / "audit")
    assert set(found) == {(reason, "127.0.0.1")}
