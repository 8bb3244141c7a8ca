"""A scanner with a known offset: allowed for and said, while nothing measured moves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dicom_node.assessment import assessment as assessing
from dicom_node.errors import SettingsInvalid
from dicom_node.reporting.report import report
from dicom_node.reporting.words.document_words import l1_line
from dicom_node.reporting.words.impression import Evidence, impression
from dicom_node.series.selection import check_series
from dicom_node.settings.node import Acquisition, ScannerOffset, load_settings
from tests.assessment_builders import assessment_of, image_facts
from tests.dicom_builders import instances

OFFSET = ScannerOffset(
    manufacturer="ge ", model="REVOLUTION", bone_hu=8, muscle_hu=-3, source="phantom, 12 scans"
)


class Listening:
    """A stager that keeps what it was given."""

    def __init__(self) -> None:
        self.staged: list[np.ndarray] = []

    def stage(self, mean_hu: np.ndarray, _age: object, _sex: object) -> object:
        self.staged.append(mean_hu)
        return assessment_of(check_series(instances(), Acquisition()), abstained="no").prediction


@pytest.mark.parametrize(("scanners", "bone", "muscle"), [((OFFSET,), 8.0, -3.0), ((), 0.0, 0.0)])
def test_the_model_is_given_what_the_cohorts_scanner_would_have_read(
    monkeypatch: pytest.MonkeyPatch, scanners: tuple[ScannerOffset, ...], bone: float, muscle: float
) -> None:
    series = check_series(instances(), Acquisition())
    features = assessment_of(series).features
    facts = image_facts()
    monkeypatch.setattr(assessing, "check_image", lambda *_: (facts, []))

    def measured(_volume: object, _segmenter: object, check: object, _correction: object) -> object:
        check(None)  # type: ignore[operator]
        return features

    monkeypatch.setattr(assessing, "extract", measured)
    stager = Listening()
    found = assessing.assess(series, None, None, stager, None, scanners=scanners)  # type: ignore[arg-type]
    [given] = stager.staged
    moved = features.mean_hu - given
    assert np.all((moved[:6] == bone) | np.isnan(moved[:6]))
    assert np.all((moved[6:] == muscle) | np.isnan(moved[6:]))
    assert np.array_equal(found.features.mean_hu, features.mean_hu, equal_nan=True)
    said = [f.message for f in found.findings if f.code == "acquisition.scanner_offset"]
    assert len(said) == len(scanners)
    assert all("bone +8 HU and muscle -3 HU" in words and "12 scans" in words for words in said)


def test_the_thresholds_of_l1_lie_where_this_scanner_reads_them() -> None:
    assessed = assessment_of(check_series(instances(), Acquisition()), mean_hu=114.0)
    without = report(assessed, {})
    assert without.l1_threshold.category == "middle"
    allowed = report(replace(assessed, offset=OFFSET), {})
    assert allowed.sites[0].mean_hu == 114.0
    assert allowed.l1_threshold.category == "low"
    assert allowed.l1_threshold.specific_hu == 118.0
    assert "threshold of 118 HU" in allowed.impression[0]
    assert l1_line(allowed)[1].endswith("thresholds moved by +8 HU")
    assert allowed.acquisition.scanner_offset is not None
    assert without.acquisition.scanner_offset is None


def test_l1_beside_a_moved_threshold_is_written_with_the_digits_it_needs() -> None:
    assert impression(Evidence(118.3, offset_hu=8.0))[0].startswith("L1 118.3 HU: ")


def test_another_scanner_is_not_meant() -> None:
    assert not OFFSET.of("GE", "Revolution EVO")
    assert not OFFSET.of("", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('manufacturer = "A"\nmodel = "B"\nbone_hu = 8', "source"),
        ('manufacturer = "A"\nmodel = "B"\nbone_hu = 80\nsource = "s"', "bone_hu"),
        ('manufacturer = "A"\nmodel = "B"\nsource = "s"\n[[acquisition.scanners]]\n'
         'manufacturer = "a"\nmodel = "b"\nsource = "t"', "stands there twice"),
    ],
)  # fmt: skip
def test_an_offset_without_a_source_or_stated_twice_is_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f'data_dir = "{tmp_path}"\n[[acquisition.scanners]]\n{text}\n')
    with pytest.raises(SettingsInvalid, match=said):
        load_settings(config)
