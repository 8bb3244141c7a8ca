"""Stand-ins for libraries that train and stage, which take seconds to import.

A quick assessment imports the modules that use them and calls none of those.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["IDLE", "IdleLibraries"]

IDLE = frozenset({"joblib", "lightgbm", "pandas", "scipy.stats", "sklearn", "skops"})
"""Libraries, and parts of them, that a quick assessment never calls."""


class IdleModule(ModuleType):
    """A module whose every name is a class that cannot be used, only named or inherited from."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)

        def unused(*_arguments: object, **_options: object) -> None:
            raise AssertionError(f"{self.__name__}.{name} is not there in a quick assessment")

        return type(name, (), {"__init__": unused})


class IdleLibraries(MetaPathFinder, Loader):
    """Finds an `IdleModule` for each module of the libraries `IDLE`."""

    @classmethod
    def install(cls) -> None:
        """Let later imports find the stand-ins first."""
        if not any(isinstance(finder, cls) for finder in sys.meta_path):
            sys.meta_path.insert(0, cls())

    def find_spec(
        self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        parts = name.split(".")
        idle = any(".".join(parts[:depth]) in IDLE for depth in (1, 2))
        return ModuleSpec(name, self) if idle else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return IdleModule(spec.name)

    def exec_module(self, _module: ModuleType) -> None:
        pass
