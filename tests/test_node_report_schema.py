"""``report.json`` and its published schema."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import TypeAdapter, ValidationError

from dicom_node.reporting.report import refusal_report, report
from dicom_node.reporting.report_model import (
    REPORT_SCHEMA,
    REPORT_SCHEMA_DIGEST,
    CaseReport,
    Refusal,
    Report,
    report_json,
)
from dicom_node.reporting.report_schema import schema_digest, schema_text
from dicom_node.series.selection import RefusedSeries, check_series
from dicom_node.settings.node import Acquisition
from network import NodePlace
from roi_extraction.anatomy import Finding
from tests.assessment_builders import assessment_of
from tests.dicom_builders import instances

SCHEMA_FILE = Path(__file__).parents[1] / "docs" / "report.schema.json"

REJECTED = (RefusedSeries("1.2.3", "1.2.3.5", "series.not_ct", "modality is MR"),)


def reported() -> Report:
    """A report in which every list has an item."""
    assessed = assessment_of(
        check_series(instances(), Acquisition()), [Finding("acquisition.contrast", "stated")]
    )
    place = NodePlace("L5", 1, 2.5, 3, 4, 36)
    return report(replace(assessed, places={"L5": place}), {"read": 1.25}, REJECTED)


REPORTS = {
    "reported": reported,
    "refused": lambda: refusal_report("1.2", "", "series.kvp", "80 kVp", (), REJECTED),
    "failed": lambda: refusal_report("", "", "node.assessment_failed", "died"),
}


def test_published_schema_is_that_of_the_models() -> None:
    stated = SCHEMA_FILE.read_text()
    hint = "run python -m dicom_node.reporting.report_schema docs/report.schema.json"
    assert stated == schema_text(), hint


def test_a_changed_schema_has_a_new_digest_or_a_new_number() -> None:
    assert schema_digest() == REPORT_SCHEMA_DIGEST, (
        "The schema of report.json has changed. If a field was only added or a description made "
        f"clearer, set REPORT_SCHEMA_DIGEST to {schema_digest()}. If a field changes its meaning, "
        f"its unit or its name, or goes, also raise the number in REPORT_SCHEMA ({REPORT_SCHEMA})."
    )


@pytest.mark.parametrize("build", REPORTS.values(), ids=REPORTS)
def test_reports_keep_to_the_published_schema(build: Callable[[], Report | Refusal]) -> None:
    schema = json.loads(SCHEMA_FILE.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(report_json(build())), schema)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(extra=1),
        lambda content: content.pop("statement"),
        lambda content: content["stage"]["probabilities"].update(A=1.5),
        lambda content: content["sites"].pop(),
        lambda content: content.update(refused={"code": "c", "message": "m"}),
        lambda content: content.update(schema="osteonode.report/0"),
    ],
    ids=["unknown field", "no statement", "probability", "35 sites", "both forms", "number"],
)
def test_published_schema_refuses_what_is_no_report(
    change: Callable[[dict[str, Any]], object],
) -> None:
    content = json.loads(report_json(reported()))
    change(content)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, json.loads(SCHEMA_FILE.read_text()))


@pytest.mark.parametrize("build", REPORTS.values(), ids=REPORTS)
def test_a_report_reads_back_as_what_it_was(build: Callable[[], Report | Refusal]) -> None:
    made = build()
    assert TypeAdapter(CaseReport).validate_json(report_json(made)) == made


def test_every_field_of_the_schema_has_a_description() -> None:
    schema = json.loads(SCHEMA_FILE.read_text())
    for name, model in schema["$defs"].items():
        for field, content in model.get("properties", {}).items():
            assert content.get("description"), f"{name}.{field}"


def test_a_report_cannot_be_changed() -> None:
    made = reported()
    with pytest.raises(ValidationError, match="frozen"):
        made.study_uid = "1.2"
