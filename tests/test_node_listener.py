import os
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian
from pynetdicom import AE, build_context
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import Verification

from dicom_node.receiving.listener import start_listener
from dicom_node.settings.node import Listener
from dicom_node.spool.spool import Spool, series_key, spool_name
from tests.dicom_builders import plain_series


@pytest.fixture(params=["direct", "pynetdicom"])
def node(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Spool, int]]:
    spool = Spool(tmp_path / "node")
    server = start_listener(Listener(port=0, store_service=request.param), spool)
    yield spool, server.port
    server.shutdown()


def associate(
    port: int, ae_title: str = "OSTEONODE", contexts: list[PresentationContext] | None = None
) -> Association:
    ae = AE(ae_title="TEST")
    contexts = contexts or [build_context(Verification), build_context(CTImageStorage)]
    return ae.associate("127.0.0.1", port, contexts=contexts, ae_title=ae_title)


def test_echo_is_answered(node: tuple[Spool, int]) -> None:
    association = associate(node[1])
    assert association.send_c_echo().Status == 0x0000
    association.release()


def test_wrong_called_title_is_rejected(node: tuple[Spool, int]) -> None:
    assert associate(node[1], "SOMEONE").is_rejected


def test_stored_instances_lie_whole_in_the_spool_under_digests(
    node: tuple[Spool, int], tmp_path: Path
) -> None:
    spool, port = node
    paths = plain_series(tmp_path / "series", 5)
    association = associate(port)
    for path in [*paths, paths[0]]:
        assert association.send_c_store(pydicom.dcmread(path)).Status == 0x0000
    association.release()
    [study] = spool.arrivals()
    [series] = spool.load(study).series
    first = pydicom.dcmread(paths[0])
    key = series.key
    assert study.key == spool_name(first.StudyInstanceUID)
    assert key == series_key(first.StudyInstanceUID, first.SeriesInstanceUID)
    assert len(series.names) == 5
    kept = pydicom.dcmread(spool.series / key / f"{spool_name(first.SOPInstanceUID)}.dcm")
    assert kept.PixelData == first.PixelData
    assert not list(spool.incoming.iterdir())
    assert (os.stat(spool.root).st_mode & 0o777) == 0o700


def test_instance_without_series_uid_is_refused_and_the_association_goes_on(
    node: tuple[Spool, int], tmp_path: Path
) -> None:
    spool, port = node
    good, bad = (pydicom.dcmread(p) for p in plain_series(tmp_path / "series", 2))
    bad.SeriesInstanceUID = ""
    association = associate(port)
    assert association.send_c_store(bad).Status == 0xC000
    assert association.send_c_store(good).Status == 0x0000
    association.release()
    assert len(list(spool.arrivals())) == 1


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_uid_that_looks_like_a_path_stays_inside_the_spool(
    node: tuple[Spool, int], tmp_path: Path
) -> None:
    spool, port = node
    dataset = pydicom.dcmread(plain_series(tmp_path / "series", 1)[0])
    dataset.SeriesInstanceUID = "../../etc"
    association = associate(port)
    association.send_c_store(dataset)
    association.release()
    outside = {p for p in (tmp_path / "node").rglob("*") if p.is_file()}
    assert all(path.is_relative_to(spool.root) for path in outside)


def test_full_disk_is_answered_with_out_of_resources(
    node: tuple[Spool, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    spool, port = node
    monkeypatch.setattr(os, "link", full)
    association = associate(port)
    status = association.send_c_store(pydicom.dcmread(plain_series(tmp_path / "s", 1)[0])).Status
    association.release()
    assert status == 0xA700
    assert not list(spool.incoming.iterdir())


@pytest.mark.shared
def test_every_transfer_syntax_of_the_real_samples_but_the_deflated_one_is_accepted(
    node: tuple[Spool, int], shared_data: Path
) -> None:
    _, port = node
    files = sorted((shared_data / "ct" / "syntaxes_cornerstone_ct").glob("*.dcm"))
    files += [p for p in (shared_data / "ct" / "syntaxes_wg04_ct").iterdir() if p.suffix != ".md"]
    for number, path in enumerate(files):
        dataset = pydicom.dcmread(path)
        dataset.SOPInstanceUID = f"2.25.{number}"  # the samples share one
        syntax = dataset.file_meta.TransferSyntaxUID
        association = associate(port, contexts=[build_context(CTImageStorage, syntax)])
        if syntax == DeflatedExplicitVRLittleEndian:
            assert not association.accepted_contexts
            continue
        assert association.accepted_contexts, path.name
        assert association.send_c_store(dataset).Status == 0x0000, path.name
        association.release()


def test_a_half_written_file_of_a_crash_is_removed_at_the_start(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.prepare()
    old, new = spool.incoming / "old", spool.incoming / "new"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    spool.prepare()
    assert old.exists()
    spool.remove_leftovers()
    assert list(spool.incoming.iterdir()) == [new]
