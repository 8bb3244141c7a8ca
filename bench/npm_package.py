"""Obtain a package of npm's registry by npm, checked."""

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

__all__ = ["PackageUnavailable", "fetch_package"]


class PackageUnavailable(Exception):
    """A package cannot be had; the message says what is missing."""


def fetch_package(name: str, version: str, integrity: str, folder: Path, part: str = "") -> Path:
    """Download a package once and unpack it.

    Parameters
    ----------
    name, version
        As the registry has them.
    integrity
        SHA-512 of the package as the registry lists it and npm's lock files hold it.
    folder
        Where it is kept, such as ``build/ohif``; made where it is missing.
    part
        The folder of the package that is kept; empty for all of it.

    Returns
    -------
    Path
        The folder with what is kept.

    Raises
    ------
    PackageUnavailable
        npm is missing or failed, or the package is not the one that was tested.
    """
    kept = folder / version
    if kept.is_dir():
        return kept
    npm = shutil.which("npm")
    if npm is None:
        raise PackageUnavailable(f"npm is not installed; it obtains {name} (Debian: npm)")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch_name:
        scratch = Path(scratch_name)
        result = subprocess.run(
            [npm, "pack", "--silent", f"{name}@{version}"],
            cwd=scratch,
            capture_output=True,
            text=True,
        )
        packages = list(scratch.glob("*.tgz"))
        if result.returncode != 0 or len(packages) != 1:
            *_, said = result.stderr.strip().splitlines() or ["it gave no package"]
            raise PackageUnavailable(f"npm could not fetch {name} {version}: {said}")
        digest = hashlib.sha512(packages[0].read_bytes()).digest()
        if f"sha512-{base64.b64encode(digest).decode()}" != integrity:
            raise PackageUnavailable(
                f"the package that npm fetched is not {name} {version} (SHA-512 differs)"
            )
        with tarfile.open(packages[0]) as archive:
            archive.extractall(scratch, filter="data")
        try:
            (scratch / "package" / part).replace(kept)
        except OSError:
            if not kept.is_dir():  # else another process was sooner
                raise
    return kept
