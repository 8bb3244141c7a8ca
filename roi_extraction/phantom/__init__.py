"""An anatomically plausible lumbar CT with known truth, for the demo and for tests."""

from roi_extraction.phantom.generator import Phantom, PhantomTruth, make_phantom
from roi_extraction.phantom.parameters import Density, PhantomParameters, PhantomSex
from roi_extraction.phantom.pathology import (
    Cement,
    Fracture,
    FractureKind,
    Osteophyte,
    Pathology,
    Sclerosis,
    Screws,
)

__all__ = [
    "Cement",
    "Density",
    "Fracture",
    "FractureKind",
    "Osteophyte",
    "Pathology",
    "Phantom",
    "PhantomParameters",
    "PhantomSex",
    "PhantomTruth",
    "Sclerosis",
    "Screws",
    "make_phantom",
]
