"""Compile all kernels before the first scan."""

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

MODULES: tuple[ModuleType, ...] = (averaging, best_paths, filters, interpolation, surroundings)


def compile_kernels() -> None:
    """Compile all kernels; costs nothing the second time."""
    for module in MODULES:
        for found in vars(module).values():
            if isinstance(found, Kernel):
                _ = found.compiled
