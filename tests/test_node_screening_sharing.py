"""Several runs of screenings at once: connections of an archive, and what killed runs left."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dicom_node.archive.bookkeeping.archive_share import ArchiveShare
from dicom_node.archive.bookkeeping.progress import read_progress
from dicom_node.archive.bookkeeping.runners import Runner
from dicom_node.archive.bookkeeping.tables import RUNNER, open_screenings
from dicom_node.archive.slots import ConnectionSlots
from dicom_node.archive.sources import ListedSeries, ListingIncomplete, SeriesFilter
from dicom_node.archive.work import asking, running
from dicom_node.archive.work.manners import Manners, local_time
from dicom_node.archive.work.running import run_screening
from tests.screening_builders import (
    PATIENCE_SECONDS,
    MemorySource,
    TemplateReports,
    listed,
    make_screening,
    run_trial,
    settings_in,
    template_report,
)

ARCHIVE = """
[[archives]]
name = "pacs"
max_connections = 2
[archives.dicomweb]
url = "http://127.0.0.1:1/"
"""


def test_runners_share_out_what_an_archive_allows(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    screening = make_screening(settings)
    database = open_screenings(settings.database)
    Manners(database, "dimse:pacs", None).prepare()
    with contextlib.ExitStack() as stack:
        runners = [
            stack.enter_context(Runner(database, screening, tmp_path / f"m{k}" / "s" / "attempts"))
            for k in range(3)
        ]
        first, second, third = (ArchiveShare(database, "dimse:pacs", 2, r.id) for r in runners)
        assert first.allot(0) == 2
        assert second.allot(0) == 0, "the first has them still"
        assert first.allot(2) == 1
        assert second.allot(0) == 0, "the first still uses two"
        assert first.allot(1) == 1
        assert second.allot(0) == 1
        assert third.allot(0) == 0, "no more than two, whoever asks"
        with database.begin() as connection:
            connection.execute(RUNNER.update().where(RUNNER.c.id == runners[0].id).values(beat=0.0))
        assert third.allot(0) == 1, "a dead runner's are free"
    assert first.allot(0) == 2


def test_two_runs_together_use_no_more_connections_than_the_archive_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr(running, "RUNNER_BEAT_SECONDS", 0.05)
    template = template_report(tmp_path)
    settings = settings_in(tmp_path, ARCHIVE)
    make_screening(settings, source="dicomweb:pacs")
    now: list[int] = []
    most: list[int] = []

    class SlottedSource(MemorySource):
        def __init__(self, slots: ConnectionSlots) -> None:
            super().__init__([listed(k) for k in range(30)], tmp_path / "journal", seconds=0.05)
            self._slots = slots

        def fetch(self, *asked: Any) -> list[Path]:
            with self._slots.taken():
                now.append(1)
                most.append(len(now))
                try:
                    return super().fetch(*asked)
                finally:
                    now.pop()

    def run() -> None:
        stop, reports = threading.Event(), TemplateReports(template)
        run_screening(
            settings, "trial", stop, reports, local_time, lambda *names: SlottedSource(names[-1])
        )

    runs = [threading.Thread(target=run) for _ in range(2)]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join(PATIENCE_SECONDS)
    assert read_progress(open_screenings(settings.database), "trial").outcomes == {"reported": 30}
    assert max(most) == 2


def test_a_run_removes_images_that_a_killed_run_of_another_screening_left(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    screening = make_screening(settings)
    database = open_screenings(settings.database)
    left = tmp_path / "other" / "attempts" / "host-1-dead" / "7"
    left.mkdir(parents=True)
    (left / "image.dcm").touch()
    with Runner(database, screening, tmp_path / "trial" / "attempts"):
        assert not left.exists()
        assert left.parent.exists(), "it tells the other screening's next run who died"


def test_a_study_that_a_dying_archive_lists_without_series_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class DyingSource(MemorySource):
        def find(self, wanted: SeriesFilter) -> Iterator[ListedSeries]:
            if self.asked.count("find") < 2:
                self.asked.append("find")
                raise ListingIncomplete("a study and none of its series", may_pass=True)
            return super().find(wanted)

    monkeypatch.setattr(asking, "REPEAT_SECONDS", 0.01)
    settings = settings_in(tmp_path)
    make_screening(settings)
    source = DyingSource([listed(1)], tmp_path / "journal")
    run_trial(settings, source, TemplateReports(template_report(tmp_path)))
    assert read_progress(open_screenings(settings.database), "trial").outcomes == {"reported": 1}
