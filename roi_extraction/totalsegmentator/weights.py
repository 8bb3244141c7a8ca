"""TotalSegmentator's weights: placed in a folder beforehand, checked, never downloaded."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from roi_extraction.errors import SegmenterUnavailable

__all__ = ["DATASETS", "check_weights"]

DATASETS: dict[str, tuple[str, ...]] = {
    "total": (
        "Dataset291_TotalSegmentator_part1_organs_1559subj",
        "Dataset292_TotalSegmentator_part2_vertebrae_1532subj",
        "Dataset293_TotalSegmentator_part3_cardiac_1559subj",
        "Dataset294_TotalSegmentator_part4_muscles_1559subj",
        "Dataset295_TotalSegmentator_part5_ribs_1559subj",
        "Dataset298_TotalSegmentator_total_6mm_1559subj",
    ),
    "vertebrae_body": ("Dataset305_vertebrae_discs_1559subj",),
    "abdominal_muscles": ("Dataset952_abdominal_muscles_167subj", "Dataset300_body_6mm_1559subj"),
}
"""Folders by task, as TotalSegmentator 2.18 names them; the name holds the version. It asks for all
parts of ``total`` even where a subset is wanted, and for a coarse model to crop by."""

MAX_MANIFEST_BYTES = 1 << 20
"""Largest manifest that is read; all tasks have some hundred files, a line each."""

HASH_CHUNK_BYTES = 1 << 22
"""Bytes of a file that are read at a time."""


def check_weights(folder: Path, tasks: Sequence[str], manifest: Path | None) -> tuple[Path, ...]:
    """Check that the weights of some tasks are there, whole and, with a manifest, unchanged.

    Parameters
    ----------
    folder
        Holds one folder a dataset, as TotalSegmentator unpacks them.
    tasks
        Keys of `DATASETS`.
    manifest
        Lines ``<SHA-256>  <path below folder>``, as ``sha256sum`` writes them, for every file of
        these datasets; or None.

    Returns
    -------
    datasets
        The datasets' folders.

    Raises
    ------
    SegmenterUnavailable
        ``totalsegmentator.weights_missing`` or ``totalsegmentator.weights_changed``.
    """
    found = tuple(folder / name for task in tasks for name in DATASETS[task])
    for dataset in found:
        _check_dataset(folder, dataset)
    if manifest is not None:
        files = sorted(path for dataset in found for path in dataset.rglob("*") if path.is_file())
        signature = tuple((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files)
        _check_sums(folder, manifest, _read_text(manifest), signature)
    return found


def _check_dataset(folder: Path, dataset: Path) -> None:
    if not dataset.is_dir():
        number = dataset.name.split("_")[0]
        others = [path.name for path in folder.glob(f"{number}_*")] if folder.is_dir() else []
        raise SegmenterUnavailable(
            f"no weights {dataset.name} in the configured folder"
            + (f"; found another version, {others[0]}" if others else "")
            + "; place them there (docs/segmenters.md), they are not downloaded",
            "totalsegmentator.weights_missing",
        )
    for pattern in ("*/plans.json", "*/dataset.json", "*/fold_*/checkpoint_final.pth"):
        if not any(path.stat().st_size for path in dataset.glob(pattern)):
            raise SegmenterUnavailable(
                f"the weights {dataset.name} are incomplete: no {pattern}",
                "totalsegmentator.weights_missing",
            )


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_MANIFEST_BYTES + 1)
        if len(content) > MAX_MANIFEST_BYTES:
            raise SegmenterUnavailable(
                f"the manifest of the weights is larger than {MAX_MANIFEST_BYTES >> 20} MB",
                "totalsegmentator.weights_changed",
            )
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise SegmenterUnavailable(
            f"the manifest of the weights cannot be read ({type(error).__name__})",
            "totalsegmentator.weights_changed",
        ) from error


@lru_cache(maxsize=4)
def _check_sums(
    folder: Path, manifest: Path, text: str, signature: tuple[tuple[str, int, int], ...]
) -> None:
    """Compare sums; repeated only when a file's size or time, or the manifest, has changed."""
    expected = {}
    for line in text.splitlines():
        digest, _, name = line.partition(" ")
        if name:
            expected[str((folder / name.strip().lstrip("*")).resolve())] = digest.lower()
    for name, _, _ in signature:
        path = Path(name)
        known = expected.get(str(path.resolve()))
        if known is None:
            raise SegmenterUnavailable(
                f"{path.name} of {path.relative_to(folder).parts[0]} is not in the manifest"
                f" {manifest.name}",
                "totalsegmentator.weights_changed",
            )
        if _sha256(path) != known:
            raise SegmenterUnavailable(
                f"{path.name} of {path.relative_to(folder).parts[0]} is not the file of the"
                f" manifest {manifest.name}",
                "totalsegmentator.weights_changed",
            )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
