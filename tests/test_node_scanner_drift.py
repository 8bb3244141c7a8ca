"""What a node measured on its own studies, followed by scanner and month."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from typer.testing import CliRunner

from dicom_node.cli import app
from dicom_node.monitoring.metrics import StatusCollector
from dicom_node.monitoring.status import StatusReader
from dicom_node.monitoring.status_text import status_text
from dicom_node.records.database import open_database
from dicom_node.records.followed_studies import follow_study, followed_values
from dicom_node.records.scanner_drift import DriftWatch, read_steps
from dicom_node.settings.node import NodeSettings
from roi_extraction.sites import SITES


def report(l1: float | None, muscle: float) -> dict[str, Any]:
    hu = {site.name: None for site in SITES} | {"L1": l1, "L2-L3_3": muscle, "L2-L3_6": muscle + 1}
    return {
        "acquisition": {
            "manufacturer": "Maker", "model": "Scanner 1", "kernel": "B30", "contrast": False,
            "aorta_hu": None, "noise_sd_hu": 11.5,
        },
        "sites": [{"name": name, "mean_hu": value} for name, value in hu.items()],
    }  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> NodeSettings:
    return NodeSettings(data_dir=tmp_path)


def follow_two_years(settings: NodeSettings, step_hu: float) -> None:
    engine = open_database(settings.database, make=True)
    rng = np.random.default_rng(5)
    with engine.begin() as connection:
        for month in range(24):
            date = f"{2024 + month // 12}{month % 12 + 1:02d}11"
            for number in range(20):
                muscle = rng.normal(55, 9) + step_hu * (month >= 12)
                measured = report(rng.normal(130, 45), muscle)
                follow_study(connection, f"{month:03d}-{number}", date, measured)
    DriftWatch(engine, settings.data_dir).look()
    engine.dispose()


def test_a_study_that_is_assessed_again_counts_once(settings: NodeSettings) -> None:
    engine = open_database(settings.database, make=True)
    with engine.begin() as connection:
        follow_study(connection, "b", "20260101", report(100.0, 50.0))
        follow_study(connection, "a", "", report(None, 40.0))
        follow_study(connection, "b", "20260101", report(120.0, 50.0))
    found = list(followed_values(engine))
    engine.dispose()
    assert [(*stated.values(), hu.get("L1")) for stated, hu in found] == [
        ("", "Maker", "Scanner 1", "B30", "no", None),
        ("20260101", "Maker", "Scanner 1", "B30", "no", 120.0),
    ]


def test_a_step_is_in_the_status_the_metrics_and_the_charts(
    settings: NodeSettings, tmp_path: Path
) -> None:
    follow_two_years(settings, -12.0)
    (step,) = read_steps(settings.data_dir)
    assert (step.measure, step.since) == ("muscle", "2025-01")
    assert step.change_hu == pytest.approx(-12, abs=5)
    reader = StatusReader(settings)
    status = reader.read()
    reader.close()
    assert "Maker Scanner 1, kernel B30, no contrast: muscle -" in status_text(status)
    assert status.to_json()["scanner_steps"][0]["since"] == "2025-01"
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StatusCollector(lambda: status))
    assert 'osteonode_scanner_step_hu{measure="muscle"' in generate_latest(registry).decode()
    config = tmp_path / "node.toml"
    config.write_text(f'data_dir = "{tmp_path}"\n')
    result = CliRunner().invoke(app, ["drift", "-c", str(config), "-o", str(tmp_path / "drift")])
    assert result.exit_code == 1, result.output
    assert "muscle -" in result.output


def test_steady_scanners_raise_nothing(settings: NodeSettings) -> None:
    follow_two_years(settings, 0.0)
    assert read_steps(settings.data_dir) == ()


def test_drift_wants_one_source(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["drift", "-o", str(tmp_path / "drift")])
    assert result.exit_code == 2
    config = tmp_path / "node.toml"
    config.write_text(f'data_dir = "{tmp_path}"\n')
    result = CliRunner().invoke(app, ["drift", "-c", str(config), "-o", str(tmp_path / "drift")])
    assert result.exit_code == 2
    assert "no worker has run" in result.output
