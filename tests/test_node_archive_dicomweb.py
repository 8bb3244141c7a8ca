"""Archives by QIDO-RS, WADO-RS and STOW-RS: what they list and send, and what hostile ones do."""

import itertools
import json
import resource
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pydicom
import pytest

from dicom_node.archive.dicomweb import DicomwebSource
from dicom_node.archive.listing import Found, list_series
from dicom_node.archive.multipart import MultipartBroken, MultipartReader
from dicom_node.archive.opening import open_archive
from dicom_node.archive.sources import (
    ListedSeries,
    ListingIncomplete,
    SeriesFilter,
    SeriesIncomplete,
    SourceUnavailable,
)
from dicom_node.archive.stow import stow
from dicom_node.errors import DeliveryFailed, DiskFault
from dicom_node.settings.archives import DicomwebArchive
from tests.certificates import Authority
from tests.dicom_builders import plain_series
from tests.web_archive import (
    ANY_PART,
    Request,
    SmallArchive,
    multipart,
    serving,
    web_archive,
)

SLICES = 5


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallArchive:
    return SmallArchive(plain_series(tmp_path_factory.mktemp("web") / "series", SLICES))


def source_of(url: str, **settings: Any) -> DicomwebSource:
    found = open_archive(web_archive(url, **settings), "OSTEONODE")
    assert isinstance(found, DicomwebSource)
    return found


def listed(small: SmallArchive) -> tuple[ListedSeries, tuple[str, ...]]:
    uids = tuple(str(header.SOPInstanceUID) for header in small.headers)
    return ListedSeries(study_uid=small.study, series_uid=small.series), uids


def number(header: pydicom.Dataset) -> int:
    return int(header.InstanceNumber)


def test_a_series_is_listed_looked_at_and_fetched_byte_by_byte(
    small: SmallArchive, tmp_path: Path
) -> None:
    with serving(small) as server:
        source = source_of(f"{server.url}/dicom-web/")
        [series] = source.find(SeriesFilter())
        instances = source.instances(series)
        header = source.header(series, instances)
        paths = source.fetch(series, instances, tmp_path)
        source.close()
    assert (series.study_uid, series.patient_id, series.modality) == (
        small.study, small.headers[0].PatientID, "CT",
    )  # fmt: skip
    assert series.kvp is None
    assert header is not None
    assert header.SOPInstanceUID == instances[SLICES // 2]
    assert "PixelData" not in header
    assert instances == tuple(
        str(header.SOPInstanceUID) for header in sorted(small.headers, key=number)
    )
    assert {path.read_bytes() for path in paths} == {path.read_bytes() for path in small.files}
    assert [pydicom.dcmread(path).SOPInstanceUID for path in paths] == list(instances)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    fields = next(request.query() for request in server.asked)["includefield"]
    assert {"AccessionNumber", "PatientID"} <= set(fields)


def test_ignored_conditions_are_checked_on_what_comes_back(small: SmallArchive) -> None:
    with serving(small) as server:
        source = source_of(server.url)
        assert not list(source.find(SeriesFilter(patient_id="SOMEBODY ELSE")))
        assert not list(source.find(SeriesFilter(accession="A1")))
        assert not list(source.find(SeriesFilter(dates=(date(1999, 1, 1), date(1999, 12, 31)))))
        assert not list(source.find(SeriesFilter(modality="MR")))
        assert not list(source.find(SeriesFilter(series_uid="1.2.3")))
        assert list(source.find(SeriesFilter(body_part="CHEST", ages_years=(0, 1))))
        source.close()


def study(uid: int, day: str, time_of_day: str) -> dict[str, Any]:
    return {
        "0020000D": {"vr": "UI", "Value": [f"1.2.{uid}"]},
        "00080020": {"vr": "DA", "Value": [day]},
        "00080030": {"vr": "TM", "Value": [time_of_day]},
    }


class ManyStudies:
    """Studies of a day and of the day before, each with one series.

    Parameters
    ----------
    most
        Answers that it gives to one question.
    pages
        Whether it knows ``offset``.
    """

    def __init__(self, count: int, most: int, *, pages: bool, same_second: bool = False) -> None:
        times = ["101112" if same_second else f"{k // 60:02d}{k % 60:02d}00" for k in range(count)]
        self.studies = [study(k, f"2024010{1 + k % 2}", clock) for k, clock in enumerate(times)]
        self.most = most
        self.pages = pages

    def __call__(self, request: Request) -> None:
        if "/series" in request.path:
            uid = request.path.split("/studies/")[1].split("/")[0]
            request.give_json([{"0020000E": {"vr": "UI", "Value": [f"{uid}.1"]}}])
            return
        asked = request.query()
        days = asked.get("StudyDate", ["00000000-99999999"])[0].split("-")
        times = asked.get("StudyTime", ["000000-999999"])[0].split("-")
        found = [
            one
            for one in self.studies
            if days[0] <= one["00080020"]["Value"][0] <= days[-1]
            and times[0] <= one["00080030"]["Value"][0] <= times[-1]
        ]
        start = int(asked["offset"][0]) if self.pages else 0
        request.give_json(found[start : start + min(self.most, int(asked["limit"][0]))])


WEEK = (date(2024, 1, 1), date(2024, 1, 7))


@pytest.mark.parametrize("pages", [True, False], ids=["pages", "ignores offset"])
def test_no_study_is_lost_where_an_archive_caps_its_answers(pages: bool) -> None:
    with serving(ManyStudies(40, 10, pages=pages)) as server:
        source = source_of(server.url, max_answers=10)
        found = [series.study_uid for series in source.find(SeriesFilter(dates=WEEK))]
        source.close()
    assert sorted(found) == sorted(f"1.2.{k}" for k in range(40))


def test_a_day_that_cannot_be_parted_is_named_behind_all_other_series() -> None:
    archive = ManyStudies(30, 10, pages=False, same_second=True)
    with serving(archive) as server:
        source = source_of(server.url, max_answers=10)
        found: list[ListedSeries] = []
        with pytest.raises(ListingIncomplete, match="20240101") as caught:
            found.extend(source.find(SeriesFilter(dates=WEEK)))
        with pytest.raises(ListingIncomplete, match="without dates"):
            list(source.find(SeriesFilter()))
        source.close()
    assert caught.value.days == ("20240101", "20240102")
    assert len(found) == 20


def test_a_study_that_is_not_listed_in_full_is_told_behind_all_others() -> None:
    class Index:
        """Three studies: of the first no series is listed, of the second not all."""

        def studies(self, _conditions: Mapping[str, str]) -> Found:
            return Found([{"StudyInstanceUID": (f"1.2.{k}",)} for k in range(3)], cut=False)

        def series(self, study_uid: str, _conditions: Mapping[str, str]) -> Found:
            if study_uid == "1.2.0":
                return Found([], cut=False)
            return Found([{"SeriesInstanceUID": (f"{study_uid}.1",)}], cut=study_uid == "1.2.1")

    found = list_series(Index(), SeriesFilter())
    assert [next(found).series_uid for _ in range(2)] == ["1.2.1.1", "1.2.2.1"]
    with pytest.raises(ListingIncomplete, match=r"none of its series \(and 1 other studies\)"):
        next(found)


def fetched(small: SmallArchive, folder: Path, answer: Callable[[Request], None]) -> list[Path]:
    series, instances = listed(small)
    with serving(answer) as server:
        source = source_of(server.url, timeout_s=1.0)
        try:
            return source.fetch(series, instances, folder)
        finally:
            source.close()


def test_a_lost_instance_is_counted_although_the_answer_says_200(
    small: SmallArchive, tmp_path: Path
) -> None:
    contents = [path.read_bytes() for path in small.files]
    with pytest.raises(SeriesIncomplete, match="4 of 5 instances came, the answer was whole"):
        fetched(small, tmp_path, lambda asked: asked.give(200, multipart(contents[:-1]), ANY_PART))


def test_an_answer_without_its_closing_boundary_is_no_series(
    small: SmallArchive, tmp_path: Path
) -> None:
    contents = [path.read_bytes() for path in small.files]
    whole = multipart(contents, closed=False) + b"--b0undary\r\n"
    with pytest.raises(SeriesIncomplete, match="5 of 5 instances came, the answer ended before"):
        fetched(small, tmp_path, lambda asked: asked.pour([whole]))
    assert not list(tmp_path.glob(".arriving*"))


def test_instances_of_another_series_are_not_taken(small: SmallArchive, tmp_path: Path) -> None:
    other = tmp_path / "other.dcm"
    dataset = pydicom.dcmread(small.files[0])
    dataset.SeriesInstanceUID = "1.2.3.4"
    dataset.save_as(other)
    contents = [other.read_bytes(), *(path.read_bytes() for path in small.files[1:]), b"none"]
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(SeriesIncomplete, match="4 of 5 instances came and 2 that were not asked"):
        fetched(small, into, lambda asked: asked.give(200, multipart(contents), ANY_PART))
    assert len(list(into.iterdir())) == 4


def endless_part() -> Iterator[bytes]:
    yield b"--b0undary\r\n\r\n"
    yield from itertools.repeat(bytes(1 << 20), 300)


def endless_header() -> Iterator[bytes]:
    yield b"--b0undary\r\nX: "
    yield from itertools.repeat(b"x" * (1 << 16), 5000)


def endless_preamble() -> Iterator[bytes]:
    yield from itertools.repeat(b"x" * (1 << 16), 5000)


def drip() -> Iterator[bytes]:
    yield b"--b0undary\r\n\r\n"
    for _ in range(1000):
        time.sleep(0.02)
        yield b"x"


def endless_instances(content: bytes) -> Iterator[bytes]:
    return itertools.repeat(b"--b0undary\r\n\r\n" + content + b"\r\n", 10_000)


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        (endless_part, "an instance of more than"),
        (endless_header, "without end of its headers"),
        (endless_preamble, "no part where the first one must be"),
        (drip, "nothing more came in time"),
    ],
    ids=["part", "header", "preamble", "drip"],
)
def test_an_answer_without_end_is_ended_with_little_memory(
    small: SmallArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    pieces: Callable[[], Iterator[bytes]], said: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("dicom_node.archive.arrivals.MAX_INSTANCE_MB", 64)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SeriesIncomplete, match=said):
        fetched(small, tmp_path, lambda asked: asked.pour(pieces()))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40 * 1024
    assert not list(tmp_path.iterdir())


def test_the_same_instance_without_end_is_ended(small: SmallArchive, tmp_path: Path) -> None:
    content = small.files[0].read_bytes()
    with pytest.raises(SeriesIncomplete, match="1 of 5 instances came, more instances than"):
        fetched(small, tmp_path, lambda asked: asked.pour(endless_instances(content)))


def test_a_page_in_place_of_a_series_is_told(small: SmallArchive, tmp_path: Path) -> None:
    def page(asked: Request) -> None:
        asked.give(200, b"<html>sign in</html>", "text/html")

    with pytest.raises(SeriesIncomplete, match="not multipart/related"):
        fetched(small, tmp_path, page)
    with serving(page) as server, pytest.raises(SourceUnavailable, match="not DICOM JSON"):
        list(source_of(server.url).find(SeriesFilter()))


def test_a_header_line_without_end_is_ended(small: SmallArchive, tmp_path: Path) -> None:
    def answer(asked: Request) -> None:
        asked.close_connection = True
        asked.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        with suppress(OSError):
            for _ in range(1000):
                asked.wfile.write(b"x" * (1 << 16))

    with pytest.raises(SourceUnavailable, match="broke the connection"):
        fetched(small, tmp_path, answer)


@pytest.mark.parametrize("lost", ["keys", "series"])
def test_a_search_that_an_archive_cannot_do_holds_up_no_other(
    small: SmallArchive, lost: str
) -> None:
    def answer(asked: Request) -> None:
        of_series = asked.path.partition("?")[0].endswith("/series")
        if of_series and (lost == "series" or "includefield" in asked.query()):
            asked.give(500, b"lost", "text/plain")
        elif of_series and asked.query().get("offset") == ["0"]:
            asked.give_json([small.item("SeriesInstanceUID", "Modality")])
        elif of_series:
            asked.give_json([])
        else:
            small(asked)

    with serving(answer) as server:
        source = source_of(server.url)
        if lost == "keys":
            [series] = source.find(SeriesFilter())
            assert (series.series_uid, series.kvp) == (small.series, None)
        else:
            with pytest.raises(ListingIncomplete, match="HTTP 500"):
                list(source.find(SeriesFilter()))
        source.close()
    with serving(lambda asked: asked.give(500, b"down", "text/plain")) as server:
        source = source_of(server.url)
        with pytest.raises(SourceUnavailable, match="HTTP 500; is url its root"):
            list(source.find(SeriesFilter()))
        source.close()


def test_a_search_with_an_answer_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicom_node.archive.http_session.MAX_ANSWER_MB", 1)
    with serving(lambda asked: asked.pour(itertools.repeat(b" " * (1 << 16), 5000))) as server:
        source = source_of(server.url)
        with pytest.raises(SourceUnavailable, match="more than 1 MB"):
            list(source.find(SeriesFilter()))


@pytest.mark.parametrize(
    ("status", "after", "seconds"),
    [(429, "7", 7.0), (503, "", None), (503, "Fri, 01 Jan 1999 00:00:00 GMT", 0.0)],
)
def test_a_busy_archive_says_when_to_come_again(
    small: SmallArchive, tmp_path: Path, status: int, after: str, seconds: float | None
) -> None:
    def busy(asked: Request) -> None:
        asked.give(status, b"later", "text/plain", **({"Retry_After": after} if after else {}))

    with pytest.raises(SourceUnavailable, match="busy") as caught:
        fetched(small, tmp_path, busy)
    assert caught.value.retry_after_seconds == seconds


def test_an_unreachable_archive_is_told_without_its_address() -> None:
    with serving(lambda asked: None) as server:
        url = server.url
    with pytest.raises(SourceUnavailable) as caught:
        list(source_of(url).find(SeriesFilter(patient_id="SECRET^PATIENT")))
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_unknown_studies_and_series_are_told_from_an_archive_that_fails(
    small: SmallArchive, tmp_path: Path
) -> None:
    with pytest.raises(SeriesIncomplete, match="0 of 5 instances came, HTTP 404"):
        fetched(small, tmp_path, lambda asked: asked.give(404, b"", "text/plain"))
    with serving(lambda asked: asked.give(404, b"", "text/plain")) as server:
        source = source_of(server.url)
        assert source.instances(ListedSeries("1.2", "1.2.3")) == ()
        assert source.header(ListedSeries("1.2", "1.2.3"), ["1.2.3.4"]) is None
        with pytest.raises(SourceUnavailable, match="is url its root"):
            list(source.find(SeriesFilter()))
        source.close()


def test_a_token_is_read_anew_and_never_told(small: SmallArchive, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first-s3cret\n")
    with serving(small) as server:
        source = source_of(server.url, token_file=token)
        list(source.find(SeriesFilter()))
        token.write_text("second")
        list(source.find(SeriesFilter()))
        token.write_text("s3cret\nX-Injected: yes")
        with pytest.raises(SourceUnavailable) as caught:
            list(source.find(SeriesFilter()))
        source.close()
    sent = [request.headers["Authorization"] for request in server.asked]
    assert (sent[0], sent[-1]) == ("Bearer first-s3cret", "Bearer second")
    assert "s3cret" not in str(caught.value)


def test_a_refused_login_is_told_without_the_password(small: SmallArchive) -> None:
    with serving(lambda asked: asked.give(401, b"no", "text/plain")) as server:
        source = source_of(server.url, user="researcher", password="s3cret")
        with pytest.raises(SourceUnavailable, match="refuses the login") as caught:
            list(source.find(SeriesFilter()))
    assert "s3cret" not in str(caught.value)
    assert server.asked[0].headers["Authorization"].startswith("Basic ")


def test_a_redirect_to_another_host_gets_no_login_and_no_question(small: SmallArchive) -> None:
    with serving(small) as other:

        def elsewhere(asked: Request) -> None:
            asked.give(302, b"", "text/plain", Location=f"{other.url}{asked.path}")

        with serving(elsewhere) as server:
            source = source_of(server.url, user="researcher", password="s3cret")
            with pytest.raises(SourceUnavailable, match="redirects to another host"):
                list(source.find(SeriesFilter()))
    assert not other.asked


def server_tls(authority: Authority) -> ssl.SSLContext:
    """Of a server that asks for a certificate of the same authority."""
    key, certificate = authority.issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority.path)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_both_sides_show_certificates_of_the_archives_authority(
    small: SmallArchive, tmp_path: Path
) -> None:
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    key, certificate = authority.issue("node")
    own = {"certificate": certificate, "key": key}
    with serving(small, server_tls(authority)) as server:
        source = source_of(server.url, tls={"ca": authority.path, **own})
        assert list(source.find(SeriesFilter()))
        source.close()
        for tls in ({"ca": other.path, **own}, {"ca": authority.path}):
            source = source_of(server.url, tls=tls)
            with pytest.raises(SourceUnavailable, match=r"TLS failed|broke the connection"):
                list(source.find(SeriesFilter()))
            source.close()


def test_a_password_in_the_address_is_refused() -> None:
    with pytest.raises(ValueError, match="not in url"):
        DicomwebArchive(url="https://researcher:s3cret@archive/dicom-web")


def test_an_archive_may_not_have_more_questions_at_once_than_allowed(small: SmallArchive) -> None:
    now, most = 0, 0
    lock = threading.Lock()

    def slowly(asked: Request) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1
        small(asked)

    with serving(slowly) as server:
        source = source_of(server.url)
        threads = [
            threading.Thread(target=lambda: list(source.find(SeriesFilter()))) for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        source.close()
    assert most == 2


def test_a_full_disk_is_a_disk_fault(
    small: SmallArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series, instances = listed(small)
    with serving(small) as server:
        source = source_of(server.url)
        with pytest.raises(DiskFault):
            source.fetch(series, instances, tmp_path / "none")
        source.close()


@pytest.mark.parametrize("cut", range(1, 90, 4))
def test_parts_are_the_same_however_the_answer_is_cut(cut: int) -> None:
    contents = [b"one\r\n--b0undar", b"", b"--b0undary", bytes(200)]
    message = b"preamble\r\n" + multipart(contents)
    pieces = (message[start : start + cut] for start in range(0, len(message), cut))
    reader = MultipartReader(lambda: next(pieces, b""), b"b0undary")
    found = []
    while reader.next_part():
        part = bytearray()
        reader.copy(part.extend)
        found.append(bytes(part))
    assert found == contents


@pytest.mark.parametrize("end", range(0, 100, 7))
def test_a_message_that_ends_early_is_broken(end: int) -> None:
    pieces = iter([multipart([b"one", b"two"])[:end]])
    reader = MultipartReader(lambda: next(pieces, b""), b"b0undary")
    with pytest.raises(MultipartBroken):
        read_all(reader)


def read_all(reader: MultipartReader) -> None:
    while reader.next_part():
        reader.copy(len)


STORED = {"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}]}}
FAILED = {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0xC000]}}]}}


def test_a_report_is_stowed_byte_by_byte(small: SmallArchive) -> None:
    with serving(lambda asked: asked.give_json(STORED)) as server:
        stow(small.files[0].read_bytes(), web_archive(server.url))
    [asked] = server.asked
    assert asked.path == "/studies"
    assert small.files[0].read_bytes() in asked.content


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (409, FAILED, "HTTP 409, failure reason 0xC000"),
        (202, {**STORED, **FAILED}, "HTTP 202, failure reason 0xC000"),
        (200, {}, "does not say that it stored"),
        (413, {}, "HTTP 413"),
        (503, {}, "busy"),
    ],
)
def test_a_refused_report_is_told_with_the_archives_reason(
    small: SmallArchive, status: int, answer: dict[str, Any], said: str
) -> None:
    def refuse(asked: Request) -> None:
        asked.give(status, json.dumps(answer).encode(), "application/dicom+json")

    with serving(refuse) as server, pytest.raises(DeliveryFailed, match=said):
        stow(small.files[0].read_bytes(), web_archive(server.url))
