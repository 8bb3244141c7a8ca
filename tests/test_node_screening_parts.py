"""Parts of a screening: lists, headers, manners, folders, pseudonyms, the table and its page."""

import csv
import re
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from dicom_node.archive.bookkeeping.lists import read_list
from dicom_node.archive.bookkeeping.screenings import Question, ScreeningPlan, Screenings
from dicom_node.archive.bookkeeping.tables import open_screenings
from dicom_node.archive.folder_source import FolderSource
from dicom_node.archive.listed_header import judge
from dicom_node.archive.results.columns import COLUMNS
from dicom_node.archive.results.pseudonyms import Pseudonyms
from dicom_node.archive.results.rows import result_batches
from dicom_node.archive.results.summary import Summary
from dicom_node.archive.results.writing import write_results
from dicom_node.archive.sources import ListedSeries, SeriesFilter, SeriesIncomplete
from dicom_node.archive.work.manners import Manners
from dicom_node.cli import app
from dicom_node.errors import ScreeningInvalid
from dicom_node.settings.archives import Archive
from dicom_node.settings.node import Acquisition, AcquisitionRules, NodeSettings
from modeling.cohort import SITE_NAMES, read_patients
from tests.dicom_builders import plain_series
from tests.screening_builders import (
    MemorySource,
    TemplateReports,
    listed,
    make_screening,
    run_trial,
    settings_in,
    template_report,
)

WANTED = SeriesFilter()


@pytest.fixture(scope="module")
def screened(tmp_path_factory: pytest.TempPathFactory) -> tuple[NodeSettings, Path]:
    """A screening of a list with every kind of outcome, at its end."""
    folder = tmp_path_factory.mktemp("screened")
    settings = settings_in(folder, "[limits]\nattempts = 1")
    path = folder / "list.csv"
    path.write_text(
        "accession,Disease,age,ward\n" + "".join(f"A{k},B,{k},w{k}\n" for k in range(8))
    )
    found = read_list(path, WANTED)
    series = [
        listed(0, age_years=0.0, sex="unknown"),
        listed(1),
        listed(2, kvp=100.0),
        listed(3),
        listed(4),
        listed(5),
        replace(listed(15), accession="A5", patient_id="P5", age_years=55.0),
    ]
    source = MemorySource(series, folder / "journal")
    source.incomplete = {"1.2.4.1"}
    make_screening(settings, found.questions, own_columns=found.own_columns)
    run_trial(settings, source, TemplateReports(template_report(folder), refused=["1.2.3.1"]))
    return settings, folder


def test_results_have_the_columns_of_the_contract() -> None:
    names = [column.name for column in COLUMNS]
    assert names[:17] == [
        "accession", "patient", "study_uid", "series_uid", "study_date", "age", "sex",
        "manufacturer", "model", "kernel", "kvp", "slice_thickness_mm", "contrast", "outcome",
        "code", "reason", "route",
    ]  # fmt: skip
    assert names[17:53] == list(SITE_NAMES)
    assert names[53:125] == [f"{n}_sd" for n in SITE_NAMES] + [f"{n}_reason" for n in SITE_NAMES]
    assert names[125:] == [
        "stage", "p_A", "p_B", "p_C", "p_D", "prediction_set", "osteoporosis", "l1_category",
        "warnings", "software", "model_id", "aorta_hu", "noise_sd_hu",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["results.csv", "results.tsv", "results.parquet"])
def test_patient_tables_are_read_from_results_as_they_are(
    screened: tuple[NodeSettings, Path], name: str
) -> None:
    settings, folder = screened
    out = folder / "read" / name
    assert write_results(open_screenings(settings.database), "trial", out, None) == 9
    patients = read_patients(out)
    assert list(patients.own["outcome"]) == [
        "reported", "reported", "excluded", "refused", "incomplete", "reported", "reported",
        "unknown", "unknown",
    ]  # fmt: skip
    assert list(patients.own["list_age"]) == ["0", "1", "2", "3", "4", "5", "5", "6", "7"]
    assert patients.stages is not None
    assert set(patients.stages) == {"B"}
    assert patients.mean_hu[1, 0] == 100.0
    rows, _ = patients.labelled()
    assert list(rows) == [0, 1, 5], "one row a patient, of those that were measured"


def test_results_are_staged_as_they_are(screened: tuple[NodeSettings, Path]) -> None:
    settings, folder = screened
    table = folder / "staged" / "results.csv"
    write_results(open_screenings(settings.database), "trial", table, None)
    done = CliRunner().invoke(app, ["stage", str(table), "-o", str(folder / "staged" / "out")])
    assert done.exit_code == 0, done.output
    with (folder / "staged" / "out" / "stages.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["series_uid"] for row in rows][:2] == ["1.2.0.1", "1.2.1.1"]
    assert rows[1]["stage"] in "ABCD"
    assert rows[2]["stage"] == ""
    assert rows[1]["ward"] == "w1"


def test_pseudonyms_replace_every_identifier_and_keep_equal_ones_equal(
    screened: tuple[NodeSettings, Path],
) -> None:
    settings, folder = screened
    key = folder / "key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    out = folder / "pseudonymous" / "results.csv"
    write_results(open_screenings(settings.database), "trial", out, key)
    text = out.read_text()
    assert not re.search(r"\b[AP]\d\b|1\.2\.\d", text)
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[5]["patient"] == rows[6]["patient"] != rows[1]["patient"]
    assert rows[5]["series_uid"] != rows[6]["series_uid"]
    assert re.fullmatch(r"2\.25\.\d{20,39}", rows[5]["study_uid"])
    assert rows[7]["series_uid"] == ""
    other = Pseudonyms(b"other key of thirty-two bytes....")
    assert other.name("patient", "P5") != rows[5]["patient"]


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [(b"short", 0o600, "at least 32"), (b"k" * 40, 0o644, "others may read")],
    ids=["too short", "readable by others"],
)
def test_a_weak_key_file_is_refused(
    tmp_path: Path, content: bytes, mode: int, message: str
) -> None:
    key = tmp_path / "key"
    key.write_bytes(content)
    key.chmod(mode)
    with pytest.raises(ScreeningInvalid, match=message):
        Pseudonyms.of(key)


def test_the_flow_chart_adds_up(screened: tuple[NodeSettings, Path]) -> None:
    settings, _ = screened
    database = open_screenings(settings.database)
    screening = Screenings(database).get("trial")
    summary = Summary()
    for batch in result_batches(database, screening, None):
        summary.add(batch)
    flow = summary.flow(sends=False)
    for step, following in pairwise(flow):
        assert following.count == step.count - sum(loss.count for loss in step.left)
    counts = {step.title: step.count for step in flow}
    assert list(counts.values()) == [9, 7, 6, 5, 5, 4]
    assert summary.measured == 4
    assert summary.later_series == 1
    numbers = summary.numbers()
    assert list(numbers.mean_hu[:, 0]) == [100.0, 100.0, 100.0]
    assert [str(sex) for sex in numbers.sex] == ["", "M", "M"]


def test_the_page_stands_alone_and_names_no_patient(screened: tuple[NodeSettings, Path]) -> None:
    settings, folder = screened
    write_results(open_screenings(settings.database), "trial", folder / "page" / "r.csv", None)
    page = (folder / "page" / "summary.html").read_text()
    outside = re.sub(r"data:image/svg\+xml;base64,[^\"]+", "", page)
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert not re.search(r"\b[AP]\d\b|1\.2\.\d", outside)
    assert "series.kvp" in page


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("accession\nA1\nA2\n", ["A1", "A2"]),
        ("\ufeffAccession Number;note\r\nA1;x\r\n", ["A1"]),
        ("AccessionNumber\tnote\nA1\tx\nA1\tx\n\n", ["A1"]),
    ],
    ids=["one column", "mark, semicolons, Windows", "tabs, doubled, blank"],
)
def test_lists_are_read_as_programs_write_them(
    tmp_path: Path, text: str, expected: list[str]
) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode())
    assert [question.wanted.accession for question in read_list(path, WANTED).questions] == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("accession\n", "holds no rows"),
        ("name,note\na,b\n", "no column is named accession"),
        ("accession,Accession Number\na,b\n", "say the same"),
        ("accession,note\nA1,x\nA1,y\n", "row 3: the same identifiers as in row 2"),
        ("accession,note\n,x\n", "row 2: no identifier"),
        ("accession,note\nA1\n", "1 cells instead of 2"),
        ("study_uid\n1.2.x\n", "is no UID"),
        ("accession\n1.23E+11\n", "rounded by a spreadsheet"),
        ("accession\nA*\n", "holds \\*"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(ScreeningInvalid, match=message):
        read_list(path, WANTED)


def test_a_workbook_is_no_list(tmp_path: Path) -> None:
    path = tmp_path / "list.xlsx"
    path.write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(ScreeningInvalid, match="not a CSV in UTF-8"):
        read_list(path, WANTED)


def slice_header(**values: object) -> Dataset:
    header = Dataset()
    header.Modality, header.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    header.KVP, header.ConvolutionKernel, header.SliceThickness = "120", "STANDARD", "3"
    for keyword, value in values.items():
        setattr(header, keyword, value)
    return header


BARE = ListedSeries("1.2.1", "1.2.1.1")


@pytest.mark.parametrize(
    ("series", "headers", "code"),
    [
        (BARE, [], None),
        (BARE, [slice_header()] * 80, None),
        (BARE, [slice_header(KVP="100")] * 80, "series.kvp"),
        (BARE, [slice_header(KVP=None)] * 80, None),
        (BARE, [slice_header()] * 3, "series.too_few_slices"),
        (BARE, [slice_header(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])] * 30,
         "series.localizer"),
        (listed(1, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")), [slice_header()] * 80, None),
        (BARE, [slice_header()] * 30 + [slice_header(ImageType=["DERIVED", "SECONDARY"])] * 2
         + [slice_header()] * 29, None),
        (BARE, [slice_header(Modality="MR")] * 30, "series.not_ct"),
        (listed(1, modality="PR"), [], "series.not_ct"),
        (listed(1, age_years=None), [], None),
    ],
    ids=["nothing known", "header", "kVp", "no kVp", "count", "localizer", "one localizer",
         "one derived", "modality", "listed modality", "no age"],
)  # fmt: skip
def test_headers_refuse_what_the_rules_refuse_and_silence_decides_nothing(
    tmp_path: Path, series: ListedSeries, headers: list[Dataset], code: str | None
) -> None:
    source = MemorySource([series], tmp_path / "journal", {series.series_uid: headers})
    judged = judge(source, series, WANTED, Acquisition())
    assert (judged.refusal and judged.refusal.code) == code


@pytest.mark.parametrize("count_is_listed", [True, False])
def test_too_few_slices_exclude_only_if_the_archive_says_so_twice(
    tmp_path: Path, count_is_listed: bool
) -> None:
    series = listed(1, instances=5) if count_is_listed else BARE
    source = MemorySource([series], tmp_path / "journal", {BARE.series_uid: [slice_header()] * 80})
    held = source.instances
    answers = [held(series)] if count_is_listed else [held(series)[:5], held(series)]
    vars(source)["instances"] = lambda _series: answers.pop(0)
    assert judge(source, series, WANTED, Acquisition()).refusal is None
    assert not answers
    answers = [("1.2.9",) * 5] * 2
    refusal = judge(source, series, WANTED, Acquisition()).refusal
    assert refusal is not None
    assert refusal.code == "series.too_few_slices"


def test_the_settings_rules_decide_by_headers_too(tmp_path: Path) -> None:
    header = slice_header(ContrastBolusAgent="Iohexol")
    source = MemorySource([BARE], tmp_path / "journal", {BARE.series_uid: [header] * 80})
    assert judge(source, BARE, WANTED, Acquisition()).contrast is True
    strict = Acquisition(rules=AcquisitionRules(contrast="strict"))
    refusal = judge(source, BARE, WANTED, strict).refusal
    assert refusal is not None
    assert refusal.code == "acquisition.contrast"


def test_an_age_that_only_the_header_states_is_filtered_by_it(tmp_path: Path) -> None:
    header = slice_header(PatientAge="040Y")
    source = MemorySource([BARE], tmp_path / "journal", {BARE.series_uid: [header] * 80})
    refusal = judge(source, BARE, SeriesFilter(ages_years=(50, 90)), Acquisition()).refusal
    assert refusal is not None
    assert refusal.code == "screening.not_wanted"


def manners_of(tmp_path: Path, now: list[datetime], **settings: object) -> Manners:
    archive = Archive.model_validate(
        {"name": "pacs", "dicomweb": {"url": "http://127.0.0.1"}, **settings}
    )
    database = open_screenings(f"sqlite:///{tmp_path}/manners.sqlite")
    manners = Manners(database, "dicomweb:pacs", archive, lambda: now[0])
    manners.prepare()
    return manners


def test_a_rate_holds_for_all_runners_of_an_archive(tmp_path: Path) -> None:
    now = [datetime(2026, 1, 1, 12, 0).astimezone()]
    first = manners_of(tmp_path, now, series_per_minute=6)
    second = manners_of(tmp_path, now, series_per_minute=6)
    taken = 0
    for _ in range(120):
        taken += first.take() + second.take()
        now[0] += timedelta(seconds=1)
    assert taken == 12


def test_pauses_double_up_to_the_longest_and_end_with_an_answer(tmp_path: Path) -> None:
    now = [datetime(2026, 1, 1, 12, 0).astimezone()]
    manners = manners_of(tmp_path, now, max_pause_seconds=20)
    pauses = []
    for _ in range(6):
        pauses.append(manners.failed("connection refused"))
        now[0] += timedelta(seconds=pauses[-1])
    assert pauses == [2, 4, 8, 16, 20, 20]
    manners.failed("connection refused")
    assert manners.failed("and of another thread") == 20
    assert manners.down() is not None
    manners.answered()
    assert manners.down() is None
    assert manners.failed("busy", retry_after_seconds=9) == 9


def test_a_folder_is_one_series_however_its_files_lie(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    paths = plain_series(tree / "a", 24)
    other = tree / "b" / "deep"
    other.mkdir(parents=True)
    for path in paths[:10]:
        path.rename(other / f"{path.stem} without suffix")
    (tree / "notes.txt").write_text("no DICOM")
    (other / "copy.dcm").write_bytes(paths[12].read_bytes())
    source = FolderSource(tree, tmp_path / "index.sqlite")
    (series,) = source.find(SeriesFilter())
    assert (series.instances, source.unreadable) == (24, 1)
    uids = source.instances(series)
    assert len(set(uids)) == 24
    header = source.header(series, uids)
    assert header is not None
    assert header.SeriesInstanceUID == series.series_uid
    out = tmp_path / "out"
    out.mkdir()
    fetched = source.fetch(series, uids, out)
    assert {pydicom.dcmread(path).SOPInstanceUID for path in fetched} == set(uids)


def test_a_folder_is_filtered_and_its_index_is_kept(tmp_path: Path) -> None:
    paths = plain_series(tmp_path / "tree", 24)
    index = tmp_path / "index.sqlite"
    wanted: list[tuple[SeriesFilter, int]] = [
        (SeriesFilter(patient_id="PHANTOM"), 1),
        (SeriesFilter(patient_id="OTHER"), 0),
        (SeriesFilter(modality="MR"), 0),
        (SeriesFilter(dates=(datetime(2026, 1, 1).date(), datetime(2026, 1, 2).date())), 1),
        (SeriesFilter(dates=(datetime(2025, 1, 1).date(), datetime(2025, 1, 2).date())), 0),
        (SeriesFilter(ages_years=(70, 80)), 0),
    ]
    source = FolderSource(tmp_path / "tree", index)
    assert [len(list(source.find(one))) for one, _ in wanted] == [n for _, n in wanted]
    (series,) = source.find(SeriesFilter())
    paths[3].unlink()
    out = tmp_path / "out"
    out.mkdir()
    again = FolderSource(tmp_path / "tree", index)
    with pytest.raises(SeriesIncomplete, match="23 of 24"):
        again.fetch(series, source.instances(series), out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "ftp:x"], "no source: ftp:x"),
        (["--source", "dimse:pacs", "--list", "x.csv"], "no archive dimse:pacs; found: none"),
        (["--source", "folder:/nowhere"], "is not a folder"),
        (["--source", "folder:/tmp", "--send-to", "pacs"], "no destination pacs"),
        (["--source", "folder:/tmp", "--dates", "2024-02-01", "2024-01-01"], "is after"),
        (["--source", "folder:/tmp", "--dates", "today", "2024-01-01"], "give two dates"),
    ],
)
def test_a_screening_that_cannot_be_made_exits_2(
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings_in(tmp_path)
    config = ["--config", str(tmp_path / "node.toml")]
    done = CliRunner().invoke(app, ["screen", "create", "trial", *config, *arguments])
    assert done.exit_code == 2
    assert message in done.output + capsys.readouterr().err


def test_commands_make_show_pause_and_remove_a_screening(tmp_path: Path) -> None:
    settings_in(tmp_path)
    config = ["trial", "--config", str(tmp_path / "node.toml")]

    def invoke(command: str, *more: str) -> str:
        done = CliRunner().invoke(app, ["screen", command, *config, *more])
        assert done.exit_code == 0, done.output
        return done.output

    invoke("create", "--source", f"folder:{tmp_path}", "--dates", "2024-01-15", "2024-03-01")
    assert "0 of 3 questions answered" in invoke("status")
    invoke("pause")
    assert "paused" in invoke("status")
    assert '"paused": true' in invoke("status", "--json")
    invoke("resume")
    invoke("results", "-o", str(tmp_path / "empty" / "results.csv"))
    assert (tmp_path / "empty" / "data_dictionary.csv").exists()
    invoke("remove", "--yes")
    done = CliRunner().invoke(app, ["screen", "status", *config])
    assert done.exit_code == 2


def test_a_plan_survives_its_record() -> None:
    dates = (datetime(2024, 1, 1).date(), datetime(2024, 1, 31).date())
    plan = ScreeningPlan(source="dimse:pacs", wanted=SeriesFilter(dates=dates, body_part="SPINE"))
    assert ScreeningPlan.model_validate_json(plan.model_dump_json()) == plan
    assert Question(plan.wanted).wanted.dates == dates
