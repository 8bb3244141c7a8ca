"""Compile all kernels before the first scan."""

from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from roi_extraction.kernels import (
    averaging,
    best_paths,
    filters,
    interpolation,
    surroundings,
)
from roi_extraction.kernels.compiling import Kernel

__all__ = ["compile_kernels"]

LONGEST_COMPILING_SECONDS = 300.0
"""A process that compiles for longer is ended, s: a start must not hang on it."""

MODULES: tuple[ModuleType, ...] = (averaging, best_paths, filters, interpolation, surroundings)


def compile_kernels() -> None:
    """Load all kernels, compiled by a process that then ends: compiling leaves some 55 MB in use.

    The code is kept beside the kernels' modules. Where that cannot be, it lies in a temporary
    folder that only this user may enter until it is loaded. Where that cannot be either, this
    process compiles in memory. It must have a single thread, for it is forked.
    """
    try:
        if not _compiled_into(None):
            with TemporaryDirectory(prefix="osteonode-kernels-") as folder:
                _compiled_into(Path(folder))
    except Exception:  # a full disk must not keep a scan back
        pass
    for kernel in _all_kernels():
        _ = kernel.compiled


def _compiled_into(folder: Path | None) -> bool:
    """Load from a folder what a process of its own compiled into it; whether it could."""
    compiler = get_context("fork").Process(target=_compile_and_keep, args=(folder,))
    compiler.start()
    compiler.join(LONGEST_COMPILING_SECONDS)
    if compiler.exitcode != 0:
        compiler.kill()
        compiler.join()
        return False
    _load_all(folder)
    return True


def _compile_and_keep(folder: Path | None) -> None:
    try:
        _load_all(folder)
    except Exception:
        raise SystemExit(1) from None


def _load_all(folder: Path | None) -> None:
    for kernel in _all_kernels():
        kernel.load_from(folder)


def _all_kernels() -> list[Kernel]:
    return [
        found for module in MODULES for found in vars(module).values() if isinstance(found, Kernel)
    ]
