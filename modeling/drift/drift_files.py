"""The table, the charts and what they say, in a folder."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from modeling.drift.control_chart import ControlChart, control_chart
from modeling.drift.scanner_months import MEASURES, Measurement, Scanner, by_scanner
from modeling.files import write_whole

__all__ = ["DRIFT_TABLE", "Charts", "charts_of", "drift_summary", "drift_table", "write_drift"]

DRIFT_TABLE = "drift.csv"
DRIFT_SUMMARY = "drift.json"
SCHEMA = "osteonode.drift/1"

COLUMNS = (
    "manufacturer", "model", "kernel", "contrast", "measure", "month", "n", "median_hu",
    "centre_hu", "lower_hu", "upper_hu", "baseline", "outside",
)  # fmt: skip

Charts = dict[Scanner, dict[str, ControlChart]]


def charts_of(found: Iterable[Measurement]) -> Charts:
    """Draw up the control chart of every measure of every scanner."""
    return {
        scanner: {name: control_chart(measures[name]) for name in MEASURES if name in measures}
        for scanner, measures in by_scanner(found).items()
    }


def drift_summary(charts: Charts) -> dict[str, Any]:
    """What the charts say, for programs: each scanner's measures and their steps."""
    return {
        "schema": SCHEMA,
        "scanners": [
            {
                **asdict(scanner),
                "measures": {name: _summary(chart) for name, chart in measures.items()},
            }
            for scanner, measures in charts.items()
        ],
    }


def write_drift(charts: Charts, out: Path) -> dict[str, Any]:
    """Write ``drift.csv``, ``drift.json`` and a chart a scanner as SVG and PNG; give the summary.

    Charts of a former run in the folder are replaced.
    """
    out.mkdir(parents=True, exist_ok=True)
    for former in out.glob("scanner-[0-9][0-9][0-9].*"):
        former.unlink()
    summary = drift_summary(charts)
    for number, (scanner, measures) in enumerate(charts.items(), start=1):
        name = f"scanner-{number:03d}"
        summary["scanners"][number - 1]["chart"] = f"{name}.svg"
        _write_chart(scanner, measures, out / name)
    write_whole(out / DRIFT_TABLE, drift_table(charts).encode())
    write_whole(out / DRIFT_SUMMARY, (json.dumps(summary, indent=1) + "\n").encode())
    return summary


def _write_chart(scanner: Scanner, charts: Mapping[str, ControlChart], stem: Path) -> None:
    from matplotlib import rc_context

    from modeling.drift.drift_figures import plot_scanner

    figure = plot_scanner(scanner, charts)
    with rc_context({"svg.hashsalt": stem.name}):
        for suffix, metadata in ((".svg", {"Date": None}), (".png", {"Software": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=suffix[1:], dpi=150, metadata=metadata)
            write_whole(stem.with_suffix(suffix), buffer.getvalue())


def _summary(chart: ControlChart) -> dict[str, Any]:
    return {
        "n": sum(month.number for month in chart.months),
        "months": len(chart.months),
        "centre_hu": None if chart.centre is None else round(chart.centre, 1),
        "step": None
        if chart.step is None
        else {
            "since": chart.step.since,
            "seen": chart.step.seen,
            "change_hu": round(chart.step.change, 1),
        },
    }


def drift_table(charts: Charts) -> str:
    """All months of all charts as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for scanner, measures in charts.items():
        for name, chart in measures.items():
            for month in chart.months:
                limits = (month.centre, month.lower, month.upper)
                writer.writerow(
                    (
                        scanner.manufacturer,
                        scanner.model,
                        scanner.kernel,
                        scanner.contrast,
                        name,
                        month.month,
                        month.number,
                        f"{month.median:.1f}",
                        *("" if limit is None else f"{limit:.1f}" for limit in limits),
                        str(month.baseline).lower(),
                        str(month.outside).lower(),
                    )
                )
    return text.getvalue()
