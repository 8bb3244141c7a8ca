"""How much more two workers on two cores assess than one on one, from a shared list of work.

Each worker is `osteonode screen run` with a folder and settings of its own, as on a machine of its
own, bound to one core; the list is in PostgreSQL and the images, phantoms, in a folder that both
read. The rate is that between the first reports and the last, so that the loading of models does
not count. What else ran on these cores is told beside it. Needs root, and PostgreSQL installed as
on Debian.

    python -m bench.two_workers [--studies 8]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from sqlalchemy import select

from bench.load import KINDS, PHANTOM_SEED
from dicom_node.archive.bookkeeping.tables import SERIES, open_screenings
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from roi_extraction.phantom import PhantomParameters, make_phantom
from tests.postgresql import Cluster

TARGET = 1.8
LIMIT_SECONDS = 1200.0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=8, help="for each worker")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="osteonode-two-") as name:
        work = Path(name)
        work.chmod(0o755)
        changes, _ = next(iter(KINDS.values()))
        parameters = PhantomParameters.random(PHANTOM_SEED, **changes)
        volume = make_phantom(parameters, PHANTOM_SEED).volume
        for number in range(2 * chosen.studies):
            header = InventedHeader(seed=f"two {number}", patient_id=f"P{number}")
            write_ct_series(volume, work / f"ct/{number}", header)
        with Cluster(work / "cluster") as cluster:
            found = [
                measured(work, f"{cluster.url}_{turn}", cores, chosen.studies)
                for turn, cores in enumerate([(0,), (0, 1), (0,), (0, 1)])
            ]
    one, two = (max(turn["per_minute"] for turn in found[k::2]) for k in (0, 1))
    print(json.dumps({"turns": found, "ratio": round(two / one, 2)}, indent=2))
    return 0 if two / one >= TARGET else 1


def measured(work: Path, url: str, cores: Sequence[int], studies: int) -> dict[str, float]:
    """The rate of one worker on each of these cores."""
    place = work / url.rpartition("_")[2]
    source = place / "ct"
    source.mkdir(parents=True)
    configs = [place / f"node{core}.toml" for core in cores]
    for core, config in zip(cores, configs, strict=True):
        data = json.dumps(str(place / f"data{core}"))
        config.write_text(f'data_dir = {data}\ndatabase_url = "{url}"\n')
    osteonode = [sys.executable, "-m", "dicom_node", "screen"]
    for number in range(studies * len(cores)):  # links to folders are not followed
        (source / str(number)).mkdir(parents=True)
        for path in (work / f"ct/{number}").iterdir():
            os.link(path, source / str(number) / path.name)
    made = ["create", "two", "--source", f"folder:{source}", "--config", str(configs[0])]
    subprocess.run([*osteonode, *made], check=True, capture_output=True)
    runs = [
        subprocess.Popen(
            ["taskset", "-c", str(core), *osteonode, "run", "two", "--config", str(config)],
            stderr=(place / f"log{core}").open("w"),
        )
        for core, config in zip(cores, configs, strict=True)
    ]
    try:
        return rate_of(url, [psutil.Process(run.pid) for run in runs], cores, studies * len(cores))
    finally:
        for run in runs:
            run.terminate()
            run.wait(60)


def rate_of(
    url: str, runs: Sequence[psutil.Process], cores: Sequence[int], studies: int
) -> dict[str, float]:
    """Watch runs from their first reports to the last."""
    database = open_screenings(url)
    asked = select(SERIES.c.ended, SERIES.c.outcome).where(SERIES.c.outcome.is_not(None))
    begin: tuple[float, float] | None = None
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        with database.begin() as connection:
            rows = sorted(tuple(row) for row in connection.execute(asked))
        if begin is None and len(rows) >= len(runs):
            first, begin = rows[len(runs) - 1][0], (own_cpu_s(runs), busy_s(cores))
        if len(rows) == studies:
            break
        time.sleep(0.1)
    database.dispose()
    assert begin is not None
    assert {outcome for _, outcome in rows} == {"reported"}, rows
    seconds, done = rows[-1][0] - first, studies - len(runs)
    own, busy = own_cpu_s(runs) - begin[0], busy_s(cores) - begin[1]
    return {
        "workers": len(runs),
        "studies": done,
        "per_minute": round(60 * done / seconds, 2),
        "cpu_s_a_study": round(own / done, 2),
        "cores_of_others": round((busy - own) / seconds, 2),
    }


def own_cpu_s(runs: Sequence[psutil.Process]) -> float:
    """CPU time of processes and all their children."""
    total = 0.0
    for run in runs:
        for process in (run, *run.children(recursive=True)):
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
    return total


def busy_s(cores: Sequence[int]) -> float:
    """Time for which these cores did anything."""
    found = psutil.cpu_times(percpu=True)
    return sum(sum(found[core]) - found[core].idle - found[core].iowait for core in cores)


if __name__ == "__main__":
    sys.exit(main())
