"""Figures of agreement between program and readers: what is counted, and who sees whom."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import FastAPI

from dicom_node.pages.app import close_pages
from dicom_node.pages.reading.agreement_figures import Verdicts, agreement_of, bland_altman
from dicom_node.work.listing.kept_readings import KeptReading, keep_reading, kept_readings
from tests.page_client import Browser, make_app


def day(month: int, date: int) -> int:
    return round(datetime(2026, month, date, tzinfo=UTC).timestamp() * 1000)


FIRST = KeptReading(
    "a", "a1", "a0", day(1, 31), "corrected", "Doe^Jane", 1, "GE, R", "",
    {"L1": 100.0, "L2": 90.0}, {"L1": 104.0},
)  # fmt: skip
WORDS = (
    FIRST,
    KeptReading(
        "b", "b1", "b0", day(2, 1), "corrected", "Doe^Jane", 0, "GE, R", "",
        {"L1": 80.0, "L3": 70.0}, {"L1": 82.0, "L3": 65.0},
    ),
    KeptReading("c", "c1", "c0", day(2, 2), "accepted", "Roe^Richard", 0, "GE, R"),
    KeptReading("d", "d1", "d0", day(2, 3), "rejected", "Roe^Richard", 0, "", "=wrong levels"),
)  # fmt: skip


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    made = make_app(tmp_path, ("jane", "reader"), ("adam", "administrator"), ("rosa", "researcher"))
    yield made
    close_pages(made)


def keep(app: FastAPI, *words: KeptReading) -> None:
    with app.state.database.engine.begin() as connection:
        for word in words:
            keep_reading(connection, word)


def signed_in(app: FastAPI, name: str) -> Browser:
    browser = Browser(app)
    browser.sign_in(name)
    return browser


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_words_are_counted_by_month_reader_and_scanner() -> None:
    found = agreement_of(WORDS)
    assert (found.words, found.reports, found.readers) == (4, 4, 2)
    assert found.by_month == (Verdicts("2026-01", 0, 1, 0), Verdicts("2026-02", 1, 1, 1))
    assert found.by_reader == (Verdicts("Doe^Jane", 0, 2, 0), Verdicts("Roe^Richard", 1, 0, 1))
    assert found.by_scanner == (Verdicts("GE, R", 1, 2, 0), Verdicts("not stated", 0, 0, 1))
    assert found.reasons == (("=wrong levels", 1),)


def test_differences_are_those_of_bland_and_altman() -> None:
    found = agreement_of(WORDS)
    l1, l3 = found.differences
    # 4 and 2 HU: mean 3, standard deviation the square root of 2
    assert (l1.site, l1.n, l1.bias_hu) == ("L1", 2, 3.0)
    assert (l1.low_hu, l1.high_hu) == pytest.approx((3 - 1.96 * 2**0.5, 3 + 1.96 * 2**0.5))
    assert (l3.site, l3.n, l3.bias_hu, l3.low_hu) == ("L3", 1, -5.0, None)
    assert bland_altman([1.0, 1.0]) == (1.0, 1.0, 1.0)


def test_level_errors_have_wilson_s_interval_and_leave_rejections_out() -> None:
    found = agreement_of(WORDS)
    assert (found.levels_wrong, found.levels_read) == (1, 3)
    assert found.levels is not None
    # Wilson's interval of 1 in 3
    assert (found.levels.low, found.levels.high) == pytest.approx((0.0615, 0.7923), abs=1e-4)
    assert agreement_of(WORDS[3:]).levels is None


def test_newest_word_on_a_report_counts_alone_for_what_was_measured() -> None:
    second = replace(FIRST, work="a2", moment=day(3, 1), levels_down=0, after={"L1": 101.0})
    found = agreement_of((FIRST, second))
    assert (found.words, found.reports) == (2, 1)
    assert [(s.site, s.n, s.bias_hu) for s in found.differences] == [("L1", 1, 1.0)]
    assert (found.levels_wrong, found.levels_read) == (0, 1)
    late = replace(second, work="a3", moment=day(3, 2), verdict="rejected")
    assert agreement_of((FIRST, second, late)).levels_read == 0


def test_words_are_kept_once_in_their_order(app: FastAPI) -> None:
    keep(app, *reversed(WORDS), FIRST)
    assert kept_readings(app.state.database.engine) == WORDS
    figures = kept_readings(app.state.database.engine, corrections=True)
    assert agreement_of(figures) == agreement_of(WORDS)
    assert [bool(word.after) for word in figures] == [w.verdict == "corrected" for w in WORDS]


def test_readers_are_named_to_administrators_alone(app: FastAPI) -> None:
    keep(app, *WORDS)
    jane, adam = signed_in(app, "jane"), signed_in(app, "adam")
    assert signed_in(app, "rosa").get("/agreement").status == 403
    for path, name in (("/agreement", "Doe, Jane"), ("/agreement.csv", "Doe^Jane")):
        assert name not in jane.get(path).text
        assert name in adam.get(path).text
    page = jane.get("/agreement").text
    assert "readers: 2" in page
    assert "33.3 % (95 % interval by Wilson 6.1 to 79.2 %)" in page
    assert "10.1016/S0140-6736(86)90837-8" in page
    assert "=wrong levels" in page
    assert '<a href="/agreement" aria-current="page">' in page


def test_csv_holds_the_same_figures_and_no_formula(app: FastAPI) -> None:
    keep(app, *WORDS)
    answer = signed_in(app, "jane").get("/agreement.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    found = {(row["figure"], row["group"]): row for row in rows(answer.text)}
    l1 = found["HU difference", "L1"]
    assert (l1["value"], l1["n"]) == ("3", "2")
    assert float(l1["low"]) == pytest.approx(0.228, abs=1e-3)
    assert found["accepted by month", "2026-02"]["value"] == "1"
    assert found["level errors", ""]["value"] == "0.3333"
    assert ("reason of rejection", "'=wrong levels") in found


def test_page_without_words_says_so(app: FastAPI) -> None:
    browser = signed_in(app, "jane")
    assert "No reader has read a report yet" in browser.get("/agreement").text
    assert len(rows(browser.get("/agreement.csv").text)) == 3
    keep(app, FIRST)
    assert "Words of readers: 1, on 1 of" in browser.get("/agreement").text
