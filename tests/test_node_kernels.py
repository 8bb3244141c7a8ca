import pytest

from dicom_node.series.kernels import KernelClass, kernel_class

SOFT, STANDARD, SHARP = KernelClass.SOFT, KernelClass.STANDARD, KernelClass.SHARP
LUNG_BONE, UNKNOWN = KernelClass.LUNG_BONE, KernelClass.UNKNOWN

KNOWN = [
    ("SIEMENS", "B20f", SOFT),
    ("SIEMENS", "B30s", SOFT),
    ("SIEMENS", "B40f", STANDARD),
    ("SIEMENS", "B41s", STANDARD),
    ("SIEMENS", "B50f", SHARP),
    ("SIEMENS", "B70f", LUNG_BONE),
    ("SIEMENS", "B80s", LUNG_BONE),
    ("SIEMENS", "U90u", LUNG_BONE),
    ("Siemens Healthineers", "Br40d\\3", STANDARD),
    ("SIEMENS", "Br38f\\3", STANDARD),
    ("SIEMENS", "Bl57d\\2", LUNG_BONE),
    ("SIEMENS", "Bl44", LUNG_BONE),
    ("SIEMENS", "Br59d", SHARP),
    ("SIEMENS", "Br64d", LUNG_BONE),
    ("SIEMENS", "I30f\\3", SOFT),
    ("SIEMENS", "I70f", LUNG_BONE),
    ("SIEMENS", "Qr40", STANDARD),
    ("SIEMENS", "D30f", SOFT),
    ("SIEMENS", "H31s", UNKNOWN),
    ("SIEMENS", "Hr40f", UNKNOWN),
    ("SIEMENS", "T20s", UNKNOWN),
    ("SIEMENS", "STANDARD", UNKNOWN),
    ("GE MEDICAL SYSTEMS", "SOFT", SOFT),
    ("GE MEDICAL SYSTEMS", "STANDARD", STANDARD),
    ("GE MEDICAL SYSTEMS", "DETAIL", SHARP),
    ("GE MEDICAL SYSTEMS", "CHEST", SHARP),
    ("GE MEDICAL SYSTEMS", "LUNG", LUNG_BONE),
    ("GE MEDICAL SYSTEMS", "HD LUNG", LUNG_BONE),
    ("GE MEDICAL SYSTEMS", "BONE", LUNG_BONE),
    ("GE MEDICAL SYSTEMS", "BONEPLUS", LUNG_BONE),
    ("GE MEDICAL SYSTEMS", "Bone Plus", LUNG_BONE),
    ("GE MEDICAL SYSTEMS", "EDGE", LUNG_BONE),
    ("GE MEDICAL SYSTEMS", "STD+", UNKNOWN),
    ("Philips", "A", SOFT),
    ("Philips", "B", STANDARD),
    ("Philips", "C", STANDARD),
    ("Philips", "D", SHARP),
    ("Philips", "E", LUNG_BONE),
    ("Philips", "YA", LUNG_BONE),
    ("Philips", "YB", LUNG_BONE),
    ("Philips", "UB", UNKNOWN),
    ("Philips", "IMR1,Routine", STANDARD),
    ("Philips", "IMR2,SharpPlus", SHARP),
    ("TOSHIBA", "FC03", STANDARD),
    ("TOSHIBA", "FC13", STANDARD),
    ("Canon Medical Systems", "FC18-H", STANDARD),
    ("CANON_MEC", "FC08", STANDARD),
    ("TOSHIBA", "FC30", LUNG_BONE),
    ("TOSHIBA", "FC51", LUNG_BONE),
    ("TOSHIBA", "FC86", LUNG_BONE),
    ("TOSHIBA", "FC26", UNKNOWN),
    ("UIH", "B_SOFT_B", STANDARD),
    ("UIH", "B_VSOFT_B", SOFT),
    ("UIH", "B_SHARP_C", SHARP),
    ("UIH", "B_VSHARP_C", LUNG_BONE),
    ("HITACHI", "22", UNKNOWN),
    ("FUJIFILM Corporation", "STANDARD", UNKNOWN),
    ("SIEMENS", "", UNKNOWN),
]


@pytest.mark.parametrize(("manufacturer", "kernel", "expected"), KNOWN)
def test_kernels_are_told_by_their_vendor(
    manufacturer: str, kernel: str, expected: KernelClass
) -> None:
    assert kernel_class(manufacturer, kernel) is expected


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ("STANDARD", STANDARD),
        ("B30f", SOFT),
        ("FC51", LUNG_BONE),
        ("E", LUNG_BONE),
        ("X9", UNKNOWN),
    ],
)
def test_without_a_vendor_a_name_counts_when_no_table_contradicts(
    kernel: str, expected: KernelClass
) -> None:
    assert kernel_class("", kernel) is expected
    assert kernel_class("Some Workstation", kernel) is expected


def test_a_vendor_is_known_by_its_first_word() -> None:
    assert kernel_class("GENERIC PACS", "B30f") is SOFT
    assert kernel_class("GE MEDICAL SYSTEMS", "B30f") is UNKNOWN
