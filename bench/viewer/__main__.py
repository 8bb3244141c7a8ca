"""Show the demonstration's CT and report in OHIF: ``python -m bench.viewer``.

What is shown is the CT that the demonstration sent, what came back to its stand-in PACS, and the
other objects in the report's folder. The page is on 127.0.0.1 only and holds no patient.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.viewer.archive import FolderArchive
from bench.viewer.ohif import OHIF_VERSION, SIDE_BY_SIDE, ViewerUnavailable, fetch_ohif
from bench.viewer.page import serve_viewer
from dicom_node.demo import run_demo
from dicom_node.errors import NodeError
from dicom_node.supervisor import stop_on_signal

PORT = 3000


def main(
    demo: Annotated[Path, typer.Option(help="Folder of the demonstration.")] = Path("demo-output"),
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = PORT,
    viewer: Annotated[Path, typer.Option(help="Where OHIF is kept.")] = Path("build/ohif"),
) -> None:
    """Run the demonstration where it was not run yet, and serve the page until Ctrl-C."""
    stop = stop_on_signal()
    try:
        dist = fetch_ohif(viewer)
        if not objects(demo):
            run_demo(demo)
        archive = FolderArchive(objects(demo))
        with serve_viewer(dist, archive, demo_home(archive), port) as address:
            print(f"OHIF {OHIF_VERSION} with the demonstration's CT and report: {address}/")
            print("Double-click an entry on the left to open it. Ctrl-C ends.", flush=True)
            stop.wait()
    except (ViewerUnavailable, NodeError) as error:
        sys.exit(str(error))


def demo_home(archive: FolderArchive) -> str:
    """Path and query of the viewer's page with the first study, side by side."""
    return f"/viewer?StudyInstanceUIDs={archive.studies[0]}&hangingProtocolId={SIDE_BY_SIDE}"


def objects(demo: Path) -> list[Path]:
    """The CT, what the PACS received, and what lies beside the report; empty without a report."""
    received = sorted((demo / "pacs").glob("*.dcm"))
    if not received:
        return []
    beside = sorted((demo / "node" / "reports").glob("*/*/report.*dcm"))
    kept = [path for path in beside if path.name != "report.invalid.dcm"]
    return [*sorted((demo / "phantom").glob("*.dcm")), *received, *kept]


if __name__ == "__main__":
    typer.run(main)
