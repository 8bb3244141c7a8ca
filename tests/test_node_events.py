"""Logs and audit records: what they say, that it is documented, and that no patient is in them."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from pydicom.uid import ComprehensiveSRStorage, CTImageStorage

from dicom_node.logs import ALLOWED_FIELDS
from dicom_node.records.audit import AuditTrail, Peer

ROOT = Path(__file__).parents[1]


def logged():
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


def documented():
    rows = re.findall(r"^\| `([^`]+)` \| (\w+) \|", (ROOT / "docs/events.md").read_text(), re.M)
    return dict(rows)


def test_every_event_of_the_code_is_documented_and_no_other():
    events = {event for event, _, _ in logged()}
    assert len(events) > 15
    assert events == set(documented())


def test_every_field_of_the_code_is_on_the_allow_list():
    assert set().union(*(fields for _, _, fields in logged())) <= ALLOWED_FIELDS


def test_every_reason_of_a_refusal_is_documented():
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


def test_texts_of_libraries_faults_and_unknown_fields_are_not_written():
    result = subprocess.run(
        [sys.executable, "-c", LEAK], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1
    assert "DOE" not in result.stdout + result.stderr
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert [line["event"] for line in lines].count("unforeseen fault") == 3
    assert [line["dropped_fields"] for line in lines if line["event"] == "working"] == [2]


def records(folder):
    return [
        json.loads(line)
        for path in sorted(folder.glob("audit-*.jsonl"))
        for line in path.read_text().splitlines()
    ]


def test_audit_records_say_who_sent_what_what_was_done_and_where_it_went(tmp_path):
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


def test_audit_files_are_one_a_day_and_old_ones_go_only_when_asked(tmp_path):
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


def test_full_disk_does_not_stop_the_node_for_its_audit_trail(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    AuditTrail(blocked / "audit").started("listener")
