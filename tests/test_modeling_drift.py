"""Whether a scanner's HU stay where they were."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dicom_node.cli import app
from modeling.cohort.table import RawTable, read_table
from modeling.drift.control_chart import MIN_MONTH, control_chart
from modeling.drift.drift_files import charts_of
from modeling.drift.scanner_months import measurements_of
from modeling.errors import CohortLayout, CohortValue

MONTHS = tuple(f"{2024 + m // 12}-{m % 12 + 1:02d}" for m in range(24))
HEADER = ("study_date", "manufacturer", "model", "kernel", "contrast", "L1", "L1-L2_3", "L1-L2_6",
          "aorta_hu", "noise_sd_hu")  # fmt: skip


def simulated(
    seed: int, step_hu: float = 0.0, number: int = 30, sd: float = 45.0
) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    return {
        month: rng.normal(130 + step_hu * (place >= 12), sd, number).tolist()
        for place, month in enumerate(MONTHS)
    }


def rows(step_hu: float, model: str = "Scanner 1") -> list[tuple[str, ...]]:
    rng = np.random.default_rng(3)
    found: list[tuple[str, ...]] = []
    for place, month in enumerate(MONTHS):
        for _ in range(25):
            shift = step_hu * (place >= 12)
            l1, muscle, aorta = rng.normal((130, 55, 42), (45, 9, 5)) + shift
            found.append(
                (month.replace("-", "") + "15", "Maker", model, "B30", "no", f"{l1:.1f}",
                 f"{muscle:.1f}", "", f"{aorta:.1f}", f"{rng.normal(12, 1.5):.1f}")
            )  # fmt: skip
    return found


def test_stable_scanners_are_left_alone_and_a_step_is_seen_at_its_month() -> None:
    alarms = sum(control_chart(simulated(seed)).step is not None for seed in range(60))
    assert alarms <= 12  # one in ten in two years of 30 series a month (bench.drift)
    steps = [control_chart(simulated(seed, -30.0)).step for seed in range(60)]
    seen = [step for step in steps if step is not None]
    assert len(seen) >= 58
    assert np.median([step.change for step in seen]) == pytest.approx(-30, abs=8)
    assert np.mean([step.since in MONTHS[10:14] for step in seen]) > 0.8


def test_a_slow_measure_needs_the_sum_and_a_month_of_few_values_is_not_judged() -> None:
    values = simulated(1, sd=10.0)
    for place, month in enumerate(MONTHS[12:]):
        values[month] = [value + 4.5 for value in values[month]]
        if place == 0:
            values[month] = [value + 500 for value in values[month][: MIN_MONTH - 1]]
    chart = control_chart(values)
    assert not chart.months[12].outside
    assert chart.step is not None
    assert chart.step.since in MONTHS[11:15]
    assert chart.step.seen > MONTHS[13]


def test_without_a_baseline_there_are_no_limits() -> None:
    chart = control_chart({"2026-01": [120.0] * 40})
    assert (chart.centre, chart.step) == (None, None)
    assert (chart.months[0].lower, chart.months[0].outside) == (None, False)


def test_limits_widen_where_a_month_has_few_values() -> None:
    values = simulated(2)
    values[MONTHS[20]] = values[MONTHS[20]][:6]
    months = {month.month: month for month in control_chart(values).months}
    few, many = months[MONTHS[20]], months[MONTHS[21]]
    widths = [(month.upper or 0.0) - (month.lower or 0.0) for month in (few, many)]
    assert widths[0] > 1.5 * widths[1] > 0


def test_scanners_kernels_and_contrast_have_charts_of_their_own() -> None:
    table = RawTable(
        HEADER,
        (
            *rows(0)[:2],
            ("20260101", "Maker", "Scanner 1", "B60", "no", "100", "", "", "", ""),
            ("20260101", "Maker", "Scanner 1", "B30", "yes", "150", "", "", "160", ""),
            ("", "Maker", "Scanner 1", "B30", "yes", "150", "", "", "160", ""),
            ("20260101", "Maker", "Scanner 1", "B30", "yes", "", "", "", "", ""),
        ),
    )
    charts = charts_of(measurements_of(table))
    assert [(s.kernel, s.contrast) for s in charts] == [
        ("B30", "with"), ("B30", "without"), ("B60", "without")
    ]  # fmt: skip
    with_contrast = next(iter(charts.values()))
    assert sum(month.number for month in with_contrast["l1"].months) == 1
    assert set(with_contrast) == {"l1", "aorta"}


def test_tables_that_cannot_be_followed_are_refused() -> None:
    with pytest.raises(CohortLayout, match="study_date"):
        list(measurements_of(RawTable(("L1",), (("100",),))))
    wrong = ("20260101", "Maker", "S", "B30", "no", "1O0", "", "", "", "")
    with pytest.raises(CohortValue, match="data row 1, column 'L1'"):
        list(measurements_of(RawTable(HEADER, (wrong,))))


def test_command_writes_table_and_charts_and_says_what_moved(tmp_path: Path) -> None:
    table, out = tmp_path / "results.csv", tmp_path / "drift"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows(12), *rows(0, "Scanner 2")])
    result = CliRunner().invoke(app, ["drift", str(table), "-o", str(out)])
    assert result.exit_code == 1, result.output
    moved = [line for line in result.output.splitlines() if " since " in line]
    assert moved
    assert all("Scanner 1" in line for line in moved)
    assert any("muscle" in line for line in moved)
    summary = json.loads((out / "drift.json").read_text())
    first, second = summary["scanners"]
    assert first["measures"]["aorta"]["step"]["since"] == MONTHS[12]
    assert first["measures"]["aorta"]["step"]["seen"] == MONTHS[12]
    assert first["measures"]["aorta"]["step"]["change_hu"] == pytest.approx(12, abs=3)
    assert all(measure["step"] is None for measure in second["measures"].values())
    written = read_table(out / "drift.csv")
    assert len(written.rows) == 2 * 4 * len(MONTHS)
    assert (out / "scanner-001.png").stat().st_size > 10_000
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    CliRunner().invoke(app, ["drift", str(table), "-o", str(out)])
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
