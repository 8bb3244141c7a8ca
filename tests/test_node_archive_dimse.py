"""Archives by C-FIND, C-GET and C-MOVE: what they list and send, and what broken ones do."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from dicom_node.archive.dimse import DimseSource
from dicom_node.archive.instance_stream import FETCHED_CLASSES, FETCHED_SYNTAXES
from dicom_node.archive.opening import open_archive
from dicom_node.archive.sources import (
    ListedSeries,
    ListingIncomplete,
    SeriesFilter,
    SeriesIncomplete,
    SourceUnavailable,
)
from dicom_node.demo import free_port
from dicom_node.sending.delivery import associate
from dicom_node.settings.archives import Archive
from dicom_node.settings.work import Destination
from tests.dicom_builders import plain_series

SLICES = 5
KEYS = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
WEEK = (date(2024, 1, 1), date(2024, 1, 7))


class DimseArchive:
    """Holds data sets; what it answers and sends can be changed.

    Parameters
    ----------
    held
        What it holds.
    """

    def __init__(self, held: list[Dataset]) -> None:
        self.held = held
        self.asked: list[Dataset] = []
        self.ignored: set[str] = set()
        self.left_out: set[str] = set()
        self.sent: Callable[[list[Dataset]], list[Dataset]] = lambda found: found
        self.before_each: Callable[[Any], None] = lambda _event: None
        self.calling: set[str] = set()
        self.associations = 0
        self.port, self.move_port = free_port(), free_port()

    def __enter__(self) -> "DimseArchive":
        ae = AE(ae_title="ARCHIVE")
        for model in (
            StudyRootQueryRetrieveInformationModelFind,
            StudyRootQueryRetrieveInformationModelGet,
            StudyRootQueryRetrieveInformationModelMove,
        ):
            ae.add_supported_context(model)
        ae.add_supported_context(CTImageStorage, scu_role=True, scp_role=True)
        ae.add_requested_context(CTImageStorage)
        self.server = ae.start_server(
            ("127.0.0.1", self.port),
            block=False,
            evt_handlers=[
                (evt.EVT_C_FIND, self.find),
                (evt.EVT_C_GET, self.get),
                (evt.EVT_C_MOVE, self.move),
                (evt.EVT_ACCEPTED, self.accepted),
            ],
        )
        return self

    def __exit__(self, *_details: object) -> None:
        assert self.server is not None
        self.server.shutdown()

    def accepted(self, _event: Any) -> None:
        self.associations += 1

    def matching(self, asked: Dataset) -> list[Dataset]:
        found = {}
        for held in self.held:
            if all(
                self.matches(held, element)
                for element in asked
                if element.keyword not in {"QueryRetrieveLevel", *self.ignored}
            ):
                found[held[KEYS[asked.QueryRetrieveLevel]].value] = held
        return list(found.values())

    @staticmethod
    def matches(held: Dataset, element: Any) -> bool:
        if element.value in ("", None) or element.keyword == "ModalitiesInStudy":
            return True
        value, wanted = str(held.get(element.keyword, "")), str(element.value)
        first, ranged, last = wanted.partition("-")
        return first <= value <= last if ranged else value == wanted

    def find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        asked = event.identifier
        self.asked.append(asked)
        for held in self.matching(asked):
            if event.is_cancelled:
                yield 0xFE00, None
                return
            answer = Dataset()
            for element in asked:
                if element.keyword in held and element.keyword not in self.left_out:
                    answer.add(held[element.keyword])
            answer.QueryRetrieveLevel = asked.QueryRetrieveLevel
            yield 0xFF00, answer

    def get(self, event: Any) -> Iterator[Any]:
        found = self.sent(self.matching(of_images(event.identifier)))
        yield len(found)
        yield from self.send(event, found)

    def move(self, event: Any) -> Iterator[Any]:
        if event.move_destination.strip() != "OSTEODOOR":
            yield None, None
            return
        yield "127.0.0.1", self.move_port, {"contexts": [build_context(CTImageStorage)]}
        found = self.sent(self.matching(of_images(event.identifier)))
        yield len(found)
        yield from self.send(event, found)

    def send(self, event: Any, found: list[Dataset]) -> Iterator[Any]:
        for held in found:
            self.before_each(event)
            yield 0xFF00, held


def of_images(asked: Dataset) -> Dataset:
    """The same question for instances."""
    asked.QueryRetrieveLevel = "IMAGE"
    return asked


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> list[Dataset]:
    paths = plain_series(tmp_path_factory.mktemp("dimse") / "series", SLICES)
    found: list[Dataset] = [pydicom.dcmread(path) for path in paths]
    for dataset in found:
        dataset.StudyDate, dataset.AccessionNumber = "20240103", "A1"
        assert dataset.PixelData
    return found


@contextmanager
def opened(archive: DimseArchive, retrieve: str = "get", **settings: Any) -> Iterator[DimseSource]:
    source = open_archive(settings_of(archive, retrieve, **settings), "OSTEONODE")
    assert isinstance(source, DimseSource)
    try:
        yield source
    finally:
        source.close()


def settings_of(archive: DimseArchive, retrieve: str, **settings: Any) -> Archive:
    peer = {
        "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": archive.port, "retrieve": retrieve,
        "move_ae_title": "OSTEODOOR", "move_port": archive.move_port,
    }  # fmt: skip
    return Archive.model_validate(
        {"name": "pacs", "dimse": peer, "timeout_seconds": 5.0, **settings}
    )


def listed(slices: list[Dataset]) -> tuple[ListedSeries, tuple[str, ...]]:
    first = slices[0]
    uids = tuple(str(dataset.SOPInstanceUID) for dataset in slices)
    return ListedSeries(str(first.StudyInstanceUID), str(first.SeriesInstanceUID)), uids


@pytest.mark.parametrize("retrieve", ["get", "move"])
def test_a_series_is_listed_looked_at_and_fetched(
    slices: list[Dataset], tmp_path: Path, retrieve: str
) -> None:
    with DimseArchive(slices) as archive, opened(archive, retrieve) as source:
        [series] = source.find(SeriesFilter(accession="A1", dates=WEEK))
        instances = source.instances(series)
        header = source.header(series, instances)
        paths = source.fetch(series, instances, tmp_path)
    assert (series.kvp, series.slice_thickness_mm, series.kernel) == (120.0, 3.0, "STANDARD")
    assert series.image_type == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert series.instances is None
    assert header is not None
    assert header.SOPInstanceUID == instances[SLICES // 2]
    assert "PixelData" not in header
    by_uid = {str(dataset.SOPInstanceUID): dataset for dataset in slices}
    for uid, path in zip(instances, paths, strict=True):
        found = pydicom.dcmread(path)
        assert found == by_uid[uid]
        assert found.file_meta.MediaStorageSOPInstanceUID == uid
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_what_an_archive_does_not_return_is_unknown(slices: list[Dataset]) -> None:
    with DimseArchive(slices) as archive, opened(archive) as source:
        archive.left_out = {"KVP", "SliceThickness", "ImageType", "Modality", "PatientAge"}
        [series] = source.find(SeriesFilter(modality="CT", ages_years=(90, 99)))
    assert (series.kvp, series.slice_thickness_mm, series.image_type) == (None, None, None)
    assert (series.modality, series.age_years) == (None, None)


def test_conditions_that_an_archive_ignores_are_checked_here(slices: list[Dataset]) -> None:
    with DimseArchive(slices) as archive, opened(archive) as source:
        archive.ignored = {"AccessionNumber", "PatientID", "StudyDate", "SeriesInstanceUID"}
        for wanted in (
            SeriesFilter(accession="B2"),
            SeriesFilter(patient_id="SOMEBODY ELSE"),
            SeriesFilter(dates=(date(2023, 1, 1), date(2023, 1, 7))),
            SeriesFilter(series_uid="1.2.3"),
            SeriesFilter(modality="MR"),
            SeriesFilter(body_part="HEAD"),
            SeriesFilter(ages_years=(90, 99)),
        ):
            assert not list(source.find(wanted)), wanted
        archive.left_out = {"AccessionNumber"}
        assert not list(source.find(SeriesFilter(accession="B2")))


def test_what_parts_values_is_not_sent_as_a_condition(slices: list[Dataset]) -> None:
    with DimseArchive(slices) as archive, opened(archive) as source:
        assert not list(source.find(SeriesFilter(accession="A1\\B2")))
        assert not archive.asked


def test_questions_go_over_one_association(slices: list[Dataset]) -> None:
    with DimseArchive(slices) as archive, opened(archive) as source:
        for _ in range(3):
            assert list(source.find(SeriesFilter()))
        assert archive.associations == 1
        source.close()
        assert list(source.find(SeriesFilter()))
        assert archive.associations == 2


def test_an_association_that_the_archive_ended_is_opened_again(slices: list[Dataset]) -> None:
    with DimseArchive(slices) as archive, opened(archive) as source:
        assert list(source.find(SeriesFilter()))
        assert archive.server is not None
        for association in archive.server.active_associations:
            association.abort()
        assert list(source.find(SeriesFilter()))


def studies(count: int, *, same_second: bool = False) -> list[Dataset]:
    found = []
    for k in range(count):
        one = Dataset()
        one.StudyInstanceUID, one.SeriesInstanceUID = f"1.2.{k}", f"1.2.{k}.1"
        one.StudyDate = f"2024010{1 + k % 2}"
        one.StudyTime = "101112" if same_second else f"{k // 60:02d}{k % 60:02d}00"
        one.Modality = "CT"
        found.append(one)
    return found


def test_days_are_parted_until_no_answer_is_cut() -> None:
    with DimseArchive(studies(20)) as archive, opened(archive, max_answers=6) as source:
        found = [series.study_uid for series in source.find(SeriesFilter(dates=WEEK))]
    assert sorted(found) == sorted(f"1.2.{k}" for k in range(20))


def test_a_day_that_cannot_be_parted_is_named() -> None:
    archive = DimseArchive(studies(20, same_second=True)[::2])
    with archive, opened(archive, max_answers=6) as source:
        with pytest.raises(ListingIncomplete, match="20240101"):
            list(source.find(SeriesFilter(dates=WEEK)))
        archive.ignored = {"StudyDate"}
        with pytest.raises(ListingIncomplete) as caught:
            list(source.find(SeriesFilter(dates=(date(2023, 1, 1), date(2023, 1, 2)))))
    assert caught.value.days == ("20230101", "20230102")


@pytest.mark.parametrize("retrieve", ["get", "move"])
def test_a_lost_instance_is_counted(slices: list[Dataset], tmp_path: Path, retrieve: str) -> None:
    series, instances = listed(slices)
    with DimseArchive(slices) as archive, opened(archive, retrieve) as source:
        archive.sent = lambda found: found[:-2]
        with pytest.raises(SeriesIncomplete, match="3 of 5 instances came, status 0x0000"):
            source.fetch(series, instances, tmp_path)


@pytest.mark.parametrize("retrieve", ["get", "move"])
def test_an_instance_that_was_not_asked_for_is_refused(
    slices: list[Dataset], tmp_path: Path, retrieve: str
) -> None:
    series, instances = listed(slices)
    with DimseArchive(slices) as archive, opened(archive, retrieve) as source:
        if retrieve == "get":
            with pytest.raises(SeriesIncomplete, match="4 of 4 instances came and 1 that"):
                source.fetch(series, instances[:-1], tmp_path)
        else:  # whose it is nobody knows
            source.fetch(series, instances[:-1], tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("retrieve", ["get", "move"])
def test_an_archive_that_breaks_off_is_told(
    slices: list[Dataset], tmp_path: Path, retrieve: str
) -> None:
    series, instances = listed(slices)
    left = 3

    def break_off(event: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            event.assoc.abort()
            time.sleep(0.2)

    with DimseArchive(slices) as archive, opened(archive, retrieve) as source:
        archive.before_each = break_off
        with pytest.raises(SeriesIncomplete, match="3 of 5 instances came, then the assoc"):
            source.fetch(series, instances, tmp_path)
    assert not list(tmp_path.glob(".arriving*"))


def test_a_silent_archive_is_given_up(slices: list[Dataset], tmp_path: Path) -> None:
    series, instances = listed(slices)
    with DimseArchive(slices) as archive, opened(archive, timeout_seconds=0.3) as source:
        archive.before_each = lambda _event: time.sleep(1.5)
        with pytest.raises(SourceUnavailable, match=r"sent nothing for 0\.3 s"):
            source.fetch(series, instances, tmp_path)


def test_a_slow_archive_is_waited_for(slices: list[Dataset], tmp_path: Path) -> None:
    series, instances = listed(slices)
    with DimseArchive(slices) as archive, opened(archive, timeout_seconds=0.6) as source:
        archive.before_each = lambda _event: time.sleep(0.3)
        assert len(source.fetch(series, instances, tmp_path)) == SLICES


def test_an_unknown_destination_says_what_to_configure(
    slices: list[Dataset], tmp_path: Path
) -> None:
    series, instances = listed(slices)
    with DimseArchive(slices) as archive:
        settings = settings_of(archive, "move")
        assert settings.dimse is not None
        peer = settings.dimse.model_copy(update={"move_ae_title": "NOBODY"})
        source = open_archive(settings.model_copy(update={"dimse": peer}), "OSTEONODE")
        with pytest.raises(SourceUnavailable, match=r"0xA801; configure AE title NOBODY .* port"):
            source.fetch(series, instances, tmp_path)
        source.close()


def test_several_moves_share_one_port(slices: list[Dataset], tmp_path: Path) -> None:
    series, instances = listed(slices)
    outcomes: list[int] = []

    def fetch(source: DimseSource, folder: Path) -> None:
        folder.mkdir()
        outcomes.append(len(source.fetch(series, instances, folder)))

    with DimseArchive(slices) as archive, opened(archive, "move") as source:
        archive.before_each = lambda _event: time.sleep(0.02)
        threads = [
            threading.Thread(target=fetch, args=(source, tmp_path / str(k))) for k in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert outcomes == [SLICES] * 4


def stored(port: int, dataset: Dataset, called: str = "OSTEODOOR") -> int | None:
    """Send an instance that nobody asked for; the status of the answer."""
    door = Destination(name="door", ae_title=called, host="127.0.0.1", port=port)
    association = associate("STRANGER", door, [CTImageStorage])
    try:
        found = association.send_c_store(dataset).get("Status")
    finally:
        association.release()
    return None if found is None else int(found)


def test_the_door_takes_nothing_from_strangers(slices: list[Dataset], tmp_path: Path) -> None:
    series, instances = listed(slices)
    with DimseArchive(slices) as archive, opened(archive, "move") as source:
        source.fetch(series, instances, tmp_path)
        other = Dataset()
        other.update(slices[0])
        other.file_meta = slices[0].file_meta
        assert stored(archive.move_port, other) == 0x0124
        with pytest.raises(Exception, match="rejected"):
            stored(archive.move_port, other, called="OTHER")


def test_a_port_in_use_is_told(slices: list[Dataset], tmp_path: Path) -> None:
    series, instances = listed(slices)
    with DimseArchive(slices) as archive:
        archive.move_port = archive.port
        with opened(archive, "move") as source, pytest.raises(SourceUnavailable, match="move_port"):
            source.fetch(series, instances, tmp_path)


def test_an_unreachable_archive_is_told(slices: list[Dataset], tmp_path: Path) -> None:
    series, instances = listed(slices)
    with opened(DimseArchive(slices)) as source:
        with pytest.raises(SourceUnavailable):
            list(source.find(SeriesFilter()))
        with pytest.raises(SourceUnavailable):
            source.fetch(series, instances, tmp_path)


def test_fewer_instances_than_the_archive_counts_are_told(slices: list[Dataset]) -> None:
    series, _ = listed(slices)
    more = ListedSeries(series.study_uid, series.series_uid, instances=9)
    with (
        DimseArchive(slices) as archive,
        opened(archive) as source,
        pytest.raises(SeriesIncomplete, match="5 of 9"),
    ):
        source.instances(more)


def test_what_is_offered_fits_an_association() -> None:
    assert len(FETCHED_CLASSES) * len(FETCHED_SYNTAXES) + 1 <= 128
