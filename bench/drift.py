"""How often a steady scanner is called changed, and how soon a step is seen.

python -m bench.drift [--series 30] [--runs 300]
"""

import argparse
import math

import numpy as np

from modeling.drift.control_chart import control_chart

MONTHS = tuple(f"{2024 + month // 12}-{month % 12 + 1:02d}" for month in range(24))
STEP_MONTH = 12
SPREADS_HU = {"L1": 45.0, "muscle": 10.0, "aorta without contrast": 6.0}
"""Standard deviation between the patients of one scanner."""
STEPS_HU = (0.0, 5.0, 10.0, 20.0, 30.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=30, help="series a month")
    parser.add_argument("--runs", type=int, default=300)
    chosen = parser.parse_args()
    print(f"{chosen.series} series a month, {len(MONTHS)} months, {chosen.runs} runs")
    print("| measure | step, HU | reported | its month, after the step | its size, HU |")
    print("|---|---|---|---|---|")
    for name, spread in SPREADS_HU.items():
        for step in STEPS_HU:
            print(line(name, spread, step, chosen.series, chosen.runs))


def line(name: str, spread: float, step: float, series: int, runs: int) -> str:
    rng = np.random.default_rng(1)
    delays, sizes = [], []
    for _ in range(runs):
        chart = control_chart(
            {
                month: rng.normal(step * (place >= STEP_MONTH), spread, series).tolist()
                for place, month in enumerate(MONTHS)
            }
        )
        if chart.step is not None:
            delays.append(MONTHS.index(chart.step.seen) - STEP_MONTH)
            sizes.append(chart.step.change)
    share = len(delays) / runs
    delay = np.median(delays) if delays else math.nan
    size = np.median(sizes) if sizes else math.nan
    return f"| {name} | {step:g} | {share:.1%} | {delay:+.0f} | {size:+.1f} |"


if __name__ == "__main__":
    main()
