"""The pool of children that assess: what waits on it always comes to an end."""

import contextlib
import json
import mmap
import multiprocessing.forkserver
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, cast

import pytest
from pebble import ProcessPool

from dicom_node.errors import AssessmentFailed
from dicom_node.settings.node import NodeSettings
from dicom_node.work import assessment_pool
from dicom_node.work.assessment_pool import AssessmentPool, SurveyPool
from tests.kernel_memory import kernel_memory_mb

PATIENCE_SECONDS = 60.0
"""A busy machine may take this long for what takes a tenth of a second."""


def end_server() -> None:
    cast(Any, multiprocessing.forkserver)._forkserver._stop()


@pytest.fixture
def new_server() -> Iterator[None]:
    """Let a test start a server of its own, which it leaves to no other."""
    end_server()
    yield
    end_server()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether a process exists and has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


class SilentPool:
    """A pool that never tells what became of its work, as one that is stopped may do."""

    active = True

    def schedule(self, *_arguments: object, **_settings: object) -> "Future[None]":
        return Future()

    def stop(self) -> None:
        self.active = False

    def join(self) -> None:
        """Nothing is left to wait for."""


def test_waiting_ends_when_the_pool_is_stopped(tmp_path: Path) -> None:
    pool = AssessmentPool(NodeSettings(data_dir=tmp_path))
    pool._pool = cast(ProcessPool, SilentPool())
    failures: list[BaseException] = []

    def wait_for_result() -> None:
        try:
            pool._run(sum, 60.0, (1, 2))
        except AssessmentFailed as error:
            failures.append(error)

    waiting = threading.Thread(target=wait_for_result)
    waiting.start()
    with pool:
        pass
    waiting.join(timeout=30)
    assert not waiting.is_alive()
    assert str(failures[0]) == "stopped in the middle"


def test_a_childs_result_comes_back(tmp_path: Path) -> None:
    with SurveyPool(NodeSettings(data_dir=tmp_path)) as pool:
        assert pool._run(sum, 60.0, (1, 2, 3)) == 6


def fail_and_name_a_patient() -> None:
    raise ValueError("DOE^JANE")


def test_survey_goes_on_while_all_children_assess(tmp_path: Path) -> None:
    with SurveyPool(NodeSettings(data_dir=tmp_path)) as pool:
        pool._pool = cast(ProcessPool, SilentPool())
        assert pool.survey([]).result(timeout=300).series == ()


def test_survey_that_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assessment_pool, "SURVEY_SECONDS", 0.2)
    monkeypatch.setattr(assessment_pool, "survey", time.sleep)
    with SurveyPool(NodeSettings(data_dir=tmp_path)) as pool:
        surveyed = pool.survey(cast(list[Path], 60))
        with pytest.raises(AssessmentFailed, match=r"no result within 0\.2 s"):
            surveyed.result(timeout=300)


@pytest.mark.usefixtures("new_server")
def test_a_fault_in_a_child_is_found_by_its_place_and_not_by_its_text(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with SurveyPool(NodeSettings(data_dir=tmp_path)) as pool:  # noqa: SIM117
        with pytest.raises(AssessmentFailed, match=r"^unforeseen ValueError$"):
            pool._run(fail_and_name_a_patient, 60.0)
    output = capfd.readouterr().err
    assert "DOE" not in output
    lines = [json.loads(line) for line in output.splitlines()]
    [fault] = [line for line in lines if line["event"] == "unforeseen fault"]
    assert fault["error"] == "ValueError"
    assert re.fullmatch(
        r"tests/test_node_assessment_pool\.py:\d+ fail_and_name_a_patient", fault["frames"][0]
    )
    assert re.fullmatch(r"dicom_node/work/child_process\.py:\d+ run_in_child", fault["frames"][1])


def test_a_child_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with SurveyPool(NodeSettings(data_dir=tmp_path)) as pool:  # noqa: SIM117
        with pytest.raises(AssessmentFailed, match=r"no result within 0\.2 s"):
            pool._run(time.sleep, 0.2, 60)


def forked_from() -> tuple[int, int]:
    """Process ids of a child and of the server that it was forked from."""
    return os.getpid(), os.getppid()


def after_restart(pool: AssessmentPool) -> tuple[int, int]:
    """`forked_from` of the next server: while the last one dies, an attempt or two may fail."""
    for _ in range(10):
        with contextlib.suppress(AssessmentFailed):
            return pool._run(forked_from, PATIENCE_SECONDS)
        time.sleep(0.2)
    raise AssertionError("no server was started again")


def use_memory(megabytes: int) -> None:
    mmap.mmap(-1, megabytes * 1024**2)


def test_a_child_is_forked_from_a_server_and_not_from_this_process(tmp_path: Path) -> None:
    with SurveyPool(NodeSettings(data_dir=tmp_path)) as pool:
        child, server = pool._run(forked_from, 60.0)
        survey_child, parent = pool._surveys.schedule(forked_from).result(PATIENCE_SECONDS)
    assert len({child, server, survey_child, os.getpid()}) == 4
    assert parent == server


def test_a_child_that_is_killed_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assessment_pool, "ASSESSMENTS_PER_CHILD", 2)
    with SurveyPool(NodeSettings(data_dir=tmp_path)) as pool:
        child, server = pool._run(forked_from, 60.0)
        with pytest.raises(AssessmentFailed, match="the child ended with code -9"):
            pool._run(os.kill, 60.0, child, signal.SIGKILL)
        next_child, same_server = pool._run(forked_from, 60.0)
    assert next_child != child
    assert same_server == server


def test_a_child_is_replaced_after_its_last_assessment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assessment_pool, "ASSESSMENTS_PER_CHILD", 2)
    with SurveyPool(NodeSettings(data_dir=tmp_path)) as pool:
        children = [pool._run(forked_from, 60.0)[0] for _ in range(4)]
    assert children[0] == children[1] != children[2] == children[3]


def test_a_server_that_is_killed_ends_its_children_and_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assessment_pool, "ASSESSMENTS_PER_CHILD", 2)
    with SurveyPool(NodeSettings(data_dir=tmp_path)) as pool:
        child, server = pool._run(forked_from, 60.0)
        sleeping = pool._start(time.sleep, 60.0, 60)
        wait_until(sleeping.running)
        os.kill(server, signal.SIGKILL)
        with pytest.raises(AssessmentFailed, match="the child ended with code"):
            pool._in_our_errors(sleeping, 60.0).result(PATIENCE_SECONDS)
        wait_until(lambda: not runs(child))
        next_child, next_server = after_restart(pool)
    assert next_child != child
    assert next_server != server


@pytest.mark.usefixtures("new_server")
def test_a_server_that_is_killed_while_it_loads_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading = tmp_path / "loading"
    (tmp_path / "slow_preload.py").write_text(
        "import os, pathlib, time\n"
        f"loading = pathlib.Path({str(loading)!r})\n"
        "if not loading.exists():\n"
        "    loading.write_text(str(os.getpid()))\n"
        "    time.sleep(600)\n"
    )
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setattr(SurveyPool, "preload", ("slow_preload", *SurveyPool.preload))

    def kill_while_it_loads() -> None:
        wait_until(lambda: loading.exists() and loading.read_text() != "")
        os.kill(int(loading.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill_while_it_loads)
    killer.start()
    with SurveyPool(NodeSettings(data_dir=tmp_path)) as pool:
        with pytest.raises(AssessmentFailed):
            pool._run(forked_from, 60.0)
        killer.join()
        assert str(after_restart(pool)[1]) != loading.read_text()


def test_a_child_uses_no_more_than_its_memory(tmp_path: Path) -> None:
    settings = NodeSettings(data_dir=tmp_path)
    with SurveyPool(settings) as pool:
        pool._run(use_memory, 60.0, settings.limits.memory_mb // 2)
        with pytest.raises(OSError, match="Cannot allocate memory"):
            pool._start(use_memory, 60.0, settings.limits.memory_mb).result(PATIENCE_SECONDS)


def work_until_killed(data_dir: Path) -> None:
    """In a process of its own: print what it started, and have its child work on."""
    assessment_pool.ASSESSMENTS_PER_CHILD = 2
    with SurveyPool(NodeSettings(data_dir=data_dir)) as pool:
        print(*pool._run(forked_from, 60.0), flush=True)
        pool._run(time.sleep, 600.0, 600)


def test_children_and_server_end_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests import test_node_assessment_pool as here;"
        "here.work_until_killed(Path(sys.argv[1]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        started = [int(word) for word in worker.stdout.readline().split()]
        assert len(started) == 2
        assert all(map(runs, started))
        worker.kill()
    wait_until(lambda: not any(map(runs, started)))


def shared_by_children(bundle: Path, inherited: set[str]) -> dict[str, Any]:
    """In a child at its start: what it has without having loaded anything."""
    modules = set(sys.modules)
    private_mb = kernel_memory_mb("self", "smaps_rollup", r"Private_\w+")
    from dicom_node.analysis.models import load_models

    load_models(bundle)
    return {
        "modules": modules,
        "private_kb": 1024 * private_mb,
        "loaded here": load_models.cache_info().misses - 1,
        "server_threads": len(os.listdir(f"/proc/{os.getppid()}/task")),
        "environment": set(os.environ) - inherited,
    }


@pytest.mark.usefixtures("new_server")
def test_children_share_the_libraries_and_the_bundle_of_the_settings(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    with as_file(files("modeling") / "default_bundle") as built_in:
        shutil.copytree(built_in, bundle)
    variables = set(os.environ)
    with AssessmentPool(NodeSettings(data_dir=tmp_path, bundle=bundle)) as pool:
        found = pool._run(shared_by_children, PATIENCE_SECONDS, bundle, variables)
    assert {"dicom_node.analysis.analysis", "numba", "highdicom"} <= found["modules"]
    assert found["loaded here"] == 0
    assert found["private_kb"] < 22_000
    assert found["server_threads"] == 1
    assert not any("THREADS" in name or "BUNDLE" in name for name in found["environment"])


def modules_after(import_of: str) -> set[str]:
    """What a new process has imported after the import of one module."""
    program = f"import sys, {import_of}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert import_of in loaded
    return set(loaded)


@pytest.mark.parametrize("module", ["dicom_node.work.worker", "dicom_node.work.child_process"])
def test_what_assesses_is_imported_in_the_children_that_assess_alone(module: str) -> None:
    assert not {"sklearn", "skops", "pandas", "highdicom", "modeling"} & modules_after(module)


def test_libraries_that_stage_train_or_study_wait_until_they_are_used() -> None:
    waiting = {"sklearn", "skops", "shap", "pandas", "pyarrow", "scipy.stats", "networkx", "joblib"}
    assert not waiting & modules_after("dicom_node.analysis.analysis")
