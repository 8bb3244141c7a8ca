"""Draws the pathology of a random phantom patient."""

from typing import Any

import numpy as np

from roi_extraction.phantom.pathology import (
    PATHOLOGY_DISCS,
    PATHOLOGY_LEVELS,
    Cement,
    Fracture,
    FractureKind,
    Osteophyte,
    Pathology,
    Sclerosis,
    Screws,
)

__all__ = ["random_pathology"]

SHARE_OF_EACH = 0.28
"""How often a random patient with pathology has each kind of it."""


def random_pathology(rng: np.random.Generator) -> Pathology:
    """Return at least one kind of pathology, each kind as often as the others."""
    drawn: dict[str, Any] = {}
    while not drawn:
        for draw in _DRAWS:
            if rng.random() < SHARE_OF_EACH:
                drawn.update(draw(rng))
    return Pathology(**drawn)


def _draw_fractures(rng: np.random.Generator) -> dict[str, Any]:
    kinds = list(FractureKind)
    return {
        "fractures": tuple(
            Fracture(
                level, kinds[int(rng.integers(3))], float(rng.uniform(0.2, 0.5)),
                float(rng.choice([0.0, 25.0, 50.0])),
            )
            for level in _levels(rng, int(rng.integers(1, 3)))
        )
    }  # fmt: skip


def _draw_sclerosis(rng: np.random.Generator) -> dict[str, Any]:
    radius = None if rng.random() < 0.3 else float(rng.uniform(3.0, 9.0))
    gain = float(rng.uniform(80.0, 250.0) if radius is None else rng.uniform(150.0, 500.0))
    return {"sclerosis": (Sclerosis(_levels(rng, 1)[0], gain, radius),)}


def _draw_osteophytes(rng: np.random.Generator) -> dict[str, Any]:
    discs = rng.choice(PATHOLOGY_DISCS[:-1], int(rng.integers(1, 4)), replace=False)
    return {
        "osteophytes": tuple(
            Osteophyte(str(disc), float(rng.uniform(3.0, 10.0)), bool(rng.random() < 0.5))
            for disc in discs
        )
    }


def _draw_cement(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "cement": tuple(
            Cement(level, float(rng.uniform(500.0, 1500.0)), float(rng.uniform(2.0, 6.0)))
            for level in _levels(rng, int(rng.integers(1, 3)))
        )
    }


def _draw_screws(rng: np.random.Generator) -> dict[str, Any]:
    first, count = int(rng.integers(2, 6)), int(rng.integers(2, 4))
    streak = 0.0 if rng.random() < 0.3 else float(rng.uniform(15.0, 60.0))
    levels = PATHOLOGY_LEVELS[first : first + count]
    return {"screws": Screws(levels, float(rng.uniform(2200.0, 3071.0)), streak)}


def _draw_scoliosis(rng: np.random.Generator) -> dict[str, Any]:
    side = 1.0 if rng.random() < 0.5 else -1.0
    apex = ("L1", "L2", "L3")[int(rng.integers(3))]
    cobb = side * float(rng.uniform(8.0, 20.0))
    return {"scoliosis_cobb_deg": cobb, "scoliosis_apex": apex}


def _draw_count(rng: np.random.Generator) -> dict[str, Any]:
    return {"lumbar_vertebrae": 6 if rng.random() < 0.5 else 4}


def _draw_contrast(rng: np.random.Generator) -> dict[str, Any]:
    if rng.random() < 0.4:  # arterial phase
        return {
            "aorta_hu": float(rng.uniform(220.0, 400.0)), "vein_hu": float(rng.uniform(50.0, 110.0))
        }  # fmt: skip
    venous = float(rng.uniform(110.0, 190.0))
    return {"aorta_hu": venous + float(rng.uniform(0.0, 25.0)), "vein_hu": venous}


def _draw_calcification(rng: np.random.Generator) -> dict[str, Any]:
    return {"aortic_calcification": float(rng.uniform(0.1, 0.6))}


_DRAWS = (
    _draw_fractures, _draw_sclerosis, _draw_osteophytes, _draw_cement, _draw_screws,
    _draw_scoliosis, _draw_count, _draw_contrast, _draw_calcification,
)  # fmt: skip


def _levels(rng: np.random.Generator, count: int) -> list[str]:
    return [str(level) for level in rng.choice(PATHOLOGY_LEVELS, count, replace=False)]
