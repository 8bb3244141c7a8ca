"""Every route by each role, with what schemathesis makes of its parameters: no 500."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from dicom_node.reporting.report_history import REPORT_FILE
from tests.page_client import PASSWORD, make_app
from tests.page_server import served
from tests.simulated_worker import simulated_report
from tests.study_builders import MadeStudy, make_study
from tests.test_pages_research import screening

EXAMPLES = {GenerationMode.POSITIVE: 8, GenerationMode.NEGATIVE: 5}
"""Requests a route and a role: with data that fit the schema, and with such as do not."""

NAMES = (("jane", "reader"), ("rose", "researcher"), ("adam", "administrator"))

ENDS_THE_SESSION = ("/logout", "/account/password", "/account/sessions")

CHILDREN = ("/work/studies/{study}", "/work/studies/{study}/discard", "/rules/header")
"""Each request starts a child process; tests/test_pages_operation.py has them."""

SEEDED = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class Node:
    """A served node with a study, a screening, and visitors of all roles."""

    def __init__(self, app: FastAPI, study: MadeStudy, address: str) -> None:
        self.app, self.study, self.address = app, study, address
        self.schema = schemathesis.openapi.from_dict(app.openapi())
        self.visitors = {"nobody": requests.Session()}
        for name, _ in NAMES:
            self.visitors[name] = self.signed_in(name)
        self.known = {
            "study_uid": study.row.study_uid, "sop_instance_uid": "1.2.3", "name": "spines",
            "file": "results.csv", "study": study.row.study,
        }  # fmt: skip

    def signed_in(self, name: str) -> requests.Session:
        session = requests.Session()
        form = {"name": name, "password": PASSWORD}
        answer = session.post(f"{self.address}/login", form, allow_redirects=False)
        assert answer.status_code == 303
        text = session.get(f"{self.address}/account").text
        session.headers["x-csrf-token"] = text.partition('name="csrf" value="')[2][:64]
        return session


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("routes")
    app = make_app(folder / "node", *NAMES)  # type: ignore[arg-type]
    study = make_study(app, folder / "series")
    (study.report_folder / REPORT_FILE).write_bytes(simulated_report("first"))
    screening(app)
    with served(app) as address:
        yield Node(app, study, address)


def can_be_wrong(operation: Any) -> bool:
    """Whether a route takes more than parts of its path, which may be any text."""
    taken = {parameter.location for parameter in operation.iter_parameters()}
    return bool(operation.body) or bool(taken - {ParameterLocation.PATH})


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: str(mode.value))
@pytest.mark.parametrize("name", ["nobody", "jane", "rose", "adam"])
def test_no_request_is_a_fault_of_the_node(node: Node, name: str, mode: GenerationMode) -> None:
    seen: set[str] = set()
    for found in node.schema.get_all_operations():
        assert isinstance(found, Ok)
        operation: Any = found.ok()
        if name != "nobody" and operation.path in (*ENDS_THE_SESSION, *CHILDREN):
            continue

        def ask(case: Any, known: bool) -> None:
            if known:
                case.path_parameters = {
                    **(case.path_parameters or {}),
                    **{k: v for k, v in node.known.items() if k in (case.path_parameters or {})},
                }
            answer = case.call(
                node.address, session=node.visitors[name], allow_redirects=False, timeout=60
            )
            seen.add(f"{answer.status_code} {case.operation.path}")
            if not (answer.status_code == 503 and case.operation.path == "/readyz"):
                case.validate_response(answer, checks=[not_a_server_error])

        if mode is GenerationMode.POSITIVE or can_be_wrong(operation):
            seeded = settings(SEEDED, max_examples=EXAMPLES[mode])
            seeded(given(operation.as_strategy(generation_mode=mode), st.booleans())(ask))()
    assert len(seen) > 20
