"""How well a vertebra's mean HU repeats in another scan: ``python -m bench.repeatability``.

Each patient is scanned several times: turned up to 3 degrees, shifted up to 2 mm, with other noise.
Printed is the root mean square of the patients' standard deviations, by vertebra, as the least
significant change asks for it (Glueer 1995, doi 10.1007/BF01774016). The patients are phantoms and
the one real scan that is labelled throughout. What the scanner itself changes from one day to the
other (drift, tube current, table height, beam hardening by the posture) is in none of them.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from multiprocessing import get_context

import numpy as np
import typer

from bench.roi.scans import load_scan
from roi_extraction import CtVolume, RoiError, extract
from roi_extraction.builtin import BuiltinSegmenter
from roi_extraction.phantom import PhantomParameters, make_phantom
from tests.ct_builders import noisy, resampled

VERTEBRAE = ("L1", "L2", "L3", "L4", "L5", "S1")
NOISE_HU = 15.0
MOST_DEG, MOST_MM = 3.0, 2.0

Found = tuple[str, dict[str, float]]


def patient(number: int) -> CtVolume:
    """The real scan for 0, else a phantom without noise, in slices of 3 mm."""
    if number == 0:
        return load_scan("totalseg").volume
    return make_phantom(PhantomParameters.random(number, noise_sd_hu=0.0), number).volume


def scan(which: tuple[int, int]) -> Found:
    """Mean HU of the unflagged vertebrae of one scan of one patient."""
    number, repeat = which
    rng = np.random.default_rng([20261, number, repeat])
    left, back, head = map(float, rng.uniform(-MOST_DEG, MOST_DEG, 3))
    x, y, z = map(float, rng.uniform(-MOST_MM, MOST_MM, 3))
    moved, _ = resampled(patient(number), rotation_deg=(left, back, head), shift_mm=(x, y, z))
    again = noisy(moved, NOISE_HU, int(rng.integers(2**31)))
    try:
        measurements = extract(again, BuiltinSegmenter()).measurements
    except RoiError:
        return name_of(number), {}
    return name_of(number), {
        m.site.name: m.mean_hu
        for m in measurements
        if m.site.is_vertebra and m.missing is None and not m.findings
    }


def name_of(number: int) -> str:
    """Name of a patient."""
    return "real scan" if number == 0 else f"phantom {number}"


def spreads(found: Iterator[Found]) -> Mapping[str, Mapping[str, tuple[float, int]]]:
    """SD in HU and number of values, by vertebra and patient."""
    values: dict[str, dict[str, list[float]]] = {v: defaultdict(list) for v in VERTEBRAE}
    for who, hu in found:
        for vertebra, mean_hu in hu.items():
            values[vertebra][who].append(mean_hu)
    return {
        vertebra: {
            who: (float(np.std(hu, ddof=1)), len(hu)) for who, hu in of.items() if len(hu) > 1
        }
        for vertebra, of in values.items()
    }


def main(phantoms: int = 12, scans: int = 3, jobs: int = 2) -> None:
    """Print the standard deviations as a table in Markdown."""
    asked = [(number, repeat) for number in range(phantoms + 1) for repeat in range(scans)]
    with get_context("spawn").Pool(jobs) as pool:
        found = spreads(iter(pool.map(scan, asked, chunksize=1)))
    print("| | patients | scans | root mean square SD, HU | largest SD, HU | real scan, HU |")
    print("|---|---|---|---|---|---|")
    for vertebra, of in found.items():
        sds = [sd for sd, _ in of.values()]
        # each patient weighs by the degrees of freedom of his scans
        freedom = [count - 1 for _, count in of.values()]
        pooled = np.sqrt(np.average(np.square(sds), weights=freedom))
        real = f"{of['real scan'][0]:.1f}" if "real scan" in of else "-"
        scans_of = sum(count for _, count in of.values())
        print(f"| {vertebra} | {len(sds)} | {scans_of} | {pooled:.2f} | {max(sds):.1f} | {real} |")


if __name__ == "__main__":
    typer.run(main)
