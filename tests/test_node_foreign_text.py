"""Texts of headers that were made to mislead: in no log, metric, record, status or file name."""

import itertools
import random
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage
from typer.testing import CliRunner, Result

from dicom_node.analysis import analysis, models
from dicom_node.assessment.segment_codes import describe_segment
from dicom_node.cli import app
from dicom_node.foreign_text import cleaned
from dicom_node.monitoring.metrics import StatusCollector
from dicom_node.monitoring.status import StatusReader
from dicom_node.settings.node import load_settings
from roi_extraction.errors import InvalidSegmentation
from tests.dicom_builders import plain_series
from tests.fault_node import SLICES, FaultNode, MoodyPacs, send_until_taken
from tests.quick_assessment import QuickStager, quick_assessment

NUMBERS = itertools.count(1)
UNCHANGED_FOR_REPORTED = (
    "Manufacturer", "ManufacturerModelName", "SeriesDescription", "ContrastBolusAgent",
    "ConvolutionKernel", "StudyDescription", "StationName", "InstitutionName",
)  # fmt: skip
"""Texts that are read, or lie beside those that are, in a series that is reported all the same."""

OF_EACH_REFUSAL = {
    "series.not_ct": ("Modality",),
    "series.derived": ("ImageType",),
    "series.not_hu": ("RescaleType",),
    "series.mixed_acquisition": ("ConvolutionKernel",),
    "series.kvp": (
        "PatientSex", "PatientAge", "PatientPosition", "LossyImageCompression",
        "FrameOfReferenceUID", "ContentDate", "ContentTime", "PatientBirthDate", "StudyDate",
    ),
}  # fmt: skip
"""The texts of series that are refused, by the code of the refusal: those that the message quotes,
and in the last all others that are read."""


def marker() -> str:
    """A text as no device writes it; each is another."""
    return f'MARK{next(NUMBERS):03d}\n\x1b[31m"ZWIEBELFISCH^EVE=' + "X" * 300


def planted_series(folder: Path, study: int, code: str | None, keywords: Any) -> list[Path]:
    """A series of a study of its own with a marker in each of some elements."""
    kvp = 140.0 if code == "series.kvp" else 120.0
    paths = plain_series(folder, SLICES, kvp=kvp)
    texts = {keyword: marker() for keyword in keywords}
    for index, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        dataset.StudyInstanceUID = f"2.25.77{study}"
        dataset.SeriesInstanceUID = f"2.25.77{study}.1"
        dataset.SOPInstanceUID = f"2.25.77{study}.1.{index + 1}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        with pydicom.config.disable_value_validation():
            for keyword, text in texts.items():
                setattr(dataset, keyword, text)
            if code == "series.mixed_acquisition" and index % 2:
                dataset.ConvolutionKernel = "B30f"
            dataset.save_as(path)
    return paths


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom speaks of each planted value
        yield


def leaks(whole: str) -> list[str]:
    """What is in some outputs that should not be."""
    found = [
        f"raw {text!r}" for text in ("\x1b[31m", "\\u001b", "\\x1b", "X" * 65) if text in whole
    ]
    for text in re.findall(r"MARK\d{3}.{0,20}", whole, re.IGNORECASE | re.DOTALL):
        if not text.upper().startswith(f"{text[:7].upper()}___31M_ZWIEBEL"):
            found.append(text)
    return found


def test_cleaned_text_holds_plain_characters_only_and_says_what_was_cut() -> None:
    text = marker()
    assert cleaned(text).endswith(f" (cut, {len(text)} characters)")
    assert re.fullmatch(r"[A-Za-z0-9 ._^\\-]{64}", cleaned(text)[:64])
    assert cleaned("ORIGINAL\\PRIMARY\\AXIAL") == "ORIGINAL\\PRIMARY\\AXIAL"
    assert cleaned("x" * 64) == "x" * 64
    assert leaks(text)
    assert not leaks(cleaned(text))


def test_planted_texts_reach_no_output_of_a_node_but_cleaned(tmp_path: Path) -> None:
    pacs = MoodyPacs(1).start()
    try:
        with FaultNode(tmp_path / "node", [pacs.port], "max_wait_seconds = 2") as node:
            series = [
                planted_series(tmp_path / f"{study}", study, code, keywords)
                for study, (code, keywords) in enumerate(
                    [(None, UNCHANGED_FOR_REPORTED), *OF_EACH_REFUSAL.items()], 1
                )
            ]
            for paths in series:
                send_until_taken(node.port, paths, random.Random(1))
            impostor = AE(ae_title='MARK000"EVE')
            impostor.add_requested_context(CTImageStorage)
            association = impostor.associate("127.0.0.1", node.port, ae_title="WRONG")
            assert association.is_rejected
            node.wait_for(lambda: len(node.events("refused")) >= len(OF_EACH_REFUSAL))
            node.wait_for(lambda: node.events("delivered"))
            refused = {line["code"]: line["reason"] for line in node.events("refused")}
            registry = CollectorRegistry(auto_describe=False)
            reader = StatusReader(load_settings(node.config))
            registry.register(StatusCollector(reader.read))
            metrics = generate_latest(registry).decode()
            reader.close()
            said = [node.command("status", "--json"), node.command("failed")]
    finally:
        pacs.stop()
    assert set(refused) == set(OF_EACH_REFUSAL)
    quoting = [code for code in OF_EACH_REFUSAL if code != "series.kvp"]
    assert [code for code in quoting if "ZWIEBELFISCH^EVE_" not in refused[code]] == []
    [association_refused] = node.events("association refused")
    assert association_refused["calling_ae"] == "MARK000_EVE"

    outputs = [metrics, *(text for result in said for text in (result.stdout, result.stderr))]
    outputs.append(node.log_path.read_text())
    for path in node.data.rglob("*"):
        outputs.append(path.name)
        if path.is_file() and path.suffix != ".dcm" and path.name != "report.json":
            outputs.append(path.read_bytes().decode("latin-1"))
    whole = "\n".join(outputs).replace("MARK000_EVE", "")
    assert '"series.kvp"' in whole
    assert leaks(whole) == []
    assert list((node.data / "audit").iterdir())


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "assess", quick_assessment)
    monkeypatch.setattr(models, "load_models", lambda _bundle: (QuickStager(), None))


def analyze(source: Path, out: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["analyze", str(source), "-o", str(out), *options])


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize(
    ("code", "keywords", "options"),
    [
        (None, UNCHANGED_FOR_REPORTED, ()),
        *((code, keywords, ()) for code, keywords in OF_EACH_REFUSAL.items()),
        ("series.invalid_uid", ("SeriesInstanceUID",), ()),
        ("series.invalid_uid", ("StudyInstanceUID",), ()),
        ("series.not_ct", ("SOPClassUID",), ()),
        (
            "acquisition.kernel_unknown",
            ("ConvolutionKernel", "Manufacturer"),
            ("--rule", "kernel_unknown=strict"),
        ),
    ],
)
def test_planted_texts_reach_no_terminal_but_cleaned(
    tmp_path: Path, code: str | None, keywords: tuple[str, ...], options: tuple[str, ...]
) -> None:
    planted_series(tmp_path / "ct", 1, code, keywords)
    result = analyze(tmp_path / "ct", tmp_path / "out", *options)
    assert result.exit_code == (code is not None), result.output
    if code is not None:
        assert f"[{code}]" in result.stderr
    assert leaks(result.output) == []
    assert leaks((tmp_path / "out" / "report.txt").read_text()) == []


def test_libraries_say_nothing_of_planted_texts(tmp_path: Path) -> None:
    keywords = (*UNCHANGED_FOR_REPORTED, *OF_EACH_REFUSAL["series.kvp"], "ImageType")
    planted_series(tmp_path / "ct", 1, "series.derived", keywords)
    result = subprocess.run(
        [sys.executable, "-m", "dicom_node", "analyze", tmp_path / "ct", "-o", tmp_path / "out"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert leaks(result.stdout + result.stderr) == []


def test_label_of_a_segment_is_quoted_cleaned() -> None:
    text = marker()
    segment, vertebrae = Dataset(), [Dataset(), Dataset()]
    for vertebra, code in zip(vertebrae, ("36470004", "49668003"), strict=True):
        vertebra.CodeValue, vertebra.CodingSchemeDesignator = code, "SCT"
    segment.SegmentNumber = 1
    segment.SegmentedPropertyTypeCodeSequence = vertebrae
    with pydicom.config.disable_value_validation():
        segment.SegmentLabel = text
    with pytest.raises(InvalidSegmentation) as refused:
        describe_segment(segment)
    assert text[:7] in str(refused.value)
    assert leaks(str(refused.value)) == []
