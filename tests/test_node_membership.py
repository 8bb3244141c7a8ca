"""Whatever arrives, every instance counts once, is set aside, or stands in a conflict."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_node.series.membership import Membership, SurveyRow, decide
from dicom_node.series.patients import differing

NAMES = ("A", "B", "C")

ROWS = st.lists(
    st.builds(
        SurveyRow,
        path=st.just(Path()),
        order=st.tuples(st.integers(0, 3), st.integers(0, 3)),
        series_uid=st.sampled_from(("1.1", "1.2")),
        sop_instance_uid=st.sampled_from([f"1.1.{k}" for k in range(6)]),
        patient=st.sampled_from([(name, "", "", "", "") for name in NAMES]),
        inherited=st.sampled_from("ab"),
        measured=st.sampled_from(("m", "m", "m", "n")),
        pixels=st.sampled_from(("p", "p", "p", "q")),
    ),
    max_size=30,
).map(lambda rows: [distinct(row, k) for k, row in enumerate(rows)])
"""Versions of a few instances of two series, of up to three patients, many of them changed."""

CASES = settings(max_examples=300, deadline=None, derandomize=True, database=None)


def distinct(row: SurveyRow, number: int) -> SurveyRow:
    return replace(row, path=Path(str(number)), order=(number, row.order[1]))


def instance(row: SurveyRow) -> tuple[str, str]:
    return row.series_uid, row.sop_instance_uid


@CASES
@given(rows=ROWS)
def test_every_instance_counts_once_or_is_set_aside(rows: list[SurveyRow]) -> None:
    found = decide(rows)
    placed = Counter(map(instance, (*found.counted, *found.foreign)))
    assert placed == Counter(set(map(instance, rows)))
    for row in (*found.counted, *found.foreign):
        assert row.order == max(r.order for r in rows if instance(r) == instance(row))


@CASES
@given(rows=ROWS)
def test_what_counts_is_of_one_patient(rows: list[SurveyRow]) -> None:
    found = decide(rows)
    assert not any(differing(a.patient, b.patient) for a in found.counted for b in found.counted)
    assert found.mixed <= bool(found.foreign)
    assert bool(found.elements) == bool(found.foreign)


@CASES
@given(rows=ROWS)
def test_contradictions_are_all_found_and_nothing_else(rows: list[SurveyRow]) -> None:
    contents: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for row in rows:
        contents.setdefault(instance(row), set()).add(row.content)
    several = {key for key, found in contents.items() if len(found) > 1}
    assert {instance(group[0]) for group in decide(rows).conflicting} == several


@CASES
@given(rows=ROWS, seed=st.randoms(use_true_random=False))
def test_the_order_of_arrival_of_files_in_the_list_does_not_matter(
    rows: list[SurveyRow], seed: Random
) -> None:
    def kinds(found: Membership) -> tuple[set[Path], set[Path], bool]:
        counted = {row.path for row in found.counted}
        return counted, {row.path for row in found.foreign}, found.mixed

    shuffled = list(rows)
    seed.shuffle(shuffled)
    assert kinds(decide(shuffled)) == kinds(decide(rows))


@CASES
@given(rows=ROWS)
def test_what_came_again_unchanged_changes_nothing(rows: list[SurveyRow]) -> None:
    def told(found: Membership) -> tuple[object, ...]:
        return (
            [instance(row) for row in found.counted],
            [instance(row) for row in found.foreign],
            len(found.conflicting),
            found.mixed,
        )

    newest = {instance(row): row for row in rows}
    again = [distinct(row, len(rows) + k) for k, row in enumerate(newest.values())]
    assert told(decide([*rows, *again])) == told(decide(rows))
