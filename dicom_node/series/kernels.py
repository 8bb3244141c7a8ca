"""Classify a vendor's reconstruction kernel: soft, standard, sharp, or made for lung or bone."""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum

__all__ = ["KernelClass", "kernel_class"]


class KernelClass(StrEnum):
    """How a kernel treats fine detail.

    ``sharp`` kernels enhance edges beyond a standard body kernel; ``lung_bone`` kernels are made
    for lung or cortical bone, with overshoot at edges and several times the noise.
    """

    SOFT = "soft"
    STANDARD = "standard"
    SHARP = "sharp"
    LUNG_BONE = "lung_bone"
    UNKNOWN = "unknown"


SIEMENS_NAME = re.compile(r"^([BCDIQSU])([CFLPRV]?)(\d{2})[A-Z]?$")
"""Family, from VB20 on a second letter, the sharpness, and a letter for the scan mode: B30f,
Br40d, Bl57. Families: B body, C child, D dual energy, I iterative, Q quantitative, S special,
U ultra-high resolution. Those for the head (H, J) are left out: they correct beam hardening
for a skull, so their HU in a trunk are not known."""

SIEMENS_STEPS = ((35, KernelClass.SOFT), (49, KernelClass.STANDARD), (59, KernelClass.SHARP))
"""Highest sharpness of each class; above are kernels for lung and bone. B30s and B40s are the
standard body kernels, B10s and B20s softer, B50s to B80s sharper and U70u to U90u for bone
(Somatom Sensation, operating instructions A60); a second letter L marks a lung kernel. Where
exactly one class ends is a choice: the scale itself is continuous."""

GE_NAMES: Mapping[str, KernelClass] = {
    "SOFT": KernelClass.SOFT,
    "SMOOTH": KernelClass.SOFT,
    "STANDARD": KernelClass.STANDARD,
    "STND": KernelClass.STANDARD,
    "DETAIL": KernelClass.SHARP,
    "CHEST": KernelClass.SHARP,
    "LUNG": KernelClass.LUNG_BONE,
    "BONE": KernelClass.LUNG_BONE,
    "BONEPLUS": KernelClass.LUNG_BONE,
    "EDGE": KernelClass.LUNG_BONE,
    "EDGEPLUS": KernelClass.LUNG_BONE,
    "ULTRA": KernelClass.LUNG_BONE,
}
"""GE names its kernels by words, here without spaces and the prefix HD. Order of sharpness: soft,
standard, detail, lung, bone, bone plus, edge, as commonly given; not checked against a document of
GE's. Chest lies near detail; which of the two is the sharper is uncertain, so both only count as
sharp. Names of other applications (head, STD+) are left out."""

PHILIPS_NAMES: Mapping[str, KernelClass] = {
    "A": KernelClass.SOFT,
    "SA": KernelClass.SOFT,
    "B": KernelClass.STANDARD,
    "SB": KernelClass.STANDARD,
    "C": KernelClass.STANDARD,
    "SC": KernelClass.STANDARD,
    "D": KernelClass.SHARP,
    "E": KernelClass.LUNG_BONE,
    "F": KernelClass.LUNG_BONE,
    "L": KernelClass.LUNG_BONE,
    "YA": KernelClass.LUNG_BONE,
    "YB": KernelClass.LUNG_BONE,
    "YC": KernelClass.LUNG_BONE,
    "YD": KernelClass.LUNG_BONE,
}
"""Philips names body filters by letters, sharper from A to F; L and Y are for lung and bone. Large
lung studies (NLST, COPDGene) had B or C as their smooth and D as their sharp filter. Not checked
against a document of Philips'. Filters for head (U) and heart (X, C followed by a letter) are left
out: uncertain."""

PHILIPS_IMR = {
    "SOFTTISSUE": KernelClass.SOFT,
    "ROUTINE": KernelClass.STANDARD,
    "SHARPPLUS": KernelClass.SHARP,
}
"""Model-based reconstruction IMR names its image definition instead of a filter."""

CANON_NAME = re.compile(r"^FC(\d{2})(?:[-_ ]?[A-Z]{1,2})?$")
"""FC and a number; a letter behind it marks an option of the reconstruction."""

CANON_RANGES = (
    (range(1, 6), KernelClass.STANDARD),
    (range(7, 10), KernelClass.STANDARD),
    (range(10, 16), KernelClass.STANDARD),
    (range(17, 20), KernelClass.STANDARD),
    (range(30, 40), KernelClass.LUNG_BONE),
    (range(50, 60), KernelClass.LUNG_BONE),
    (range(80, 91), KernelClass.LUNG_BONE),
)
"""Canon (Toshiba): 1-9 body with, 10-19 body without correction for beam hardening by bone; 30-39
bone, 50-59 lung, 80-90 high resolution. FC03 is the soft-tissue kernel beside Siemens' B30 and GE's
standard in the BRIDG model 5.3.1 (attribute convolutionKernel); FC30 is called a bone algorithm
beside the standard FC03 by Wang Y 2011 (doi 10.3969/j.issn.1005-5185.2011.12.004); the other
numbers are as commonly given, not checked against a document of Canon's. Head kernels (20-29,
40-49, 60-69) and the rest are left out; soft and standard are not told apart."""

UNITED_NAME = re.compile(r"^B_(VSOFT|SOFT|SHARP|VSHARP|LUNG|BONE)(?:_[A-Z])?$")
UNITED_WORDS = {
    "VSOFT": KernelClass.SOFT,
    "SOFT": KernelClass.STANDARD,
    "SHARP": KernelClass.SHARP,
    "VSHARP": KernelClass.LUNG_BONE,
    "LUNG": KernelClass.LUNG_BONE,
    "BONE": KernelClass.LUNG_BONE,
}
"""United Imaging: region, a word, a step (B_SOFT_B). Read by its words, as seen in headers; there
is no public table."""


def kernel_class(manufacturer: str, kernel: str) -> KernelClass:
    r"""The class of a kernel.

    Parameters
    ----------
    manufacturer
        Manufacturer (0008,0070). When it names none of the vendors here, a kernel counts as known
        only if all tables that hold its name agree.
    kernel
        Convolution Kernel (0018,1210), several values joined by backslashes; the first counts,
        since the others tell the strength of an iterative reconstruction.

    Notes
    -----
    Hitachi and Fujifilm give their filters numbers of which no table is public: unknown.

    Examples
    --------
    >>> kernel_class("SIEMENS", "Br40d\\3").value
    'standard'
    >>> kernel_class("GE MEDICAL SYSTEMS", "BONE").value
    'lung_bone'
    >>> kernel_class("HITACHI", "22").value
    'unknown'
    """
    name = kernel.split("\\")[0].strip().upper()
    if not name:
        return KernelClass.UNKNOWN
    vendor = re.split(r"[^A-Z]", manufacturer.strip().upper())[0]
    if vendor in VENDORS:
        return VENDORS[vendor](name)
    if vendor in SILENT_VENDORS:
        return KernelClass.UNKNOWN
    found = {table(name) for table in VENDORS.values()} - {KernelClass.UNKNOWN}
    return found.pop() if len(found) == 1 else KernelClass.UNKNOWN


def _siemens(name: str) -> KernelClass:
    match = SIEMENS_NAME.match(name)
    if match is None:
        return KernelClass.UNKNOWN
    sharpness = int(match[3])
    if match[2] == "L":
        return KernelClass.LUNG_BONE
    if sharpness < 10:
        return KernelClass.UNKNOWN
    for highest, kind in SIEMENS_STEPS:
        if sharpness <= highest:
            return kind
    return KernelClass.LUNG_BONE


def _ge(name: str) -> KernelClass:
    word = re.sub(r"[\s_+-]", "", name.replace("+", "PLUS")).removeprefix("HD")
    return GE_NAMES.get(word, KernelClass.UNKNOWN)


def _philips(name: str) -> KernelClass:
    if name.startswith("IMR"):
        definition = re.sub(r"[^A-Z]", "", re.sub(r"^IMR\d?", "", name))
        return PHILIPS_IMR.get(definition, KernelClass.UNKNOWN)
    return PHILIPS_NAMES.get(name, KernelClass.UNKNOWN)


def _canon(name: str) -> KernelClass:
    match = CANON_NAME.match(name)
    if match is not None:
        for numbers, kind in CANON_RANGES:
            if int(match[1]) in numbers:
                return kind
    return KernelClass.UNKNOWN


def _united(name: str) -> KernelClass:
    match = UNITED_NAME.match(name)
    return KernelClass.UNKNOWN if match is None else UNITED_WORDS[match[1]]


VENDORS: Mapping[str, Callable[[str], KernelClass]] = {
    "SIEMENS": _siemens,
    "GE": _ge,
    "PHILIPS": _philips,
    "TOSHIBA": _canon,
    "CANON": _canon,
    "UIH": _united,
    "UNITED": _united,
}
"""Tables by the first word of Manufacturer."""

SILENT_VENDORS = ("HITACHI", "FUJIFILM", "FUJI")
"""Vendors that publish nothing about the names of their kernels."""
