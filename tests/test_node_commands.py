"""How the command ends when something is wrong with what it is given."""

from pathlib import Path

import pytest

from dicom_node.cli import main


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
