"""Loops in machine code, compiled by numba on their first call."""

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
        try:
            return self._kept_in(None)
        except Exception:  # a damaged cache or a full disk must not keep a scan back
            return self._compile()

    def load_from(self, folder: Path | None) -> None:
        """Have the machine code from a folder, compiled and kept there first if it was not.

        Code that is loaded so is run: nobody else may have written in the folder.

        Parameters
        ----------
        folder
            None: beside the loop's module.

        Raises
        ------
        Exception
            The folder cannot be written, or what lies there is damaged.
        """
        vars(self)["compiled"] = self._kept_in(folder)

    def _kept_in(self, folder: Path | None) -> Callable[..., None]:
        import numba

        config: Any = numba.config
        options = config.CACHE_DIR, config.CACHE_LOCATOR_CLASSES
        config.CACHE_DIR = str(folder or "")
        # numba would else use the home
        config.CACHE_LOCATOR_CLASSES = (
            "UserProvidedCacheLocator" if folder else "InTreeCacheLocator"
        )
        try:
            return self._compile(cache=True)
        finally:
            config.CACHE_DIR, config.CACHE_LOCATOR_CLASSES = options

    def _compile(self, *, cache: bool = False) -> Callable[..., None]:
        import numba

        compiled = numba.njit([*self.signatures], error_model="numpy", cache=cache)(self.loop)
        return cast(Callable[..., None], compiled)


def compiled_as(*signatures: str) -> Callable[[Callable[..., None]], Kernel]:
    """Make a kernel of a loop; parameters as of `Kernel`."""

    def kernel_of(loop: Callable[..., None]) -> Kernel:
        return Kernel(loop, signatures)

    return kernel_of
