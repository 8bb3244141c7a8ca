"""An anatomically plausible lumbar CT with known truth, for the demo and for tests."""

from roi_extraction.phantom.generator import Phantom, PhantomTruth, make_phantom
from roi_extraction.phantom.parameters import Density, PhantomParameters, Sex

__all__ = ["Density", "Phantom", "PhantomParameters", "PhantomTruth", "Sex", "make_phantom"]
