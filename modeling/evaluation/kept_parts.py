"""Finished parts of an evaluation in a folder: a run that was broken off goes on from them."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.errors import StudyFolderForeign
from modeling.files import write_whole
from modeling.recipes.registry import NamedRecipe
from modeling.study.folder import dump_json
from modeling.study.keys import code_digest, digest_of, package_of, versions

__all__ = ["EVALUATION_FILE", "KeptParts", "claim_evaluation", "evaluation_key"]

Arrays = dict[str, npt.NDArray[Any]]

SCHEMA = "osteonode.evaluation/1"
"""Format of the folder."""

EVALUATION_FILE = "evaluation.json"
"""Marks a folder as an evaluation's; holds the scores once all parts are done."""

PARTS_FOLDER = "parts"
"""Holds a file for each finished part."""

KEY = "key"
"""Name of the array that says what a part depends on."""


@dataclass(frozen=True)
class KeptParts:
    """Parts of one evaluation, each kept as soon as it is computed.

    Parameters
    ----------
    folder
        As `claim_evaluation` took it.
    key
        Digest of all that the parts depend on; parts under another are computed anew.
    """

    folder: Path
    key: str

    def read_or_compute(self, name: str, compute: Callable[[], Arrays]) -> Arrays:
        """Give a part's arrays, from its file if that is whole and of this key."""
        path = self.folder / PARTS_FOLDER / f"{name}.npz"
        found = self._read(path)
        if found is None:
            found = compute()
            content = io.BytesIO()
            np.savez(content, allow_pickle=False, **{KEY: np.array(self.key), **found})
            write_whole(path, content.getvalue())
        return found

    def _read(self, path: Path) -> Arrays | None:
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
                found = {name: archive[name] for name in archive}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None
        return found if str(found.pop(KEY, "")) == self.key else None

    def write_scores(self, scores: Mapping[str, Any]) -> None:
        """Write the scores into `EVALUATION_FILE`; the same scores give the same bytes."""
        write_whole(self.folder / EVALUATION_FILE, dump_json({"schema": SCHEMA, **scores}))


def evaluation_key(recipe: NamedRecipe, cohort_digest: str, seed: int, folds: int) -> str:
    """Digest all that a part of an evaluation depends on, but its number.

    It covers what `modeling.study.keys.step_keys` covers: the cohort's content, the seed, the
    recipe, this software's version and source, and the libraries' versions.
    """
    return digest_of(
        {
            "cohort": cohort_digest,
            "seed": seed,
            "name": recipe.name,
            "parameters": {"folds": folds, "calibrates_stages": recipe.calibrates_stages},
            "versions": versions(),
            "code": code_digest(("roi_extraction", "modeling", package_of(recipe.make))),
        }
    )


def claim_evaluation(out: Path, key: str) -> KeptParts:
    """Take a new, empty or former evaluation's folder, and mark it.

    Raises
    ------
    StudyFolderForeign
        The folder holds something else.
    """
    if out.exists() and not out.is_dir():
        raise StudyFolderForeign(f"{out} is not a folder")
    mark = out / EVALUATION_FILE
    if out.is_dir() and any(out.iterdir()):
        try:
            schema = json.loads(mark.read_text(encoding="utf-8"))["schema"]
        except (OSError, ValueError, KeyError, TypeError):
            schema = None
        if schema != SCHEMA:
            raise StudyFolderForeign(f"{out} is not empty and not an evaluation's: give another")
    (out / PARTS_FOLDER).mkdir(parents=True, exist_ok=True)
    write_whole(mark, dump_json({"schema": SCHEMA}))
    return KeptParts(out, key)
