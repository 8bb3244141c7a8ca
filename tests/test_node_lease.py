"""One worker on SQLite; on PostgreSQL a worker that knows whether its work is still its own."""

import threading
from pathlib import Path

import pytest

from dicom_node.errors import OperationalError
from dicom_node.settings.node import NodeSettings
from dicom_node.spool.home import spool_home
from dicom_node.work.sharing import lease
from dicom_node.work.sharing.interruption import Interrupted
from dicom_node.work.sharing.lease import DatabaseLease, SoleLease, own_home


def test_second_worker_on_the_same_sqlite_is_refused_until_the_first_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "OTHER_WORKER_SECONDS", 0.2)
    stop = threading.Event()
    with SoleLease(tmp_path, "osteonode-1", stop) as first:
        assert first.leads
        with (
            pytest.raises(OperationalError, match="another worker"),
            SoleLease(tmp_path, "osteonode-1", stop),
        ):
            pass
    with SoleLease(tmp_path, "osteonode-1", stop):
        pass


def test_worker_that_is_not_sure_of_its_work_starts_no_side_effect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop = threading.Event()
    monkeypatch.setattr(lease, "open_database", lambda *_arguments, **_settings: None)
    held = DatabaseLease("postgresql://nowhere/x", "home", stop)
    ended = []

    def send() -> None:
        try:
            held.confirm()
            ended.append("sent")
        except Interrupted:
            ended.append("interrupted")

    sending = threading.Thread(target=send)
    sending.start()
    sending.join(0.3)
    assert not ended  # it waits to learn whether the work is its own
    stop.set()
    sending.join(5)
    assert ended == ["interrupted"]


def test_spool_keeps_its_name_and_sqlite_needs_none(tmp_path: Path) -> None:
    name = spool_home(tmp_path / "spool")
    assert len(name) == 12
    assert spool_home(tmp_path / "spool") == name
    assert spool_home(tmp_path / "other") != name
    shared = NodeSettings(data_dir=tmp_path, database_url="postgresql+psycopg://u@h/d")
    assert own_home(shared) == name
    assert own_home(NodeSettings(data_dir=tmp_path)) == ""
