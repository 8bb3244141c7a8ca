"""Blood, psoas and fat as they leave the node: report.json, Structured Report, text and pages."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_node.assessment.assessment import Assessment
from dicom_node.reporting.checks.report_check import find_faults, sources_of
from dicom_node.reporting.references import reference_items, references_report
from dicom_node.reporting.report import report
from dicom_node.reporting.structured_report import build_structured_report
from dicom_node.reporting.words.document_words import acquisition_rows
from dicom_node.reporting.words.report_text import text_summary
from dicom_node.series.instances import scan_folder
from dicom_node.series.selection import check_series
from dicom_node.series.volume_reader import read_volume
from dicom_node.settings.node import Acquisition
from roi_extraction.builtin.spine import find_spine
from roi_extraction.checks.aorta import Aorta, find_aorta
from roi_extraction.checks.contrast_phase import ContrastPhase, contrast_phase
from roi_extraction.checks.fat import Fat, FatNotFound, find_fat
from roi_extraction.checks.vena_cava import VenaCava, find_vena_cava
from tests.assessment_builders import assessment, image_facts
from tests.dicom_builders import plain_series

AORTA, VEIN, PSOAS, SKIN, L1 = "7832008", "64131007", "68455001", "71966008", "66794005"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Assessment:
    folder = tmp_path_factory.mktemp("references") / "series"
    plain_series(folder)
    return assessment(folder)


@pytest.fixture(scope="module")
def enhanced(plain: Assessment) -> Assessment:
    return replace(plain, image=image_facts(166.0, ContrastPhase.PORTAL_VENOUS, -94.0))


@pytest.fixture(scope="module")
def written(enhanced: Assessment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("written") / "report.dcm"
    build_structured_report(enhanced, "id-1").save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def document(written: Path) -> Dataset:
    return pydicom.dcmread(written)


def measured(document: Dataset) -> dict[str, Dataset]:
    """The numbers of the supplement that have a place, by its code."""
    [supplement] = [
        item
        for item in document.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "111414"
    ]
    return {
        child.ConceptCodeSequence[0].CodeValue: item
        for item in supplement.ContentSequence
        for child in item.get("ContentSequence", ())
        if child.ConceptNameCodeSequence[0].CodeValue == "363698007"
    }


def faults(document: Dataset) -> list[str]:
    """Codes of the faults that need no images."""
    without_images = ("report.internal_reference", "report.value", "report.unit", "report.content")
    return [fault.code for fault in find_faults(document, {}) if fault.code in without_images]


def test_structured_report_holds_each_reference_at_its_place(document: Dataset) -> None:
    values = {
        place: float(item.MeasuredValueSequence[0].NumericValue)
        for place, item in measured(document).items()
    }
    assert values == {AORTA: 166.0, VEIN: 41.0, PSOAS: 123.0, SKIN: -94.0}
    assert faults(document) == []


def test_reference_that_was_not_measured_says_why(plain: Assessment) -> None:
    image = replace(image_facts(), fat=FatNotFound("too little fat"))
    bare = replace(plain, image=image)
    found = references_report(bare)
    assert (found.aorta.mean_hu, found.aorta.missing) == (None, "no aorta")
    assert (found.fat.mean_hu, found.fat.missing, found.fat_place) == (None, "too little fat", None)
    words = [item.get("TextValue") for item in reference_items(bare)]
    assert "Blood in the aorta: not measured, no aorta" in words
    assert "Fat: not measured, too little fat" in words
    assert "Reference Blood in the vena cava: not measured: no vein" in text_summary(
        report(bare, {})
    )


def test_text_and_pages_say_value_range_and_phase(enhanced: Assessment) -> None:
    rows = dict(acquisition_rows(report(enhanced, {})))
    assert rows["Blood in the aorta"] == "166 HU (unenhanced blood about 30 to 45)"
    assert rows["Contrast phase"] == "portal venous"
    assert rows["Fat, subcutaneous"] == "-94 ± 14 HU (95 % of abdominal CT -123 to -89)"
    assert "Reference Contrast phase: portal venous" in text_summary(report(enhanced, {}))


def test_report_of_a_version_before_references_still_reads(enhanced: Assessment) -> None:
    older = report(enhanced, {}).model_copy(update={"references": None})
    assert "Contrast phase" not in dict(acquisition_rows(older))
    assert "Reference" not in text_summary(older)


def test_report_of_an_earlier_form_without_references_passes_the_check(document: Dataset) -> None:
    for item in document.ContentSequence:
        item.ContentSequence = [
            child
            for child in item.get("ContentSequence", ())
            if child.ConceptNameCodeSequence[0].CodeValue not in ("112031", "CONTRAST-PHASE")
        ]
    assert faults(document) == []


def fat_as_bright_as_muscle(document: Dataset) -> None:
    measured(document)[SKIN].MeasuredValueSequence[0].NumericValue = "50"


def blood_in_a_vertebra(document: Dataset) -> None:
    place = measured(document)[AORTA].ContentSequence[0].ConceptCodeSequence[0]
    place.CodeValue, place.CodeMeaning = L1, "L1 vertebra"


def vein_twice(document: Dataset) -> None:
    place = measured(document)[AORTA].ContentSequence[0].ConceptCodeSequence[0]
    place.CodeValue, place.CodeMeaning = VEIN, "Inferior vena cava"


def no_mean(document: Dataset) -> None:
    del measured(document)[VEIN].ContentSequence[1]


def spread_in_other_units(document: Dataset) -> None:
    unit = measured(document)[SKIN].ContentSequence[2].MeasuredValueSequence[0]
    unit.MeasurementUnitsCodeSequence[0].CodeValue = "1"
    unit.MeasurementUnitsCodeSequence[0].CodeMeaning = "no units"


def stage_for_a_phase(document: Dataset) -> None:
    for container in document.ContentSequence:
        for item in container.get("ContentSequence", ()):
            if item.ConceptNameCodeSequence[0].CodeValue == "CONTRAST-PHASE":
                item.ConceptCodeSequence[0].CodeValue = "STAGE-A"


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (fat_as_bright_as_muscle, "report.value"),
        (blood_in_a_vertebra, "report.internal_reference"),
        (vein_twice, "report.internal_reference"),
        (no_mean, "report.internal_reference"),
        (spread_in_other_units, "report.unit"),
        (stage_for_a_phase, "report.internal_reference"),
    ],
)
def test_broken_reference_is_stopped(
    document: Dataset, damage: Callable[[Dataset], None], code: str
) -> None:
    damage(document)
    assert code in faults(document)


def test_phase_without_blood_in_the_aorta_is_stopped(plain: Assessment) -> None:
    image = replace(image_facts(), phase=ContrastPhase.ARTERIAL)
    document = build_structured_report(replace(plain, image=image), "id-1")
    assert "report.internal_reference" in faults(document)


def test_whole_report_with_references_passes_the_check(
    enhanced: Assessment, document: Dataset
) -> None:
    assert find_faults(document, sources_of(enhanced.series.slices)) == []


@pytest.mark.shared
def test_portal_venous_scan_is_told_as_such(shared_data: Path) -> None:
    instances, _ = scan_folder((shared_data / "ct" / "pancreas_cb001").glob("*.dcm"))
    volume = read_volume(check_series(instances, Acquisition()))
    spine = find_spine(volume)
    aorta, vein = find_aorta(volume, spine), find_vena_cava(volume, spine)
    fat = find_fat(volume, spine)
    assert isinstance(aorta, Aorta)
    assert isinstance(vein, VenaCava)
    assert isinstance(fat, Fat)
    assert aorta.mean_hu == pytest.approx(166, abs=4)
    assert vein.mean_hu == pytest.approx(105, abs=4)
    assert fat.mean_hu == pytest.approx(-94, abs=2)
    assert fat.usual
    assert contrast_phase(volume, spine, aorta, vein) is ContrastPhase.PORTAL_VENOUS
