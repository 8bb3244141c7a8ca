"""Loops in machine code, compiled by numba on their first call."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

__all__ = ["Kernel", "compiled_as"]


@dataclass(frozen=True, eq=False)
class Kernel:
    """A loop, written in Python, that runs in machine code.

    Parameters
    ----------
    loop
        Writes its result into the last of its arguments.
    signatures
        The types of its arguments in numba's notation; True: read-only will do.
    """

    loop: Callable[..., None]
    signatures: tuple[str, ...]

    def __call__(self, *arguments: Any) -> None:
        """Run the loop, compiled first if it was not."""
        self.compiled(*arguments)

    @cached_property
    def compiled(self) -> Callable[..., None]:
        """The machine code, kept beside the loop's module where that can be written."""
        import numba

        signatures = [*self.signatures]
        if _is_writable(Path(self.loop.__code__.co_filename).parent):
            try:
                kept = numba.njit(signatures, error_model="numpy", cache=True)(self.loop)
            except Exception:  # a damaged cache or a full disk must not keep a scan back
                pass
            else:
                return cast(Callable[..., None], kept)
        return cast(Callable[..., None], numba.njit(signatures, error_model="numpy")(self.loop))


def compiled_as(*signatures: str) -> Callable[[Callable[..., None]], Kernel]:
    """Make a kernel of a loop; parameters as of `Kernel`."""

    def kernel_of(loop: Callable[..., None]) -> Kernel:
        return Kernel(loop, signatures)

    return kernel_of


def _is_writable(folder: Path) -> bool:
    """Whether compiled code may lie in a package's own folder; numba would else use the home."""
    kept = folder / "__pycache__"
    return os.access(kept if kept.is_dir() else folder, os.W_OK)
