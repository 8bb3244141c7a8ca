"""Files of a report: for their user alone, never through links, and without a word of the host."""

import getpass
import os
import platform
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dicom_node.analysis import analysis, models
from dicom_node.cli import app
from dicom_node.files import make_private_folder, write_atomically
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from roi_extraction.phantom import PhantomParameters, make_phantom
from roi_extraction.totalsegmentator.adapter import FOLDERS
from tests.dicom_builders import plain_series
from tests.quick_assessment import QuickStager, quick_assessment

REPORT_FILES = {"report.json", "report.txt", "report.sr.dcm", "rois.png"}


@pytest.fixture
def _lax() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "assess", quick_assessment)
    monkeypatch.setattr(models, "load_models", lambda _bundle: (QuickStager(), None))


def analyze(source: Path, out: Path) -> Result:
    return CliRunner().invoke(app, ["analyze", str(source), "-o", str(out)])


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.usefixtures("_lax", "_quick")
@pytest.mark.parametrize("kvp", [120.0, 140.0], ids=["reported", "refused"])
def test_report_is_for_its_user_alone_under_a_lax_umask(tmp_path: Path, kvp: float) -> None:
    plain_series(tmp_path / "ct", kvp=kvp)
    out = tmp_path / "new" / "out"
    result = analyze(tmp_path / "ct", out)
    assert result.exit_code == (kvp != 120.0)
    found = {path.name: mode(path) for path in out.iterdir()}
    expected = REPORT_FILES if kvp == 120.0 else {"report.json", "report.txt"}
    assert found == dict.fromkeys(expected, 0o600)
    assert (mode(out), mode(out.parent)) == (0o700, 0o700)


@pytest.mark.usefixtures("_lax", "_quick")
def test_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    plain_series(tmp_path / "ct")
    out = tmp_path / "out"
    out.mkdir(mode=0o755)
    assert analyze(tmp_path / "ct", out).exit_code == 0
    assert mode(out) == 0o755
    assert {mode(path) for path in out.iterdir()} == {0o600}


@pytest.mark.usefixtures("_quick")
def test_links_in_place_of_a_reports_files_are_replaced(tmp_path: Path) -> None:
    plain_series(tmp_path / "ct")
    out, target = tmp_path / "out", tmp_path / "precious"
    out.mkdir()
    target.write_text("kept")
    for name in REPORT_FILES:
        (out / name).symlink_to(target)
    assert analyze(tmp_path / "ct", out).exit_code == 0
    assert target.read_text() == "kept"
    assert {path.name for path in out.iterdir() if not path.is_symlink()} == REPORT_FILES


@pytest.mark.parametrize("command", ["analyze", "demo"])
@pytest.mark.parametrize("there", [True, False], ids=["to a folder", "to nothing"])
def test_link_in_place_of_the_out_folder_is_refused(
    tmp_path: Path, command: str, there: bool
) -> None:
    target, out = tmp_path / "elsewhere", tmp_path / "out"
    if there:
        target.mkdir()
    out.symlink_to(target)
    words = [command, str(tmp_path)] if command == "analyze" else [command]
    result = CliRunner().invoke(app, [*words, "-o", str(out)])
    assert result.exit_code != 0
    assert "is a symbolic link" in f"{result.output}{result.exception}"
    assert list(target.iterdir() if there else []) == []


def test_link_in_place_of_an_unfinished_file_is_not_followed(tmp_path: Path) -> None:
    target, unfinished = tmp_path / "precious", tmp_path / "unfinished"
    target.write_text("kept")
    unfinished.symlink_to(target)
    write_atomically(tmp_path / "whole", b"new", durable=False, temporary=unfinished)
    assert target.read_text() == "kept"
    assert (tmp_path / "whole").read_bytes() == b"new"
    assert not (tmp_path / "whole").is_symlink()


def test_private_folder_is_not_made_where_a_file_lies(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        make_private_folder(tmp_path / "file")


def test_message_of_a_foreign_segmenter_is_reported_without_folders() -> None:
    said = "FileNotFoundError: '/opt/weights/291/fold_0.pth' (see /var/log/x), 3/4 done"
    assert FOLDERS.sub("", said) == "FileNotFoundError: 'fold_0.pth' (see x), 3/4 done"


@pytest.mark.filterwarnings("ignore")
def test_outputs_hold_nothing_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = {name: f"planted-{name.lower()}-7Q4" for name in ("USER", "LOGNAME", "HOME", "TOKEN")}
    planted["HOME"] = str(tmp_path / planted["HOME"])  # libraries keep their caches below it
    for name, value in planted.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(socket, "gethostname", lambda: "planted-host-7Q4")
    monkeypatch.setattr(platform, "node", lambda: "planted-host-7Q4")
    monkeypatch.setattr(getpass, "getuser", lambda: "planted-user-7Q4")
    known = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((known[0], "planted-7Q4", *known[2:])))
    phantom = make_phantom(PhantomParameters.random(7), 7)
    write_ct_series(phantom.volume, tmp_path / "ct", InventedHeader(seed="host"))
    plain_series(tmp_path / "other", kvp=140.0)
    assert analyze(tmp_path / "ct", tmp_path / "reported").exit_code == 0
    assert analyze(tmp_path / "other", tmp_path / "refused").exit_code == 1
    label_map = tmp_path / "labels.nii"
    label_map.write_bytes(b"no image")
    words = ["analyze", str(tmp_path / "ct"), "-o", str(tmp_path / "unreadable")]
    result = CliRunner().invoke(app, [*words, "--segmentation", str(label_map)])
    assert result.exit_code == 1
    places = [str(tmp_path), sys.prefix, str(Path(__file__).parents[1]), "site-packages"]
    words = [*planted.values(), "7Q4", *places]
    for folder in ("reported", "refused", "unreadable"):
        for path in (tmp_path / folder).iterdir():
            content = path.read_bytes().lower()
            assert [word for word in words if word.lower().encode() in content] == [], path.name
