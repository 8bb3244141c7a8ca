"""The node as ``osteonode serve`` runs it: one whole run, then quick assessments (`quick_node`)."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest

from dicom_node.series.series_writer import InventedHeader, write_ct_series
from roi_extraction.phantom import PhantomParameters, make_phantom
from tests.dicom_builders import plain_series
from tests.fault_node import quick_study
from tests.node_process import Node, Pacs


@pytest.fixture(scope="module")
def phantom_series(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    phantom = make_phantom(PhantomParameters.random(7), 7)
    folder = tmp_path_factory.mktemp("phantom")
    return write_ct_series(phantom.volume, folder, InventedHeader(seed="serve"))


@pytest.fixture(scope="module")
def expected_uid(phantom_series: list[Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The UID of the report, as ``analyze`` gives it."""
    from typer.testing import CliRunner

    from dicom_node.cli import app

    out = tmp_path_factory.mktemp("analyze")
    folder = phantom_series[0].parent
    assert CliRunner().invoke(app, ["analyze", str(folder), "-o", str(out)]).exit_code == 0
    return str(pydicom.dcmread(out / "report.sr.dcm").SOPInstanceUID)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], str]:
    """(files of a small series, UID of the one report that a quick node must give)."""
    return quick_study(tmp_path_factory.mktemp("quick"), "serve")


class Watched:
    """A node that runs already, and what it and its PACS did since this began."""

    def __init__(self, node: Node, pacs: Pacs) -> None:
        self.node = node
        self._pacs = pacs
        self._lines = len(node.log_path.read_text().splitlines())
        self._stored = len(pacs.stored)

    @property
    def stored(self) -> list[pydicom.Dataset]:
        return self._pacs.stored[self._stored :]

    def events(self, name: str) -> list[dict[str, Any]]:
        return self.node.events(name, self._lines)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Pacs]]:
    with Pacs() as pacs, Node(tmp_path_factory.mktemp("n"), pacs.port, quick=True) as node:
        yield node, pacs


@pytest.fixture
def watched(running: tuple[Node, Pacs]) -> Watched:
    return Watched(*running)


def test_series_sent_comes_back_as_one_report_and_again_as_none(
    tmp_path: Path, phantom_series: list[Path], expected_uid: str
) -> None:
    with Pacs() as pacs, Node(tmp_path, pacs.port) as node:
        node.send(phantom_series)
        node.wait_for(lambda: node.events("delivered"))
        assert pacs.uids == {expected_uid}
        node.send(phantom_series)
        time.sleep(3.0)
        assert len(pacs.stored) == 1
        [report] = node.reports()
        assert report["refused"] is None
        assert report["stage"]["predicted"] in "ABCD"


def test_killed_while_assessing_exactly_one_report_arrives(
    tmp_path: Path, quick: tuple[list[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    series, expected_uid = quick
    monkeypatch.setenv("QUICK_SECONDS", "2")
    with Pacs() as pacs:
        node = Node(tmp_path, pacs.port, quick=True).start()
        node.send(series)
        node.wait_for(lambda: node.events("assessing"))
        node.kill()
        assert not node.events("assessed")
        with node:
            node.wait_for(lambda: node.events("delivered"))
            time.sleep(1.0)
            assert len(pacs.stored) == 1
            assert pacs.uids == {expected_uid}


def test_killed_while_delivering_exactly_one_report_arrives(
    tmp_path: Path, quick: tuple[list[Path], str]
) -> None:
    series, expected_uid = quick

    def slow_at_first(count: int) -> int:
        if count == 1:
            time.sleep(3.0)
            return 0xA700
        return 0x0000

    with Pacs(slow_at_first) as pacs:
        node = Node(tmp_path, pacs.port, quick=True).start()
        node.send(series)
        node.wait_for(pacs.asked.is_set)
        node.kill()
        assert not node.events("delivered")
        with node:
            node.wait_for(lambda: node.events("delivered"))
            time.sleep(1.0)
            assert len(pacs.stored) == 1
            assert pacs.uids == {expected_uid}
            [report] = node.reports()
            events = node.study_events(report["study_uid"])
            assert events == ["queued", "assessing", "reported", "delivered"]


def test_destination_that_is_down_is_tried_again(
    tmp_path: Path, quick: tuple[list[Path], str]
) -> None:
    series, expected_uid = quick
    with (
        Pacs(lambda count: 0xA700 if count < 3 else 0x0000) as pacs,
        Node(tmp_path, pacs.port, quick=True) as node,
    ):
        node.send(series)
        node.wait_for(lambda: node.events("delivered"))
        assert [e["attempt"] for e in node.events("delivery attempt failed")] == [1, 2]
        [report] = node.reports()
        node.wait_for(lambda: "delivered" in node.study_events(report["study_uid"]))
        events = node.study_events(report["study_uid"])
        assert events[-4:] == ["reported", "retrying", "retrying", "delivered"]
        assert pacs.uids == {expected_uid}


def test_unsuitable_series_is_refused_in_report_and_log_and_others_go_on(
    tmp_path: Path, watched: Watched
) -> None:
    unsuitable = plain_series(tmp_path / "other", 40, kvp=140.0)
    watched.node.send(unsuitable)
    [event] = watched.node.wait_for(lambda: watched.events("refused"))
    assert event["code"] == "series.kvp"
    series, expected_uid = quick_study(tmp_path / "suitable", "suitable")
    watched.node.send(series)
    watched.node.wait_for(lambda: watched.events("delivered"))
    [report] = watched.node.reports(pydicom.dcmread(unsuitable[0]).StudyInstanceUID)
    assert report["refused"]["code"] == "series.kvp"
    assert watched.node.study_events(report["study_uid"])[-1] == "refused"
    assert [report.SOPInstanceUID for report in watched.stored] == [expected_uid]


def test_late_slice_gives_a_second_report_that_names_the_first(
    tmp_path: Path, watched: Watched
) -> None:
    series, _ = quick_study(tmp_path, "late")
    watched.node.send(series[:-1])
    watched.node.wait_for(lambda: watched.events("delivered"))
    watched.node.send(series[-1:])
    watched.node.wait_for(lambda: len(watched.events("delivered")) == 2)
    first, second = watched.stored
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert "PredecessorDocumentsSequence" not in first
    [study] = second.PredecessorDocumentsSequence
    named = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == first.SOPInstanceUID


def test_refused_series_that_is_sent_again_whole_is_assessed(
    tmp_path: Path, watched: Watched
) -> None:
    series, expected_uid = quick_study(tmp_path / "whole", "whole")
    broken = tmp_path / "broken.dcm"
    dataset = pydicom.dcmread(series[20])
    dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 2]
    dataset.save_as(broken)
    watched.node.send([*series[:20], broken, *series[21:]])
    [event] = watched.node.wait_for(lambda: watched.events("refused"))
    assert event["code"] == "series.unreadable_pixels"
    watched.node.send(series)
    watched.node.wait_for(lambda: watched.events("delivered"))
    assert [report.SOPInstanceUID for report in watched.stored] == [expected_uid]
    reports = watched.node.reports(dataset.StudyInstanceUID)
    refusals = [report["refused"] for report in reports]
    assert [entry["code"] for entry in refusals if entry] == ["series.unreadable_pixels"]
    assert refusals.count(None) == 1


def test_child_that_cannot_finish_is_reported_as_failed(
    tmp_path: Path, quick: tuple[list[Path], str]
) -> None:
    series, _ = quick
    with Pacs() as pacs:
        node = Node(tmp_path, pacs.port, quick=True)
        node.config.write_text(node.config.read_text() + "[limits]\nseconds = 0.2\nattempts = 2\n")
        with node:
            node.send(series)
            [event] = node.wait_for(lambda: node.events("assessment failed"))
            assert "0.2 s" in event["reason"]
            [report] = node.wait_for(node.reports)
            assert report["refused"]["code"] == "node.assessment_failed"
