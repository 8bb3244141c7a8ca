"""Where the machine code of the kernels is kept, who compiles it, and who cannot plant any."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import roi_extraction.kernels as kernels
from roi_extraction.kernels.compiling import Kernel
from roi_extraction.kernels.surroundings import _distance

USE = (
    "import numpy as np, roi_extraction.kernels as k; print(k.__file__);"
    "print(k.distance_inside(np.array([[False, True, True]])).tolist())"
)

PREPARE = """
from roi_extraction.kernels import best_paths, preparation

preparation.MODULES = (best_paths,)  # two kernels are compiled in a second
%s
preparation.compile_kernels()
for kernel in preparation._all_kernels():
    stats = kernel.compiled.stats
    loaded, compiled = sum(stats.cache_hits.values()), sum(stats.cache_misses.values())
    print(loaded, "loaded,", compiled, "compiled", "in memory" if stats.cache_path is None else "")
"""
"""Prints of each kernel how many of its signatures were loaded, and how many were compiled."""

LOADED = ["1 loaded, 0 compiled "] * 2
COMPILED_IN_MEMORY = ["0 loaded, 1 compiled in memory"] * 2

SHOW_FOLDERS = """
import stat
from pathlib import Path
def load_all(folder, load_all=preparation._load_all):
    load_all(folder)
    if folder is not None:
        found = folder.stat()
        kept = len([*folder.rglob("*.nbc")])
        print(oct(stat.S_IMODE(found.st_mode)), found.st_uid, kept, flush=True)
preparation._load_all = load_all
"""


@pytest.fixture
def install(tmp_path: Path) -> Path:
    """An installation of the kernels alone."""
    package = tmp_path / "site" / "roi_extraction"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    shutil.copytree(
        Path(kernels.__file__).parent,
        package / "kernels",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return tmp_path / "site"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of who runs the kernels, empty."""
    home = tmp_path / "home"
    home.mkdir()
    return home


def _lock(install: Path) -> None:
    """Let no one keep code beside the kernels' modules, root neither."""
    (install / "roi_extraction/kernels/__pycache__").touch()


def _run(program: str, install: Path, home: Path, **environment: str) -> list[str]:
    """The lines that a program prints; its temporary folder, beside the home, is left empty."""
    temporary = home.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    before = sorted(temporary.iterdir())
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={
            "PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(install),
            "TMPDIR": str(temporary), **environment,
        },
        capture_output=True,
        text=True,
        cwd=home,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert sorted(temporary.iterdir()) == before
    return run.stdout.splitlines()


def _kept_below(folder: Path) -> list[Path]:
    return [*folder.rglob("*.nbc"), *folder.rglob("*.nbi")]


def test_compiled_code_is_kept_beside_the_module_and_not_in_the_home(
    install: Path, home: Path
) -> None:
    assert "[[0.0, 1.0, 2.0]]" in _run(USE, install, home)
    assert list(
        (install / "roi_extraction/kernels/__pycache__").glob("surroundings._distance*.nbc")
    )
    assert list(home.iterdir()) == []


def test_kernels_run_where_the_installation_cannot_be_written_and_leave_the_home_alone(
    install: Path, home: Path
) -> None:
    _lock(install)
    assert "[[0.0, 1.0, 2.0]]" in _run(USE, install, home)
    assert list(home.iterdir()) == []
    assert _kept_below(install) == []


def test_prepared_process_loads_what_another_compiled_beside_the_modules(
    install: Path, home: Path
) -> None:
    assert _run(PREPARE % "", install, home) == LOADED
    kept = {path: path.stat().st_mtime_ns for path in _kept_below(install)}
    assert len(kept) == 4
    assert _run(PREPARE % "", install, home) == LOADED
    assert {path: path.stat().st_mtime_ns for path in _kept_below(install)} == kept
    assert list(home.iterdir()) == []


def test_prepared_process_loads_from_a_folder_of_its_own_where_the_installation_is_locked(
    install: Path, home: Path
) -> None:
    _lock(install)
    shown = f"0o700 {os.geteuid()} 2"
    # the one that compiles, then the one that loads; `_run` sees that the folder is gone
    assert _run(PREPARE % SHOW_FOLDERS, install, home) == [shown, shown, *LOADED]
    assert _kept_below(install) == []
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    "fault",
    [
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))",
        "import tempfile; tempfile.tempdir = '/nowhere'",
        "import os, signal\n"
        "preparation._compile_and_keep = lambda _: os.kill(os.getpid(), signal.SIGKILL)",
        "import time; preparation.LONGEST_COMPILING_SECONDS = 0.2\n"
        "preparation._compile_and_keep = lambda _: time.sleep(600)",
        "import os; os.fork = lambda: exec('raise BlockingIOError(11, str())')",
    ],
    ids=[
        "full disk",
        "no temporary folder",
        "compiler killed",
        "compiler hangs",
        "no further process",
    ],
)
def test_process_compiles_in_memory_where_no_other_can(
    fault: str, install: Path, home: Path
) -> None:
    _lock(install)
    assert _run(PREPARE % fault, install, home) == COMPILED_IN_MEMORY
    assert list(home.iterdir()) == []


def test_full_disk_beside_the_modules_keeps_no_scan_back(install: Path, home: Path) -> None:
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"
    assert _run(PREPARE % full, install, home) == COMPILED_IN_MEMORY


PLANT = """
import pickle, sys
from pathlib import Path
from numba.core.caching import UserProvidedCacheLocator
from roi_extraction.kernels import preparation
from roi_extraction.kernels.compiling import Kernel

class Planted:
    def __reduce__(self):
        return exec, (f"open({sys.argv[1]!r}, 'w').close()",)

for kernel in preparation._all_kernels():
    code = kernel.loop.__code__
    place = UserProvidedCacheLocator.get_suitable_cache_subpath(code.co_filename)
    name = f"{Path(code.co_filename).stem}.{kernel.loop.__qualname__}-{code.co_firstlineno}"
    for root in sys.argv[2:]:
        folder = Path(root) / place
        folder.mkdir(parents=True, exist_ok=True)
        version = f"py{sys.version_info[0]}{sys.version_info[1]}{sys.abiflags}"
        (folder / f"{name}.{version}.nbi").write_bytes(pickle.dumps(Planted()))
"""
"""Lays an index that runs code when numba reads it, for each kernel, into some folders."""


def test_planted_code_is_run_by_no_kernel(install: Path, home: Path, tmp_path: Path) -> None:
    mark, shared = tmp_path / "was run", tmp_path / "temporary"
    _lock(install)
    roots = [home / ".cache/numba", shared, *(shared / f"osteonode-kernels-{n}" for n in range(3))]
    subprocess.run(
        [sys.executable, "-c", PLANT, str(mark), *map(str, roots)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(install)},
        cwd=home,
        check=True,
    )
    # as an administrator may have set it for other programs
    variables = {"NUMBA_CACHE_DIR": str(shared)}
    assert _run(PREPARE % "", install, home) == LOADED
    assert _run(PREPARE % "", install, home, **variables) == LOADED
    assert "[[0.0, 1.0, 2.0]]" in _run(USE, install, home, **variables)
    assert not mark.exists()
    # numba left to itself reads both
    plain = (
        "import contextlib, numba\n"
        "from roi_extraction.kernels.surroundings import _distance as k\n"
        "with contextlib.suppress(Exception):\n"
        "    numba.njit([*k.signatures], cache=True)(k.loop)"
    )
    for changed in ({}, variables):
        _run(plain, install, home, **changed)
        assert mark.exists()
        mark.unlink()


def test_a_cache_that_cannot_be_used_keeps_no_scan_back(monkeypatch: pytest.MonkeyPatch) -> None:
    numba: Any = pytest.importorskip("numba")
    compile_plainly = numba.njit

    def njit(*arguments: Any, cache: bool = False, **options: Any) -> Callable[..., Any]:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        result: Callable[..., Any] = compile_plainly(*arguments, **options)
        return result

    monkeypatch.setattr(numba, "njit", njit)
    distance = np.empty((1, 3))
    Kernel(_distance.loop, _distance.signatures)(np.array([[False, True, True]]), distance)
    assert distance.tolist() == [[0.0, 1.0, 2.0]]
