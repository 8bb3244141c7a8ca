"""The application: the machine addresses, and the pages of all rooms."""

from importlib.resources import files

from argon2 import PasswordHasher
from fastapi import APIRouter, Depends, FastAPI, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from dicom_node.monitoring.shared_status import SharedStatus
from dicom_node.monitoring.web import add_machine_addresses
from dicom_node.pages.access import sign_in
from dicom_node.pages.access.audited import Audited
from dicom_node.pages.access.gate import Gate
from dicom_node.pages.access.guard import enter
from dicom_node.pages.access.passwords import Passwords
from dicom_node.pages.access.shield import Shield
from dicom_node.pages.database import NodeDatabase
from dicom_node.pages.faults import add_fault_pages
from dicom_node.pages.operation import destinations_page, notices_page, rules_page, work_page
from dicom_node.pages.operation.node_status import NodeStatus
from dicom_node.pages.operation.removals import NextRemovals
from dicom_node.pages.reading import agreement, word
from dicom_node.pages.research import cohorts_page, model_page, scanners_page
from dicom_node.pages.research.scanner_charts import ScannerCharts
from dicom_node.pages.studies import downloads, listing, own_views, pictures, study_page
from dicom_node.records.audit import AuditTrail
from dicom_node.settings.node import NodeSettings
from dicom_node.settings.web import Web

__all__ = ["ROOMS", "close_pages", "make_pages"]

ROOMS: tuple[APIRouter, ...] = (
    sign_in.router,
    *(work_page.router, notices_page.router, rules_page.router, destinations_page.router),
    *(cohorts_page.router, scanners_page.router, model_page.router),
    *(room.router for room in (listing, own_views, study_page, pictures, downloads)),
    *(room.router for room in (word, agreement)),
)
"""The pages of each room."""


class _Files(StaticFiles):
    """Style sheet and scripts, which hold nothing of a patient and may be kept for an hour."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        """Answer with a file."""
        answer = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        answer.headers["Cache-Control"] = "public, max-age=3600"
        return answer


def make_pages(settings: NodeSettings, hasher: PasswordHasher | None = None) -> FastAPI:
    """Make the application that answers on the web port.

    Parameters
    ----------
    settings
        Of the node; without a section ``web`` its defaults hold.
    hasher
        Hashes passwords; by default with the parameters of RFC 9106.
    """
    web = settings.web or Web()
    app = FastAPI(
        title="osteonode",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        dependencies=[Depends(enter)],
    )
    app.state.settings = settings
    app.state.database = NodeDatabase(settings)
    audited = Audited(AuditTrail.of(settings))
    app.state.gate = Gate(web, app.state.database, audited, Passwords(hasher))
    app.state.status = SharedStatus(settings)
    app.state.node_status = NodeStatus(settings, app.state.status)
    app.state.removals = NextRemovals(settings)
    app.state.scanner_charts = ScannerCharts()
    add_machine_addresses(app, app.state.status)
    for room in ROOMS:
        app.include_router(room)
    static = files("dicom_node.pages").joinpath("static")
    app.mount("/static", _Files(directory=str(static)), name="static")
    app.state.paths = frozenset(
        route.path for room in ROOMS for route in room.routes if isinstance(route, Route)
    )
    add_fault_pages(app)
    app.add_middleware(Shield, web=web)
    return app


def close_pages(app: FastAPI) -> None:
    """Write what is still to be written, and close the database."""
    app.state.gate.audited.close()
    app.state.scanner_charts.wait()
    app.state.status.close()
    app.state.database.close()
