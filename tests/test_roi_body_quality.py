"""Collapsed and dense bodies are flagged, healthy ones are not."""

import pytest

from roi_extraction import extract
from roi_extraction.builtin import BuiltinSegmenter
from roi_extraction.phantom import (
    Cement,
    Fracture,
    FractureKind,
    Pathology,
    PhantomParameters,
    Sclerosis,
    make_phantom,
)


def flags(pathology: Pathology, seed: int = 60) -> dict[str, set[str]]:
    """Codes of the findings of each vertebral site, and why those without a value are missing."""
    parameters = PhantomParameters.random(seed, rows=208, columns=208, pathology=pathology)
    features = extract(make_phantom(parameters, seed).volume, BuiltinSegmenter())
    bodies = [m for m in features.measurements if m.site.is_vertebra]
    return {m.site.name: {f.code for f in m.findings} for m in bodies}


@pytest.mark.parametrize("seed", [60, 61])
def test_healthy_bodies_are_not_flagged(seed: int) -> None:
    found = flags(Pathology(), seed)
    assert not any(found[level] for level in ("L1", "L2", "L3", "L4", "L5"))


@pytest.mark.parametrize(
    ("pathology", "level", "code"),
    [
        (Pathology(fractures=(Fracture("L2", FractureKind.WEDGE, 0.4),)), "L2", "roi.fractured"),
        (
            Pathology(fractures=(Fracture("L3", FractureKind.BICONCAVE, 0.4),)),
            "L3",
            "roi.fractured",
        ),
        (Pathology(fractures=(Fracture("L2", FractureKind.CRUSH, 0.35),)), "L2", "roi.fractured"),
        (Pathology(cement=(Cement("L2", 700.0),)), "L2", "roi.dense_lesion"),
        (Pathology(sclerosis=(Sclerosis("L3", 350.0, 7.0),)), "L3", "roi.dense_lesion"),
        (Pathology(sclerosis=(Sclerosis("L4", 150.0, None),)), "L4", "roi.dense_body"),
    ],
    ids=["wedge", "biconcave", "crush", "cement", "focal sclerosis", "dense body"],
)
def test_altered_body_is_flagged_and_its_neighbours_are_not(
    pathology: Pathology, level: str, code: str
) -> None:
    found = flags(pathology)
    assert code in found[level]
    assert not any(code in codes for name, codes in found.items() if name != level)
