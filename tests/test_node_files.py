"""Files that appear whole, and the DIMSE statuses that the node gives."""

import os
from pathlib import Path

import pytest
from pynetdicom.status import (
    GENERAL_STATUS,
    QR_FIND_SERVICE_CLASS_STATUS,
    STATUS_FAILURE,
    STATUS_PENDING,
    STATUS_SUCCESS,
    STORAGE_SERVICE_CLASS_STATUS,
    code_to_category,
)

from dicom_node import files
from dicom_node.files import write_atomically
from dicom_node.sending import statuses


@pytest.mark.parametrize("durable", [True, False], ids=["durable", "not durable"])
def test_a_file_is_replaced_by_its_parts_one_after_the_other(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "kept"
    path.write_bytes(b"old")
    write_atomically(path, b"new", b"", b"er", durable=durable)
    assert path.read_bytes() == b"newer"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("elsewhere", [True, False], ids=["elsewhere", "beside it"])
def test_a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    def full(*_names: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "kept"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(
            path, b"new", durable=False, temporary=tmp_path / "written" if elsewhere else None
        )
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("durable", "expected"), [(True, ["file", "folder"]), (False, [])])
def test_content_and_then_name_are_synced_only_if_the_file_is_to_be_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool, expected: list[str]
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _descriptor: synced.append("file"))
    monkeypatch.setattr(files, "sync_folder", lambda _folder: synced.append("folder"))
    write_atomically(tmp_path / "kept", b"content", durable=durable)
    assert synced == expected


def test_statuses_mean_what_the_tables_of_pynetdicom_say() -> None:
    general = [
        statuses.PROCESSING_FAILURE, statuses.DUPLICATE_INSTANCE, statuses.NO_SUCH_EVENT_TYPE,
        statuses.INVALID_OBJECT, statuses.CLASS_NOT_SUPPORTED,
    ]  # fmt: skip
    assert {GENERAL_STATUS[status][0] for status in general} == {STATUS_FAILURE}
    storage = [statuses.OUT_OF_RESOURCES, statuses.DOES_NOT_MATCH, statuses.CANNOT_UNDERSTAND]
    assert {STORAGE_SERVICE_CLASS_STATUS[status][0] for status in storage} == {STATUS_FAILURE}
    pending = {QR_FIND_SERVICE_CLASS_STATUS[status][0] for status in statuses.PENDING}
    assert pending == {STATUS_PENDING}
    assert code_to_category(statuses.SUCCESS) == STATUS_SUCCESS
    assert statuses.is_warning(0xB000)
    assert not statuses.is_warning(statuses.SUCCESS)
