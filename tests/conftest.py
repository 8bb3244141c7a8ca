"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real CT and the published cohort; skips where it is absent."""
    root = Path(os.environ.get("OSTEONODE_SHARED", Path(__file__).parents[2] / "shared"))
    if not (root / "data").is_dir():
        message = f"no shared data at {root.name!r}; set OSTEONODE_SHARED"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return root / "data"
