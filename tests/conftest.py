"""Fixtures shared by all tests."""

import os
import shutil
from pathlib import Path

import pytest

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    # Read when numpy is imported. Where several processes run tests, the threads of one wait for
    # each other turning: a study's characteristics took 31 CPU seconds so, and take 7.
    os.environ.setdefault(_variable, "1")

CHROMIUM = "/usr/bin/chromium"
DICOMWEB_PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"

PROGRAMS = {
    "peers": (
        "Orthanc",
        DICOMWEB_PLUGIN,
        "/usr/bin/dcmqrscp",
        "dciodvfy",
        "java",
        "/usr/bin/storescu",
        "/usr/share/java/pixelmed.jar",
    ),
    "viewers": ("Orthanc", DICOMWEB_PLUGIN, CHROMIUM, "npm", "unshare", "ip"),
}
"""What the tests with a mark run, by name or path; ``.ci/run`` installs it."""


WHOLE_NODES = {"Node", "FaultNode"}
"""What a test module uses that starts whole nodes; its tests take long and mostly wait."""


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Let what takes long and mostly waits go first, so that none of it is left for the end alone.

    That is the set-up of the viewer, and then the modules with whole nodes.
    """
    items.sort(
        key=lambda item: (
            item.get_closest_marker("viewers") is None,
            WHOLE_NODES.isdisjoint(vars(item.module)),
        )
    )


def unavailable(message: str) -> None:
    """Skip with a reason; in CI, where everything must be present, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(autouse=True)
def _programs_are_installed(request: pytest.FixtureRequest) -> None:
    marks = [mark for mark in PROGRAMS if request.node.get_closest_marker(mark) is not None]
    needed = [name for mark in marks for name in PROGRAMS[mark]]
    missing = [name for name in needed if not (shutil.which(name) or Path(name).exists())]
    if missing:
        unavailable(f"not installed: {', '.join(missing)} (see .ci/run)")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real CT and the published cohort; skips where it is absent."""
    root = Path(os.environ.get("OSTEONODE_SHARED", Path(__file__).parents[2] / "shared"))
    if not (root / "data").is_dir():
        unavailable(f"no shared data at {root.name!r}; set OSTEONODE_SHARED")
    return root / "data"
