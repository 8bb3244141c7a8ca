"""Tell images computed from several X-ray spectra from plain ones: their HU are other numbers.

A virtual monoenergetic image at 50 keV shows bone half as bright again as at 120 kVp, a virtual
unenhanced or calcium-suppressed one darker; the standard lets such images be ORIGINAL.
"""

import re
from dataclasses import dataclass

from dicom_node.decoding.elements import Elements

__all__ = ["SPECTRAL_WORDS", "SpectralWords", "is_multienergy", "spectral_sign"]

IMAGE_TYPES = frozenset(
    {
        "VMI",
        "MAT_SPECIFIC",
        "MAT_REMOVED",
        "MAT_FRACTIONAL",
        "EFF_ATOMIC_NUM",
        "ELECTRON_DENSITY",
        "MAT_MODIFIED",
        "MAT_VALUE_BASED",
    }
)
"""Value 4 of Image Type of a multi-energy image (PS3.3, C.8.15.2.1.1.5, by Supplement 188)."""

RESCALE_TYPES = frozenset({"MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT"})
"""Units of Rescale Type that multi-energy images brought (PS3.3, table C.11-1)."""

DESCRIBED_IN = ("ImageType", "SeriesDescription", "ImageComments", "DerivationDescription")
"""Elements in which vendors name the kind of a spectral image."""


@dataclass(frozen=True)
class SpectralWords:
    """Words that name a spectral image; ``source`` says whose they are.

    ``vendor`` is how Manufacturer begins, in lower case, where the words mean something else in
    other scanners' descriptions; empty for all.
    """

    kind: str
    pattern: str
    source: str
    vendor: str = ""


SPECTRAL_WORDS = (
    SpectralWords(
        "a virtual monoenergetic image",
        r"\bvmi\b|\bmono ?e\b|\bmono ?(plus\b|\+)|mono ?energ|monochromatic|\b\d{2,3} ?kev\b",
        "Siemens Monoenergetic and Mono+, GE Monochromatic, Philips MonoE, Canon keV images",
    ),
    SpectralWords(
        "a virtual unenhanced image",
        r"\bvnca?\b|virtual (non ?(contrast|calcium)|un ?enhanced|native)|virtuell nativ",
        "Siemens VNC and VNCa, Philips VNC, Canon VNC",
    ),
    SpectralWords(
        "a virtual unenhanced or material suppressed image",
        r"\bvue\b|\bmsi\b",
        "GE Virtual UnEnhanced, Material Suppressed Iodine",
        "ge",
    ),
    SpectralWords(
        "a material image",
        r"\b(iodine|iod|jod|iode|water|calcium|hap|fat|uric acid|gadolinium)"
        r" ?(\((water|iodine|calcium|hap|fat|blood|uric acid)\)|maps?\b|density|concentration"
        r"|overlay|no (water|iodine)|remov|suppress)|\bcalc(ium)? ?supp|\biodine ?no ?water",
        "Siemens iodine map, GE Iodine(Water) and the like, Philips Iodine no Water, Iodine"
        " Density, Uric Acid, Calcium Suppression",
    ),
    SpectralWords(
        "an image of atomic number or electron density",
        r"\bz ?eff(ective)?\b|\beffective (z\b|atomic)|\belectron density|\brho ?/? ?z\b",
        "Siemens Rho/Z, GE Effective-Z, Philips Z Effective and Electron Density, Canon",
    ),
    SpectralWords(
        "a spectral base image",
        r"\bsbi\b|\bspectral base",
        "Philips Spectral Base Image",
        "philips",
    ),
)
"""How vendors name spectral images in words: the products' names in their brochures and manuals
(kinds of images: PS3.17, JJJJ.4; names: Faby et al., "Spectral Imaging with Dual Energy CT", white
paper of Siemens Healthineers, which compares the vendors; Philips on the IQon Spectral CT).
The exact spelling in headers was seen for none of them, so the words are looked for in every
element that describes an image. Private elements are not read: none was found documented."""

MIXED = r"\b[fm] ?0\.\d\b|\bdual ?energy\b|\bde composed\b"
"""How Siemens names a mixture of the images of two tubes: ``F_0.5``, ``M_0.3``, ``DE_Composed``."""


def spectral_sign(elements: Elements) -> str:
    """What in the header says that the image was computed from several spectra; empty if nothing.

    A tube voltage of 0 or of the energy in keV, as some vendors write for such images, is left to
    the rule on the tube voltage.
    """
    for value in elements.values("ImageType"):
        if str(value).strip().upper() in IMAGE_TYPES:
            return f"Image Type {str(value).strip().upper()}"
    characteristics = elements.items("MultienergyCTCharacteristicsSequence")
    for item in (elements, *(Elements(item) for item in characteristics)):
        if item.values("MonoenergeticEnergyEquivalent"):
            return "Monoenergetic Energy Equivalent"
    for value in elements.values("RescaleType"):
        if str(value).strip().upper() in RESCALE_TYPES:
            return f"Rescale Type {str(value).strip().upper()}"
    vendor = elements.text("Manufacturer").lower()
    for keyword in DESCRIBED_IN:
        text = _plain(elements.text(keyword))
        for words in SPECTRAL_WORDS:
            if vendor.startswith(words.vendor) and re.search(words.pattern, text):
                return f"{keyword} names {words.kind}"
    return ""


def is_multienergy(elements: Elements) -> bool:
    """Whether the image was acquired with several spectra, though it is none of the above."""
    if elements.text("MultienergyCTAcquisition").upper() == "YES":
        return True
    return any(re.search(MIXED, _plain(elements.text(keyword))) for keyword in DESCRIBED_IN)


def _plain(text: str) -> str:
    """Lower case, words parted by single spaces."""
    return re.sub(r"[\s_\-\\^]+", " ", text).lower()
