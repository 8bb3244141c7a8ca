"""Complete before read: gaps, the PACS's counts, the limit, several series, superseding."""

import random
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from dicom_node.demo import free_port
from dicom_node.errors import IdentityUnclear, QueryFailed
from dicom_node.receiving.received_header import file_header
from dicom_node.sending.pacs_query import PacsQuery
from dicom_node.series.instances import sender_of
from dicom_node.series.survey import SeriesSurvey, StudySurvey, survey
from dicom_node.settings.node import NodeSettings, Query
from dicom_node.spool.spool import Spool, series_key, spool_name
from dicom_node.work.arrivals import Arrivals, missing
from dicom_node.work.assessment_pool import AssessmentPool
from dicom_node.work.complete_study import CompleteStudy, complete_study
from dicom_node.work.turns import Turns
from roi_extraction.anatomy import Finding
from tests.dicom_builders import plain_series

Answers = Callable[[Dataset], Iterable[Dataset]]
"""What a PACS answers to an identifier."""


@contextmanager
def answering_pacs(answers: Answers) -> Iterator[Query]:
    """A PACS that answers C-FIND by ``answers(identifier)``."""

    def find(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        for answer in answers(event.identifier):
            yield 0xFF00, answer

    ae = AE(ae_title="PACS")
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    port = free_port()
    server = ae.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_FIND, find)]
    )
    assert server is not None
    yield Query(ae_title="PACS", host="127.0.0.1", port=port)
    server.shutdown()


def answer(**values: str) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def test_count_comes_from_the_series_level() -> None:
    def answers(asked: Dataset) -> Iterator[Dataset]:
        assert asked.QueryRetrieveLevel == "SERIES"
        assert asked.StudyInstanceUID == "1.2"
        yield answer(
            QueryRetrieveLevel="SERIES", SeriesInstanceUID="1.2.3",
            NumberOfSeriesRelatedInstances="40",
        )  # fmt: skip

    with answering_pacs(answers) as query:
        assert PacsQuery(query, "NODE").instance_counts("1.2") == {"1.2.3": 40}


def test_where_the_pacs_does_not_count_its_images_are_counted() -> None:
    def answers(asked: Dataset) -> Iterator[Dataset]:
        if asked.QueryRetrieveLevel == "SERIES":
            yield answer(QueryRetrieveLevel="SERIES", SeriesInstanceUID="1.2.3")
            return
        for number in range(7):
            yield answer(QueryRetrieveLevel="IMAGE", SOPInstanceUID=f"1.2.3.{number}")

    with answering_pacs(answers) as query:
        assert PacsQuery(query, "NODE").instance_counts("1.2") == {"1.2.3": 7}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_pacs_that_does_not_answer_is_left_alone_for_a_while() -> None:
    query = PacsQuery(Query(ae_title="PACS", host="127.0.0.1", port=free_port()), "NODE")
    with pytest.raises(QueryFailed, match="cannot be reached"):
        query.instance_counts("1.2")
    with pytest.raises(QueryFailed, match="a moment ago"):
        query.identity("1.2")


def test_identity_differs_only_where_both_sides_say_something() -> None:
    def answers(asked: Dataset) -> Iterator[Dataset]:
        yield answer(
            QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2", PatientID="P1",
            PatientName="DOE^JANE^", AccessionNumber="",
        )  # fmt: skip

    document = answer(PatientID="P1", PatientName="Doe^Jane", AccessionNumber="A1")
    with answering_pacs(answers) as query:
        identity = PacsQuery(query, "NODE").identity("1.2")
        assert identity.differs(document) == ()
        document.PatientID = "P2"
        assert identity.differs(document) == ("PatientID",)
        with pytest.raises(IdentityUnclear, match="does not know the study"):
            PacsQuery(query, "NODE").identity("1.3")


def test_gap_is_seen_in_the_headers(tmp_path: Path) -> None:
    paths = plain_series(tmp_path)
    [whole] = survey(paths).series
    assert (whole.instances, whole.gap) == (40, "")
    [holed] = survey([*paths[:20], *paths[22:]]).series
    assert "2 slices are missing" in holed.gap


def test_count_goes_before_the_gap_and_unknown_series_are_not_compared() -> None:
    found = [SeriesSurvey("1", "1.1", 38, "2 slices are missing"), SeriesSurvey("1", "1.2", 5)]
    assert [f.code for f in missing(found, {"1.1": 40})] == ["input.incomplete"]
    assert [f.code for f in missing(found, {})] == ["input.gap"]
    assert missing([SeriesSurvey("1", "1.1", 41)], {"1.1": 40}) == []


class Pool(AssessmentPool):
    """Looks at headers in this process."""

    def __init__(self) -> None:
        """Start no child."""

    def survey(self, paths: Sequence[Path]) -> "Future[StudySurvey]":
        done: Future[StudySurvey] = Future()
        done.set_result(survey(paths))
        return done


class Handed:
    def __init__(self) -> None:
        self.studies: list[tuple[CompleteStudy, list[str]]] = []
        self.senders: list[str] = []

    def __call__(
        self, study: CompleteStudy, findings: Sequence[Finding], _changed: float, sender: str
    ) -> None:
        self.studies.append((study, [finding.code for finding in findings]))
        self.senders.append(sender)


def spooled(tmp_path: Path, paths: list[Path]) -> Spool:
    spool = Spool(tmp_path / "data", durable=False)
    spool.prepare()
    store(spool, paths)
    return spool


def store(spool: Spool, paths: list[Path]) -> None:
    for path in paths:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        spool.store(
            path.read_bytes(), header.SeriesInstanceUID, header.SOPInstanceUID,
            study_uid=header.StudyInstanceUID,
        )  # fmt: skip


def settings(tmp_path: Path, max_wait_seconds: float = 60) -> NodeSettings:
    return NodeSettings(
        data_dir=tmp_path / "data", quiet_seconds=0.01, max_wait_seconds=max_wait_seconds
    )


def untold(*_waiting: object) -> None:
    """Nobody asks which studies wait."""


def test_study_with_a_gap_waits_and_goes_on_when_the_slice_comes(tmp_path: Path) -> None:
    paths = plain_series(tmp_path / "ct")
    spool = spooled(tmp_path, [*paths[:20], *paths[21:]])
    handed = Handed()
    arrivals = Arrivals(settings(tmp_path), spool, Pool(), None, handed, untold)
    time.sleep(0.05)
    arrivals.look()
    assert handed.studies == []
    store(spool, paths[20:21])
    time.sleep(0.05)
    arrivals.look()
    [(study, codes)] = handed.studies
    assert codes == []
    assert [len(names) for names in study.names.values()] == [40]
    arrivals.look()
    assert len(handed.studies) == 1


def test_after_a_restart_only_what_is_not_settled_is_looked_at(tmp_path: Path) -> None:
    paths = plain_series(tmp_path / "ct")
    spool = spooled(tmp_path, paths[:39])
    time.sleep(0.05)
    Arrivals(settings(tmp_path), spool, Pool(), None, Handed(), untold).look()
    assert spool.unsettled() == []
    assert len(list(spool.arrivals())) == 1
    again = Spool(tmp_path / "data", durable=False)
    again.prepare()
    later = Handed()
    restarted = Arrivals(settings(tmp_path), again, Pool(), None, later, untold)
    restarted.look()
    assert later.studies == []
    store(again, paths[:1])
    assert again.unsettled() == [], "nothing changed"
    store(again, paths[39:])
    time.sleep(0.05)
    restarted.look()
    assert len(later.studies) == 1


def test_what_arrives_while_a_study_is_settled_is_not_forgotten(tmp_path: Path) -> None:
    paths = plain_series(tmp_path / "ct")
    spool = spooled(tmp_path, paths[:39])
    [before] = spool.unsettled()
    time.sleep(0.05)
    store(spool, paths[39:])
    spool.settle(before)
    [now] = spool.unsettled()
    assert now.changed > before.changed
    spool.settle(now)
    assert spool.unsettled() == []
    assert not list(spool.record.settling.iterdir())


def test_a_study_that_was_being_settled_at_a_crash_is_looked_at_again(tmp_path: Path) -> None:
    spool = spooled(tmp_path, plain_series(tmp_path / "ct"))
    [study] = spool.unsettled()
    (spool.record.arriving / study.key).rename(spool.record.settling / study.key)
    assert spool.unsettled() == []
    Spool(tmp_path / "data").prepare()
    assert [found.key for found in spool.unsettled()] == [study.key]
    assert not list(spool.record.settling.iterdir())


def test_without_a_record_of_what_is_settled_every_study_is_looked_at(tmp_path: Path) -> None:
    spool = spooled(tmp_path, plain_series(tmp_path / "ct"))
    [study] = spool.arrivals()
    shutil.rmtree(spool.record.arriving)
    Spool(tmp_path / "data").prepare()
    assert spool.unsettled() == [study]


def test_a_segmentation_is_kept_once_and_calls_for_its_study(tmp_path: Path) -> None:
    spool = spooled(tmp_path, plain_series(tmp_path / "ct"))
    header = pydicom.dcmread(tmp_path / "ct" / "0001.dcm", stop_before_pixels=True)
    [study] = spool.unsettled()
    spool.settle(study)
    spool.store_segmentation(b"seg", "1.2.3.4", b"", str(header.StudyInstanceUID))
    [found] = spool.unsettled()
    assert (found.key, found.series_keys) == (study.key, study.series_keys)
    [folder] = spool.load(found).segmentations
    assert (folder.key, folder.names) == (study.key, (spool_name("1.2.3.4"),))


def test_segmentations_whose_series_never_comes_are_listed_and_removed(tmp_path: Path) -> None:
    spool = spooled(tmp_path, [])
    spool.store_segmentation(b"seg", "1.2.9.1", b"", "1.2.8")
    [early] = spool.unsettled()
    assert early.series_keys == ()
    [study] = spool.arrivals()
    assert study.key == early.key == spool_name("1.2.8")
    spool.remove(study)
    assert list(spool.arrivals()) == []
    assert not list(spool.segmentations.iterdir())


def test_spool_of_the_first_release_is_read(tmp_path: Path) -> None:
    paths = plain_series(tmp_path / "ct")
    spool = spooled(tmp_path, paths[:39])
    [study] = spool.arrivals()
    header = pydicom.dcmread(paths[0], stop_before_pixels=True)
    old = spool_name(header.SeriesInstanceUID)
    new = series_key(header.StudyInstanceUID, header.SeriesInstanceUID)
    (spool.series / new).rename(spool.series / old)
    (spool.studies / study.key / new).rename(spool.studies / study.key / old)
    (spool.segmentations / old).mkdir()
    (spool.segmentations / old / "0.dcm").write_bytes(b"seg")
    store(spool, paths[38:])
    [found] = spool.arrivals()
    content = spool.load(found)
    assert sorted(len(series.names) for series in content.series) == [2, 39]
    assert [folder.names for folder in content.segmentations] == [("0",)]
    read = survey([p for s in content.series for p in spool.paths(s.key, s.names)])
    assert [series.instances for series in read.series] == [40]
    assert read.membership.conflicting == ()


def test_study_that_waited_long_enough_is_handed_over_with_a_finding(tmp_path: Path) -> None:
    paths = plain_series(tmp_path / "ct")
    spool = spooled(tmp_path, paths[:30])
    handed = Handed()
    waits = settings(tmp_path, max_wait_seconds=0.01)

    class Counting(PacsQuery):
        def __init__(self) -> None:
            """Know no PACS."""

        def instance_counts(self, _uid: str) -> dict[str, int]:
            return {pydicom.dcmread(paths[0]).SeriesInstanceUID: 40}

    time.sleep(0.05)
    Arrivals(waits, spool, Pool(), Counting(), handed, untold).look()
    [(_, codes)] = handed.studies
    assert codes == ["input.incomplete"]


def test_silent_pacs_delays_and_is_told_in_the_report(tmp_path: Path) -> None:
    spool = spooled(tmp_path, plain_series(tmp_path / "ct"))
    handed = Handed()

    class Silent(PacsQuery):
        def __init__(self) -> None:
            """Know no PACS."""

        def instance_counts(self, _uid: str) -> dict[str, int]:
            raise QueryFailed("no answer")

    time.sleep(0.05)
    Arrivals(settings(tmp_path), spool, Pool(), Silent(), handed, untold).look()
    assert handed.studies == []
    waits = settings(tmp_path, max_wait_seconds=0.01)
    Arrivals(waits, spool, Pool(), Silent(), handed, untold).look()
    assert [codes for _, codes in handed.studies] == [["input.count_unchecked"]]


class SlowPool(Pool):
    """Its surveys of one sender's study never end; the others are done at once."""

    def __init__(self, stuck: set[str]) -> None:
        super().__init__()
        self.stuck = stuck
        self.begun: list[str] = []

    def survey(self, paths: Sequence[Path]) -> "Future[StudySurvey]":
        sender = sender_of(paths[0])
        self.begun.append(sender)
        return Future() if sender in self.stuck else super().survey(paths)


def study_from(spool: Spool, number: int, sender: str) -> None:
    """A study of one slice that a sender sent."""
    spool.store(
        b"", f"1.2.{number}.1", f"1.2.{number}.1.1",
        file_header(CTImageStorage, f"1.2.{number}.1.1", ExplicitVRLittleEndian, sender),
        f"1.2.{number}",
    )  # fmt: skip


def test_slow_survey_holds_up_no_other_study_and_senders_take_turns(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "data", durable=False)
    spool.prepare()
    study_from(spool, 0, "SLOW")
    for number in range(1, 21):
        study_from(spool, number, "FLOOD")
    study_from(spool, 21, "CT1")
    pool, handed = SlowPool({"SLOW"}), Handed()
    arrivals = Arrivals(settings(tmp_path), spool, pool, None, handed, untold)
    time.sleep(0.05)
    for _ in range(3):
        arrivals.look()
    assert pool.begun[:3] == ["SLOW", "FLOOD", "CT1"]
    assert pool.begun.count("SLOW") == 1
    assert handed.senders[:3] == ["FLOOD", "CT1", "FLOOD"]
    assert len(handed.senders) == 21


def test_a_flood_of_one_sender_delays_only_its_own(tmp_path: Path) -> None:
    turns = Turns()
    flood = [turns.number("FLOOD", None if n == 0 else 1) for n in range(100)]
    assert flood == list(range(1, 101))
    # ten were done meanwhile
    assert [turns.number("CT1", 11) for _ in range(3)] == [11, 12, 13]
    assert turns.number("FLOOD", 11) == 101
    # nothing waits: everybody begins anew
    assert turns.number("CT2", None) == turns.number("FLOOD", 1) == 1


def test_order_and_doubles_do_not_change_the_identity(tmp_path: Path) -> None:
    paths = plain_series(tmp_path / "ct")
    first = spooled(tmp_path / "1", paths)
    disorder = [*paths, *paths[:9]]
    random.Random(3).shuffle(disorder)
    second = spooled(tmp_path / "2", disorder)
    identities = set()
    for spool in (first, second):
        [study] = spool.arrivals()
        content = spool.load(study)
        [series] = content.series
        surveyed = survey(spool.paths(series.key, series.names))
        identities.add(complete_study(content, surveyed).identity)
    assert len(identities) == 1


def test_two_series_of_a_study_are_one_piece_of_work(tmp_path: Path) -> None:
    one = plain_series(tmp_path / "a")
    two = plain_series(tmp_path / "b")
    for path in two:
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID += ".2"
        dataset.SOPInstanceUID += ".2"
        dataset.save_as(path)
    spool = spooled(tmp_path, [*one, *two])
    [study] = spool.arrivals()
    assert study.key == spool_name(pydicom.dcmread(one[0]).StudyInstanceUID)
    assert [len(series.names) for series in spool.load(study).series] == [40, 40]


def test_series_of_unknown_study_is_a_study_of_its_own(tmp_path: Path) -> None:
    spool = Spool(tmp_path, durable=False)
    spool.prepare()
    spool.store(b"", "1.2.3", "1.2.3.4")
    [study] = spool.arrivals()
    assert study.key == spool_name("1.2.3")


def test_removed_study_is_gone_and_one_that_got_an_instance_meanwhile_is_kept(
    tmp_path: Path,
) -> None:
    paths = plain_series(tmp_path / "ct")
    spool = spooled(tmp_path, paths[:39])
    [study] = spool.arrivals()
    time.sleep(0.05)
    store(spool, paths[39:])
    spool.remove(study)
    [kept] = spool.arrivals()
    assert len(spool.load(kept).series[0].names) == 40
    spool.remove(kept, overwrite=True)
    assert list(spool.arrivals()) == []
    assert not [path for path in spool.root.rglob("*") if path.is_file()]


def test_removal_that_a_crash_interrupted_is_finished_or_undone(tmp_path: Path) -> None:
    spool = spooled(tmp_path, plain_series(tmp_path / "ct"))
    [study] = spool.arrivals()
    [key] = study.series_keys
    spool.removed.mkdir()
    (spool.series / key).rename(spool.removed / f"series.{key}")
    (spool.removed / "doomed-1").mkdir()
    spool.finish_removals()
    [back] = spool.arrivals()
    assert len(spool.load(back).series[0].names) == 40
    assert not list(spool.removed.iterdir())
