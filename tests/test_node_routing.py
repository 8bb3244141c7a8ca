"""The routing rule that the documents show for Orthanc brings a series to the node."""

import json
import re
from pathlib import Path

import pytest

from tests.fault_node import quick_study
from tests.node_process import Node
from tests.test_node_peers import Orthanc, dcmtk_storescu

pytestmark = pytest.mark.peers

INSTALLATION = Path(__file__).parents[1] / "docs" / "installation.md"


def test_series_stored_in_orthanc_is_routed_assessed_and_its_report_not_sent_back(
    tmp_path: Path,
) -> None:
    [script] = re.findall(r"```lua\n(.*?)```", INSTALLATION.read_text(), re.DOTALL)
    lua = tmp_path / "osteonode.lua"
    lua.write_text(script)
    series = tmp_path / "series"
    slices, _ = quick_study(series, "routing")
    orthanc = Orthanc(tmp_path / "orthanc")
    node = Node(tmp_path / "node", orthanc.dicom_port, "ORTHANC", quick=True)
    config = json.loads(orthanc.config.read_text())
    config["DicomModalities"]["osteonode"] = ["OSTEONODE", "127.0.0.1", node.port]
    orthanc.config.write_text(json.dumps({**config, "LuaScripts": [str(lua)], "StableAge": 2}))
    with orthanc, node:
        dcmtk_storescu(orthanc.dicom_port, "ORTHANC", series)
        node.wait_for(lambda: node.events("delivered"))
        received = node.wait_for(lambda: node.events("received"))
        assert sum(event["instances"] for event in received) == len(slices)
        stable = orthanc.get("/statistics")["CountSeries"]
        assert stable == 2
        node.wait_for(
            lambda: all(
                orthanc.get(f"/series/{name}")["IsStable"] for name in orthanc.get("/series")
            )
        )
        assert not node.events("instance refused")
        assert not node.events("association refused")
        assert len(node.events("delivered")) == 1
