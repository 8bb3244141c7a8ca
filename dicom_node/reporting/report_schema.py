"""The JSON Schema of ``report.json``, made from its models.

``python -m dicom_node.reporting.report_schema docs/report.schema.json`` writes it.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from dicom_node.reporting.report_model import REPORT_SCHEMA, CaseReport

__all__ = ["report_schema", "schema_digest", "schema_text"]


def report_schema() -> dict[str, Any]:
    """The schema of what is written: JSON Schema, draft 2020-12."""
    adapter: TypeAdapter[CaseReport] = TypeAdapter(CaseReport)
    schema = adapter.json_schema(mode="serialization")
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "title": REPORT_SCHEMA,
        **_one_line(schema),
    }


def schema_text() -> str:
    """The schema as it stands in the file."""
    return json.dumps(report_schema(), indent=1) + "\n"


def schema_digest() -> str:
    """SHA-256 of the schema, descriptions included, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(report_schema(), sort_keys=True).encode()).hexdigest()


def _one_line(part: Any) -> Any:
    """The same with every text on one line."""
    if isinstance(part, dict):
        return {key: _one_line(value) for key, value in part.items()}
    if isinstance(part, list):
        return [_one_line(value) for value in part]
    return " ".join(part.split()) if isinstance(part, str) else part


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(schema_text())
    print(f"REPORT_SCHEMA_DIGEST = {schema_digest()}")
