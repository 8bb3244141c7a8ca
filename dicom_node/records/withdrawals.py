"""Which reports were withdrawn, for those who look from outside."""

from pathlib import Path

__all__ = ["Withdrawals"]


class Withdrawals:
    """An empty file a withdrawn report in the node's data folder.

    Parameters
    ----------
    data_dir
        The node's data folder; ``withdrawn/`` is made inside it when it is needed.
    """

    def __init__(self, data_dir: Path) -> None:
        self._root = data_dir / "withdrawn"

    def add(self, study: str, assessment: str) -> None:
        """Note a report by the key of its study and the name of its folder."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._root / f"{study}.{assessment}").touch(mode=0o600)

    def listed(self) -> tuple[str, ...]:
        """The withdrawn reports as ``study/assessment``, the oldest first."""
        if not self._root.is_dir():
            return ()
        found = sorted(self._root.iterdir(), key=lambda path: (path.stat().st_mtime, path.name))
        return tuple(path.name.replace(".", "/") for path in found)

    def forget(self, study: str) -> None:
        """Take the reports of a study off the list, for they are removed."""
        for path in self._root.glob(f"{study}.*"):
            path.unlink(missing_ok=True)
