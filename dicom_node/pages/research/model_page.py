"""``/model``: the card of the model that stages, as it is, and what it was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from markupsafe import Markup

from dicom_node.logs import fault_fields, log
from dicom_node.pages.access.guard import RoleGuard
from dicom_node.pages.access.visitor import Visitor
from dicom_node.pages.rendering import page
from dicom_node.pages.research.markdown import markdown_html
from dicom_node.settings.node import NodeSettings
from modeling import ModelingError

__all__ = ["router"]

router = APIRouter()

whoever_reads_reports = RoleGuard("reader", "researcher", "administrator")


@dataclass(frozen=True)
class ModelFacts:
    """A bundle in words: its id, its manifest, and its card as HTML."""

    model_id: str
    manifest: Mapping[str, Any]
    card: Markup


@router.get("/model")
def model(
    request: Request, visitor: Annotated[Visitor, Depends(whoever_reads_reports)]
) -> Response:
    """Show the model card."""
    settings: NodeSettings = request.app.state.settings
    facts = None
    try:
        facts = model_facts(settings.bundle)
    except ModelingError as error:
        log().error("the bundle cannot be shown", **fault_fields(error))
    return page(request, "research/model.html", facts=facts, rules=settings.model)


@lru_cache(maxsize=1)
def model_facts(bundle: Path | None) -> ModelFacts:
    """Read and verify a bundle; None means the one that comes with the software.

    Raises
    ------
    modeling.ModelingError
        It cannot be used.
    """
    from modeling import load_bundle

    loaded = load_bundle(bundle)
    return ModelFacts(loaded.model_id, loaded.manifest, markdown_html(loaded.card))
