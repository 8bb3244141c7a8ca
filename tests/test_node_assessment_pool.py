"""The pool of children that assess: what waits on it always comes to an end."""

import json
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import cast

import pytest
from pebble import ProcessPool

from dicom_node.errors import AssessmentFailed
from dicom_node.settings.node import NodeSettings
from dicom_node.work import assessment_pool
from dicom_node.work.assessment_pool import AssessmentPool


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
    with AssessmentPool(NodeSettings(data_dir=tmp_path)) as pool:
        assert pool._run(sum, 60.0, (1, 2, 3)) == 6


def fail_and_name_a_patient() -> None:
    raise ValueError("DOE^JANE")


def test_survey_goes_on_while_all_children_assess(tmp_path: Path) -> None:
    with AssessmentPool(NodeSettings(data_dir=tmp_path)) as pool:
        pool._pool = cast(ProcessPool, SilentPool())
        assert pool.survey([]).result(timeout=300).series == ()


def test_survey_that_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assessment_pool, "SURVEY_SECONDS", 0.2)
    monkeypatch.setattr(assessment_pool, "survey", time.sleep)
    with AssessmentPool(NodeSettings(data_dir=tmp_path)) as pool:
        surveyed = pool.survey(cast(list[Path], 60))
        with pytest.raises(AssessmentFailed, match=r"no result within 0\.2 s"):
            surveyed.result(timeout=300)


def test_a_fault_in_a_child_is_found_by_its_place_and_not_by_its_text(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with AssessmentPool(NodeSettings(data_dir=tmp_path)) as pool:  # noqa: SIM117
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
    with AssessmentPool(NodeSettings(data_dir=tmp_path)) as pool:  # noqa: SIM117
        with pytest.raises(AssessmentFailed, match=r"no result within 0\.2 s"):
            pool._run(time.sleep, 0.2, 60)


@pytest.mark.parametrize("module", ["dicom_node.work.worker", "dicom_node.work.child_process"])
def test_what_assesses_is_imported_in_the_children_that_assess_alone(module: str) -> None:
    program = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert module in loaded
    assert not {"sklearn", "skops", "pandas", "highdicom", "modeling"} & set(loaded)
