"""Whether a table is the model's own training cohort, so that its figures are apparent."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from modeling.cohort import PatientTable, cohort_sha256, without_duplicates

__all__ = ["training_check"]


def training_check(
    table: PatientTable, manifest: Mapping[str, Any], pairs: Mapping[str, Any]
) -> tuple[str, str | None]:
    """Say what a table's figures are, and why they are not those of other patients.

    Parameters
    ----------
    table
        The labelled table.
    manifest
        The bundle's: its cohort's hash, and its scores nested and apparent.
    pairs
        What `modeling.validation.discrimination.pair_measures` found.

    Returns
    -------
    str
        ``apparent`` if the table's content is that of the training cohort, ``possibly apparent``
        if its mean pair AUROC is nearer to the model's apparent figure than to its nested one,
        else ``external``.
    str or None
        Why, if not external.
    """
    scores = manifest.get("scores", {})
    trained_on = {
        manifest.get("cohort", {}).get("content_sha256"),
        scores.get("cohort", {}).get("content_sha256"),
    }
    everyone = table.cohort(np.arange(len(table)))
    if {cohort_sha256(everyone), cohort_sha256(without_duplicates(everyone))} & trained_on:
        return "apparent", "the table's content is that of the cohort that the model was trained on"
    names = [name for name in pairs["mean_pair_auroc_of"] if name in scores.get("pairs", {})]
    if not names:
        return "external", None
    found = pairs["mean_pair_auroc"]
    low = (pairs["mean_pair_auroc_ci"] or [found])[0]
    nested, apparent = (
        float(np.mean([scores["pairs"][name][kind] for name in names]))
        for kind in ("auroc", "apparent")
    )
    if low > nested and found > (nested + apparent) / 2:
        return (
            "possibly apparent",
            f"the table's mean pair AUROC of {found:.3f} is nearer to the model's on its own "
            f"training patients ({apparent:.3f}) than on unseen ones ({nested:.3f}), so the "
            "training patients may be among them",
        )
    return "external", None
