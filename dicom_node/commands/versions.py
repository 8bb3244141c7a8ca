"""Which software this is."""

import json
import platform
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

__all__ = ["versions"]


def versions() -> dict[str, str]:
    """The versions of osteonode and Python, and the identifier of the built-in model.

    The model's manifest is read where it lies: to import the model would take seconds.
    """
    spec = find_spec("modeling")
    assert spec is not None
    assert spec.origin is not None
    manifest = Path(spec.origin).with_name("default_bundle") / "manifest.json"
    return {
        "osteonode": version("osteonode"),
        "Python": platform.python_version(),
        "model": str(json.loads(manifest.read_text())["model_id"]),
    }
