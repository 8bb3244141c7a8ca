"""Measure every case and write ``docs/accuracy.md``; run as ``python -m bench.roi``."""

import json
import sys
import time
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import typer

from bench.roi.cases import PHANTOMS, phantom_cases, real_cases
from bench.roi.fields import field_cases
from bench.roi.page import write_page
from bench.roi.qualifying import qualifying_cases
from bench.roi.running import AnyCase, run
from bench.roi.scans import shared_ct

RESULTS = Path("bench-output/roi.json")
"""The results of every case, from which the tables are made again by ``--tables-only``."""

PAGE = Path("docs/accuracy.md")


def main(
    group: str = "",
    only: str = "",
    jobs: int = 2,
    phantoms: int = PHANTOMS,
    tables_only: bool = False,
    out: Path = RESULTS,
) -> None:
    """Measure all cases, or those of a group or whose name begins so; the page is for all."""
    everything: Sequence[AnyCase] = [
        *real_cases(), *field_cases(), *qualifying_cases(), *phantom_cases(phantoms),
    ]  # fmt: skip
    if tables_only:
        write_page(json.loads(out.read_text()), everything, PAGE)
        return
    if not shared_ct().is_dir():
        sys.exit(f"no shared data at {shared_ct()}; set OSTEONODE_SHARED")
    cases = [
        c for c in everything
        if group in c.group and c.name.startswith(only)
    ]  # fmt: skip
    started = time.perf_counter()
    scores = []
    with get_context("spawn").Pool(jobs) as pool:
        for result in pool.imap(run, cases):
            scores.append(result)
            print(_line(result), flush=True)
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(scores, indent=1))
    print(f"{len(scores)} cases in {time.perf_counter() - started:.0f} s")
    if len(cases) == len(everything):
        write_page(scores, everything, PAGE)


def _line(s: dict[str, Any]) -> str:
    discs = s["disc_along_mm"].values()
    sites = [x for x in s["sites"] if x["mean_hu"] is not None]
    body = [x for x in sites if x["eroded_hu"] is not None]
    text = f"{s['case']:18} {s['outcome']:8}"
    if not sites:
        return f"{text} {s['message'][:110]}  ({s['changes']})"
    inside = [share for x in sites for share in x["inside"]]
    away = " ".join(f"{x['name']}{x['mean_hu'] - x['eroded_hu']:+.0f}" for x in body)
    return (
        f"{text} {len(sites):2} sites, disc {max(discs, default=0):.1f} mm, "
        f"least inside {min(inside, default=1):.2f}, HU {away}, {s['seconds']:.1f} s "
        f"{s['message']} ({s['changes']})"
    )


if __name__ == "__main__":
    typer.run(main)
