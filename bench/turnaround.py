"""Seconds from the last slice's answer to the report in Orthanc, beside the assessment alone.

Run as ``python -m bench.turnaround [STUDIES]``. A whole node with its default polling serves
studies one after the other; the quiet time, which is a setting, is taken off. The assessment alone
is the same volume in a warm process without a node. The first study also waits for the start of
the node's child process; it is listed apart.
"""

import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median

from bench.load import KINDS, PHANTOM_SEED, alone
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from roi_extraction.phantom import PhantomParameters, make_phantom
from tests.node_process import Node
from tests.test_node_peers import Orthanc, dcmtk_storescu

TARGET = 1.5
QUIET_SECONDS = 2.0
POLL_SECONDS = 0.5
"""The setting's default."""


def turnaround(folder: Path, node: Node, number: int) -> float:
    """Seconds from the end of sending to the delivery of one more report."""
    dcmtk_storescu(node.port, "OSTEONODE", folder)
    answered = time.time()
    node.wait_for(lambda: len(node.events("delivered")) > number)
    delivered = datetime.fromisoformat(node.events("delivered")[number]["timestamp"])
    return delivered.timestamp() - answered - QUIET_SECONDS


def main(studies: int) -> None:
    missed = False
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for index, (kind, (changes, _share)) in enumerate(KINDS.items()):
            volume = make_phantom(
                PhantomParameters.random(PHANTOM_SEED, **changes), PHANTOM_SEED
            ).volume
            _, before = alone(volume, work / f"alone-{index}")
            orthanc = Orthanc(work / f"orthanc-{index}")
            node = Node(work / f"node-{index}", orthanc.dicom_port, "ORTHANC")
            node.config.write_text(
                node.config.read_text()
                .replace("quiet_seconds = 3.0", f"quiet_seconds = {QUIET_SECONDS}")
                .replace("poll_seconds = 0.1", f"poll_seconds = {POLL_SECONDS}")
            )
            with orthanc, node:
                seconds = []
                for number in range(studies + 1):
                    folder = work / f"{index}-{number}"
                    write_ct_series(volume, folder, InventedHeader(seed=f"turn-{index}-{number}"))
                    seconds.append(turnaround(folder, node, number))
                stored = len(orthanc.get("/instances"))
                assert stored == studies + 1, f"{stored} reports in Orthanc"
            _, after = alone(volume, work / f"again-{index}")
            single, whole = (before + after) / 2, median(seconds[1:])
            verdict = "reached" if whole / single <= TARGET else "NOT REACHED"
            missed |= verdict != "reached"
            print(
                f"{kind:20} assessment alone {single:.2f} s, in Orthanc after {whole:.2f} s "
                f"(first {seconds[0]:.2f} s), ratio {whole / single:.2f} "
                f"(target {TARGET}) {verdict}",
                flush=True,
            )
    sys.exit(missed)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
