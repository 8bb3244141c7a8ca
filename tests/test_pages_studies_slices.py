"""Pictures of the slices: which images are shown, where outlines lie, and to whom."""

import os
import shutil
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from fastapi import FastAPI
from PIL import Image

from dicom_node.pages.app import close_pages
from dicom_node.pages.studies import slices
from dicom_node.pages.studies.kept_files import report_of
from dicom_node.pages.studies.slices import NotShown, StudySlices, outline, slices_of, tile
from roi_extraction.picture import BONE_WINDOW_HU
from tests.dicom_builders import plain_volume
from tests.page_client import Browser, audit_records, make_app
from tests.study_builders import MadeStudy, make_study


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    made = make_app(tmp_path / "node", ("jane", "reader"), ("adam", "administrator"))
    yield made
    close_pages(made)


@pytest.fixture
def study(app: FastAPI, tmp_path: Path) -> MadeStudy:
    return make_study(app, tmp_path / "series")


def shown(study: MadeStudy) -> StudySlices:
    report = report_of(study.settings, study.row)
    assert report is not None
    return slices_of(study.settings, study.row, report)


def uid_of(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)


def test_slices_run_from_head_to_feet(study: MadeStudy) -> None:
    found = shown(study).slices
    assert [s.sop_instance_uid for s in found] == [uid_of(p) for p in reversed(study.paths)]
    assert found[0].z_mm - found[1].z_mm == pytest.approx(3.0)
    assert (found[0].rows, found[0].columns) == (32, 32)
    assert found[0].pixel_spacing_mm == pytest.approx((0.7, 0.8))


def test_an_outline_lies_where_its_pixels_are(study: MadeStudy) -> None:
    slice_ = shown(study).slices[0]
    corners = [
        plain_volume().to_lps([39, row, column]).tolist() for row, column in ((0, 0), (5, 7))
    ]
    assert np.allclose(outline(slice_, corners), [(0, 0), (7, 5)], atol=1e-6)
    assert outline(slice_, ()) == ()


def test_a_tile_holds_the_pixels_of_its_image(study: MadeStudy) -> None:
    png = Image.open(BytesIO(tile(study.settings, study.row, uid_of(study.paths[3]), "bone")))
    low, high = BONE_WINDOW_HU
    expected = (np.clip((plain_volume().hu[3] - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    assert png.mode == "L"
    assert np.abs(np.asarray(png).astype(int) - expected).max() <= 1


def test_the_soft_tissue_window_is_another(study: MadeStudy) -> None:
    uid = uid_of(study.paths[3])
    bone, soft = (tile(study.settings, study.row, uid, window) for window in ("bone", "soft"))
    assert bone != soft


def test_images_that_came_after_the_report_are_not_decoded(study: MadeStudy) -> None:
    late = study.paths[3]
    os.utime(late)
    future = (study.report_folder / "report.json").stat().st_mtime + 1
    os.utime(late, (future, future))
    assert len(shown(study).slices) == 39
    with pytest.raises(NotShown):
        tile(study.settings, study.row, uid_of(late), "bone")


def test_the_version_that_was_measured_is_shown_beside_a_later_one(study: MadeStudy) -> None:
    path = study.paths[3]
    later = path.with_name(f"{path.stem}.1.dcm")
    shutil.copyfile(path, later)
    future = (study.report_folder / "report.json").stat().st_mtime + 1
    os.utime(later, (future, future))
    found = shown(study).of(uid_of(path))
    assert found is not None
    assert found.path == path


def test_only_images_of_the_measured_series_are_shown(study: MadeStudy) -> None:
    strange = study.paths[3]
    dataset = pydicom.dcmread(strange)
    dataset.SeriesInstanceUID = "1.2.3.99"
    dataset.save_as(strange)
    os.utime(strange, (1_000_000_000, 1_000_000_000))
    with pytest.raises(NotShown):
        tile(study.settings, study.row, str(dataset.SOPInstanceUID), "bone")


def test_without_images_there_are_no_slices(study: MadeStudy) -> None:
    assert shown(study).slices
    shutil.rmtree(study.paths[0].parent)
    assert shown(study).slices == ()


def test_a_refused_study_shows_no_slices(study: MadeStudy) -> None:
    refused = {"series_uid": study.report.series_uid, "refused": {"code": "series.kvp"}}
    assert slices_of(study.settings, study.row, refused).slices == ()


def test_damaged_pixels_are_not_shown(study: MadeStudy) -> None:
    path = study.paths[3]
    uid = uid_of(path)
    path.write_bytes(path.read_bytes()[:-100])
    os.utime(path, (1_000_000_000, 1_000_000_000))
    with pytest.raises(NotShown):
        tile(study.settings, study.row, uid, "bone")


@pytest.mark.parametrize("limit", ["MOST_TILE_PIXELS", "LARGEST_IMAGE_FILE_BYTES"])
def test_what_is_too_large_is_not_decoded(
    study: MadeStudy, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(slices, limit, 1000)
    with pytest.raises(NotShown):
        tile(study.settings, study.row, uid_of(study.paths[3]), "bone")


def test_a_reader_sees_a_tile_and_leaves_a_record(app: FastAPI, study: MadeStudy) -> None:
    browser = Browser(app)
    browser.sign_in("jane")
    answer = browser.get(f"{study.address}/slices/{uid_of(study.paths[3])}.png?window=soft")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    assert answer.headers["cache-control"] == "no-store"
    last = audit_records(study.settings.data_dir)[-1]["ParticipantObjectIdentification"][0]
    assert last["ParticipantObjectID"] == study.row.study_uid


@pytest.mark.parametrize(
    "uid", ["1.2.3", "..%2f..%2fetc", "1.2.3;drop", "x", "1" * 65, "1.2%00", "%31.2"]
)
def test_other_uids_have_no_picture(app: FastAPI, study: MadeStudy, uid: str) -> None:
    browser = Browser(app)
    browser.sign_in("jane")
    assert browser.get(f"{study.address}/slices/{uid}.png").status == 404
    assert browser.get(f"/studies/{uid}/slices/{uid_of(study.paths[0])}.png").status == 404


def test_an_unknown_window_is_refused(app: FastAPI, study: MadeStudy) -> None:
    browser = Browser(app)
    browser.sign_in("jane")
    uid = uid_of(study.paths[0])
    assert browser.get(f"{study.address}/slices/{uid}.png?window=../x").status == 422


def test_an_administrator_sees_no_picture(app: FastAPI, study: MadeStudy) -> None:
    browser = Browser(app)
    browser.sign_in("adam")
    assert browser.get(f"{study.address}/slices/{uid_of(study.paths[0])}.png").status == 403


def test_too_many_at_once_are_asked_to_wait(
    app: FastAPI, study: MadeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "_turns", threading.BoundedSemaphore(1))
    monkeypatch.setattr(slices, "TURN_WAIT_SECONDS", 0.01)
    browser = Browser(app)
    browser.sign_in("jane")
    address = f"{study.address}/slices/{uid_of(study.paths[0])}.png"
    slices._turns.acquire()
    answer = browser.get(address)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    slices._turns.release()
    assert browser.get(address).status == 200
