"""The conformance statement says what the code does."""

import re
from pathlib import Path

import pytest
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from dicom_node.conformance import fill, tables
from dicom_node.receiving import listener as listening
from dicom_node.series.instances import SEGMENTATION_STORAGE
from dicom_node.settings.edge import Listener
from dicom_node.settings.node import load_settings
from dicom_node.spool.spool import Spool

DOCS = Path(__file__).parents[1] / "docs"


def test_tables_of_the_conformance_statement_are_those_of_the_code() -> None:
    text = (DOCS / "conformance.md").read_text()
    assert set(re.findall(r"<!-- table (\w+) -->", text)) == set(tables())
    assert text == fill(text), "run python -m dicom_node.conformance docs/conformance.md"


def test_stated_contexts_are_those_that_a_listener_accepts(tmp_path: Path) -> None:
    server = listening.start_listener(Listener(port=0), Spool(tmp_path))
    ae = AE(ae_title="TEST")
    rows = re.findall(r"^\| [^|]+ \| ([0-9.]+) \| SCP \|$", tables()["scp"], re.M)
    syntaxes = re.findall(r"^\| [^|]+ \| ([0-9.]+) \|", tables()["syntaxes"], re.M)
    assert len(rows) >= 6
    assert len(syntaxes) > 20
    for uid in rows:
        plain = uid == Verification or uid in SEGMENTATION_STORAGE
        ae.add_requested_context(uid, ImplicitVRLittleEndian if plain else syntaxes[len(uid) % 10])
    try:
        association = ae.associate("127.0.0.1", server.port, ae_title="OSTEONODE")
        assert {cx.abstract_syntax for cx in association.accepted_contexts} == set(rows)
        association.release()
    finally:
        server.shutdown()


@pytest.mark.parametrize("page", ["installation.md"])
def test_settings_of_the_pages_are_valid(tmp_path: Path, page: str) -> None:
    text = (DOCS / page).read_text()
    examples = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert examples
    for example in examples:
        path = tmp_path / "node.toml"
        path.write_text(example)
        settings = load_settings(path)
        assert settings.listener.warnings == ()
        assert settings.web is not None


def test_pages_link_to_pages_that_exist() -> None:
    for page in sorted(DOCS.glob("*.md")):
        for target in re.findall(r"\]\(([\w./-]+\.md)\)", page.read_text()):
            assert (page.parent / target).is_file(), f"{page.name} links to {target}"
