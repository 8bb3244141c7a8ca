"""The published cohort's table, obtained from the package index without running foreign code."""

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from modeling.errors import (
    ArchiveInvalid,
    CohortExists,
    CohortMismatch,
    DownloadFailed,
    PipMissing,
)
from modeling.files import write_whole

__all__ = [
    "ARCHIVE_SHA256",
    "COHORT_FILE_SHA256",
    "TABLE_MEMBER",
    "download_archive",
    "extract_table",
    "fetch_cohort",
    "place_table",
]

PACKAGE, VERSION = "bminet", "0.1.4"
"""The distribution whose source archive holds the table (Wang 2025)."""

ARCHIVE_SHA256 = "b8856a9ae0b46ee78c9b8cc436c699eff2e70e3a3abae3fd178c55c1c0d92c5f"
"""SHA-256 of ``bminet-0.1.4.tar.gz`` on PyPI; pip checks it before it unpacks the archive."""

TABLE_MEMBER = "bminet-0.1.4/BMINet/Model/data_for_ml_ct.txt"
"""The table's place in the archive."""

COHORT_FILE_SHA256 = "3786c80d010c8aaea758c50bd5ddbdc7e74ab8bfd118c81acc436998467f9c13"
"""SHA-256 of the table with Unix line ends; the archive has it with Windows ones."""

MAX_ARCHIVE_BYTES = 10_000_000
"""The archive unpacks to 250,000 bytes; one that grows much larger is another."""

MAX_TABLE_BYTES = 1_000_000
"""The table has 90,899 bytes."""

DOWNLOAD_SECONDS = 180.0
"""Limit of pip's run, in seconds."""

METADATA_HOOK = """\
'''Answers pip's question for a name and version; runs nothing of the package.'''
from pathlib import Path


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = Path(metadata_directory) / "{package}-{version}.dist-info"
    folder.mkdir()
    text = "Metadata-Version: 2.1\\nName: {package}\\nVersion: {version}\\n"
    (folder / "METADATA").write_text(text)
    return folder.name


class __legacy__:
    prepare_metadata_for_build_wheel = staticmethod(prepare_metadata_for_build_wheel)
"""
"""Stands in for ``setuptools.build_meta``, which would run the archive's ``setup.py`` (PEP 517)."""


def fetch_cohort(
    out: Path,
    *,
    force: bool = False,
    archive: Path | None = None,
    seconds: float = DOWNLOAD_SECONDS,
) -> bool:
    """Obtain the published table and write it to a file, with Unix line ends.

    Parameters
    ----------
    out
        The file to write; written whole or not at all.
    force
        Replace another file of that name.
    archive
        A ``bminet-0.1.4.tar.gz`` that is already here; None asks the package index by pip.
    seconds
        Limit of the download, in seconds.

    Returns
    -------
    bool
        Whether it was written; False if it was already there.

    Raises
    ------
    CohortFetchError
        See its subclasses.
    """
    if out.is_file() and _sha256(out.read_bytes()) == COHORT_FILE_SHA256:
        return False
    if out.exists() and not (force and out.is_file()):
        what = "is another file: --force replaces it" if out.is_file() else "is not a file"
        raise CohortExists(f"{out} {what}")
    if archive is not None:
        return place_table(extract_table(archive), out, force=force)
    with tempfile.TemporaryDirectory(prefix="osteonode-") as folder:
        found = download_archive(Path(folder), seconds=seconds)
        return place_table(extract_table(found), out, force=force)


def download_archive(
    folder: Path,
    *,
    sha256: str = ARCHIVE_SHA256,
    seconds: float = DOWNLOAD_SECONDS,
    environment: Mapping[str, str] | None = None,
) -> Path:
    """Let pip download the source archive from the index that it is set up for.

    pip refuses an archive of another SHA-256 before it unpacks it. It then asks the archive's
    build backend for its name; a stand-in answers, so that nothing of the package is run.

    Parameters
    ----------
    folder
        An empty folder to work in.
    sha256
        SHA-256 that the archive must have, as hexadecimal digits.
    seconds
        Limit of pip's run, in seconds.
    environment
        Further variables for pip.

    Raises
    ------
    PipMissing
        This Python has no pip.
    DownloadFailed
        pip failed in another way; the message ends with its last error.
    """
    hook = _metadata_hook(folder)
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{sha256}\n")
    download = folder / "download"
    options = "--no-input --disable-pip-version-check --no-deps --no-build-isolation --use-pep517"
    command = [sys.executable, "-m", "pip", "download", *options.split(), "--require-hashes"]
    command += ["--no-binary", PACKAGE, "-r", str(requirements), "-d", str(download)]
    paths = [str(hook), os.environ.get("PYTHONPATH", "")]
    variables = {
        **os.environ,
        **(environment or {}),
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
    }
    try:
        done = subprocess.run(
            command,
            env=variables,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DownloadFailed(f"pip did not finish within {seconds:g} s: try again") from error
    if done.returncode != 0:
        if "No module named pip" in done.stderr:
            raise PipMissing(
                "this Python has no pip: run 'python -m ensurepip', or download "
                f"{PACKAGE}-{VERSION}.tar.gz from PyPI yourself and give it by --archive"
            )
        raise DownloadFailed(f"pip could not download {PACKAGE} {VERSION}: {_reason(done.stderr)}")
    found = download / f"{PACKAGE}-{VERSION}.tar.gz"
    if not found.is_file():
        raise DownloadFailed(f"pip left no {found.name}")
    return found


def extract_table(archive: Path) -> bytes:
    """Take the one table out of the archive; nothing else is unpacked and nothing is written.

    Raises
    ------
    ArchiveInvalid
        Not a gzipped tar, too large, without the table, the table twice, or as anything but a
        plain file.
    """
    try:
        with gzip.open(archive) as packed:
            unpacked = packed.read(MAX_ARCHIVE_BYTES + 1)
        if len(unpacked) > MAX_ARCHIVE_BYTES:
            raise ArchiveInvalid(f"{archive.name} unpacks to more than {MAX_ARCHIVE_BYTES} bytes")
        with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as opened:
            found = [_content(opened, m) for m in opened if m.name == TABLE_MEMBER]
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise ArchiveInvalid(f"{archive.name} cannot be read as a .tar.gz ({error})") from error
    if len(found) != 1:
        times = "no" if not found else f"{len(found)} times"
        raise ArchiveInvalid(f"{archive.name} holds {times} {TABLE_MEMBER}")
    return found[0]


def place_table(
    table: bytes, out: Path, *, force: bool = False, sha256: str = COHORT_FILE_SHA256
) -> bool:
    """Give the table Unix line ends, check its SHA-256 and write it, whole or not at all.

    Parameters
    ----------
    table
        The table's bytes, as `extract_table` gives them.
    out
        The file to write; its folder is made if absent.
    force
        Whether another file of that name is replaced.
    sha256
        What the table must have, as hexadecimal digits.

    Returns
    -------
    bool
        Always True: the table was written.

    Raises
    ------
    CohortMismatch
        The archive's table is not the expected one.
    CohortExists
        A file of that name has appeared meanwhile, and ``force`` is not set.
    """
    table = table.replace(b"\r\n", b"\n")
    if _sha256(table) != sha256:
        raise CohortMismatch(
            f"the archive's table has SHA-256 {_sha256(table)} instead of {sha256}: nothing written"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_whole(out, table, replace=force)
    except FileExistsError as error:
        raise CohortExists(f"{out} is another file: --force replaces it") from error
    return True


def _metadata_hook(folder: Path) -> Path:
    """Lay out the packages that stand in for the archive's build backend."""
    hook = folder / "hook"
    for name in ("setuptools", "wheel"):
        (hook / name).mkdir(parents=True)
        (hook / name / "__init__.py").touch()
    text = METADATA_HOOK.format(package=PACKAGE, version=VERSION)
    (hook / "setuptools" / "build_meta.py").write_text(text)
    return hook


def _content(opened: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    safe = tarfile.data_filter(member, "/nowhere")
    if not safe.isfile() or safe.issparse():
        raise ArchiveInvalid(f"{member.name} is not a plain file in the archive")
    if member.size > MAX_TABLE_BYTES:
        raise ArchiveInvalid(f"{member.name} is larger than {MAX_TABLE_BYTES} bytes")
    stream = opened.extractfile(member)
    if stream is None:
        raise ArchiveInvalid(f"{member.name} is not a plain file in the archive")
    return stream.read(MAX_TABLE_BYTES)


def _reason(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    if "THESE PACKAGES DO NOT MATCH THE HASHES" in stderr:
        return "the index gave an archive of another SHA-256, which was not unpacked"
    last = (errors or lines or ["no reason given"])[-1]
    if "No matching distribution" in last:
        return f"the package index does not answer or does not have it ({last})"
    return last


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
