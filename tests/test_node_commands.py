"""What the command says of itself, and how it ends when something is wrong."""

import json
import re
import resource
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import pytest

from dicom_node.cli import main
from modeling import load_bundle


def test_a_table_that_is_no_cohort_ends_with_usage_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.tsv"
    table.write_text("name\tvalue\n1\t2\n")
    monkeypatch.setattr("sys.argv", ["osteonode", "train", str(table), "-o", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "unknown 'name', 'value'" in lines[0]
    assert not (tmp_path / "out").exists()


def test_an_unforeseen_fault_ends_with_one_line_and_a_file_that_name_no_patient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_arguments: object) -> None:
        raise ValueError("DOE^JANE")

    series = tmp_path / "DOE^JANE"
    series.mkdir()
    out = tmp_path / "out"
    monkeypatch.setattr("dicom_node.analysis.models.load_models", fail)
    monkeypatch.setattr("structlog.is_configured", lambda: False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["osteonode", "analyze", str(series), "-o", str(out)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    [line] = capsys.readouterr().err.splitlines()
    assert re.match(
        r"osteonode: unforeseen fault: ValueError at "
        r"dicom_node/commands/assessing\.py:\d+ analyze, dicom_node/cli\.py:\d+ main; ",
        line,
    )
    [path] = tmp_path.glob("osteonode-fault-*.json")
    assert str(path) in line
    assert "DOE" not in line.replace(str(tmp_path), "") + path.read_text()
    content = json.loads(path.read_text())
    assert content["osteonode"] == version("osteonode")
    assert content["error"] == "ValueError"
    assert re.fullmatch(r"tests/test_node_commands\.py:\d+ .*fail", content["frames"][0])


def test_version_is_told_at_once_with_python_and_the_built_in_model() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(
        [sys.executable, "-m", "dicom_node", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.stdout.splitlines() == [
        f"osteonode {version('osteonode')}",
        f"Python {sys.version.split()[0]}",
        f"model {load_bundle(None).model_id}",
    ]
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0
