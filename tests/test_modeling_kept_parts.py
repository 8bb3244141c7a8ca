"""An evaluation that was killed goes on where it was, to the same bytes."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dicom_node.cli import app
from modeling.errors import StudyFolderForeign
from modeling.evaluation.kept_parts import EVALUATION_FILE
from modeling.evaluation.recipe_evaluation import Protocol, evaluate
from tests.test_modeling_cohort import synthetic_cohort, write

SHORT = Protocol(repeats=1, permutations=2, bootstraps=20)

KILLED_AFTER_THREE = """
import os, signal, sys
from pathlib import Path
from modeling.evaluation.recipe_evaluation import Protocol, evaluate
from tests.test_modeling_cohort import synthetic_cohort

def after(done, parts):
    if done == 3:
        os.kill(os.getpid(), signal.SIGKILL)

evaluate(synthetic_cohort(20), "regression", protocol=Protocol(1, 2, 20), progress=after,
         folder=Path(sys.argv[1]))
"""


def run(folder: Path | None, seed: int = 42) -> None:
    evaluate(synthetic_cohort(20), "regression", seed=seed, protocol=SHORT, folder=folder)


def content(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "parts").iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an evaluation that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder)
    return folder


def test_a_killed_evaluation_goes_on_and_ends_with_the_same_bytes(
    whole: Path, tmp_path: Path
) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED_AFTER_THREE, tmp_path / "killed"])
    assert killed.returncode == -9
    before = times(tmp_path / "killed")
    assert set(before) == {"fold-1-1.npz", "fold-1-2.npz", "fold-1-3.npz"}
    run(tmp_path / "killed")
    after = times(tmp_path / "killed")
    assert {name: after[name] for name in before} == before
    assert content(tmp_path / "killed") == content(whole)


def test_kept_parts_give_the_scores_of_an_evaluation_that_keeps_nothing(whole: Path) -> None:
    kept = evaluate(synthetic_cohort(20), "regression", protocol=SHORT, folder=whole)
    plain = evaluate(synthetic_cohort(20), "regression", protocol=SHORT)
    assert kept.scores == plain.scores


def test_parts_that_are_damaged_or_of_another_seed_are_computed_anew(
    whole: Path, tmp_path: Path
) -> None:
    wanted = content(whole)
    run(tmp_path, seed=7)
    other = content(tmp_path)
    assert other[EVALUATION_FILE] != wanted[EVALUATION_FILE]
    data = bytearray(other["parts/fold-1-2.npz"])
    data[len(data) // 2] ^= 1
    (tmp_path / "parts" / "fold-1-2.npz").write_bytes(data)
    (tmp_path / "parts" / "fold-1-3.npz").write_bytes(b"")
    run(tmp_path, seed=7)
    assert content(tmp_path) == other
    run(tmp_path)
    assert content(tmp_path) == wanted


def test_a_folder_with_something_else_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(StudyFolderForeign, match="not an evaluation's"):
        run(tmp_path)
    words = ["evaluate", str(write(synthetic_cohort(), tmp_path)), "-o", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "not an evaluation's" in result.output
