"""CPU of one patient staged and explained by a warm model: ``python -m bench.one_patient COHORT``.

Median and least of many, with one thread; then one patient's share of a table that is staged at
once.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from modeling import SITE_NAMES, Sex, Stager, load_bundle, read_cohort, without_duplicates
from modeling.cohort import AGE_COLUMN, SEX_COLUMN

REPEATS = 200
PATIENT_ROW = 200


def cpu_ms(run: Callable[[], object], repeats: int = REPEATS) -> str:
    run()
    found = []
    for _ in range(repeats):
        started = time.process_time()
        run()
        found.append(1000 * (time.process_time() - started))
    return f"median {np.median(found):.1f} ms, least {min(found):.1f} ms"


def main() -> None:
    table = without_duplicates(read_cohort(Path(sys.argv[1])))
    mean_hu = table[list(SITE_NAMES)].to_numpy(dtype=np.float64)
    ages = [float(age) for age in table[AGE_COLUMN]]
    sexes = [Sex.MALE if code else Sex.FEMALE for code in table[SEX_COLUMN]]
    patient = mean_hu[PATIENT_ROW], ages[PATIENT_ROW], sexes[PATIENT_ROW]
    stager = Stager(load_bundle())
    stager.prepare()
    print("staged:", cpu_ms(lambda: stager.stage(*patient)))
    print("explained:", cpu_ms(lambda: stager.explain(*patient)))
    print("both:", cpu_ms(lambda: (stager.stage(*patient), stager.explain(*patient))))
    print(f"all {len(table)}:", cpu_ms(lambda: stager.stage_many(mean_hu, ages, sexes), 5))


if __name__ == "__main__":
    main()
