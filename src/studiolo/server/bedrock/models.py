"""``/foundation-models``: what can be asked by name, as Bedrock's control plane lists it.

Every model here is asked on demand, and none is customised.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from studiolo.bundle.store import find, installed
from studiolo.errors import InvalidRequestError, UnknownModelError
from studiolo.server.bedrock.names import arn_of, name_of
from studiolo.server.desk import Desk
from studiolo.server.replies import Json

FILTERS: Mapping[str, tuple[str, ...] | None] = {
    "byProvider": None,
    "byCustomizationType": ("FINE_TUNING", "CONTINUED_PRE_TRAINING", "DISTILLATION"),
    "byOutputModality": ("TEXT", "IMAGE", "EMBEDDING"),
    "byInferenceType": ("ON_DEMAND", "PROVISIONED"),
    "projectIdentifier": ("default",),
}
"""What a list may be narrowed by, and the values that there are; None: any."""
router = APIRouter(tags=["Bedrock"])


@router.get("/foundation-models")
async def list_foundation_models(request: Request) -> Response:
    """The models that the caller may use."""
    wanted = _wanted(request, FILTERS)
    found = [model for model in _usable(Desk(request)) if _fits(model, wanted)]
    return Json({"modelSummaries": found})


@router.get("/foundation-models/{identifier:path}")
async def get_foundation_model(request: Request, identifier: str) -> Response:
    """One model."""
    _wanted(request, {"projectIdentifier": FILTERS["projectIdentifier"]})
    desk, name = Desk(request), name_of(identifier)
    usable = {model["modelId"]: model for model in _usable(desk)}
    if name not in usable:
        raise UnknownModelError(name, usable)
    return Json({"modelDetails": usable[name]})


def _wanted(request: Request, known: Mapping[str, tuple[str, ...] | None]) -> dict[str, str]:
    """The query, checked."""
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise InvalidRequestError(name, "there is no such parameter here")
        values = known[name]
        if values is not None and value not in values:
            raise InvalidRequestError(name, f"is one of {', '.join(values)}, not {value!r:.80}")
    return dict(request.query_params)


def _fits(model: dict[str, Any], wanted: dict[str, str]) -> bool:
    return (
        wanted.get("byProvider", model["providerName"]).lower() == model["providerName"].lower()
        and wanted.get("byOutputModality") in (None, *model["outputModalities"])
        and wanted.get("byInferenceType") in (None, *model["inferenceTypesSupported"])
        and wanted.get("byCustomizationType") in (None, *model["customizationsSupported"])
    )


def _usable(desk: Desk) -> list[dict[str, Any]]:
    desk.require("inference")
    known = {each.name: each for each in installed()}

    def makes_vectors(name: str, owner: str) -> bool:
        bundle = (known.get(name) or find(name)) if owner == "studiolo" else None
        return bundle is not None and bundle.manifest.modality == "embedding"

    return [
        _written(name, created, owner, vectors=makes_vectors(name, owner))
        for name, created, owner in desk.studio.house.known()
        if desk.context.caller.may_use(name)
    ]


def _written(name: str, created: int, owner: str, *, vectors: bool) -> dict[str, Any]:
    lifecycle: dict[str, str] = {"status": "ACTIVE"}
    if created:
        lifecycle["startOfLifeTime"] = datetime.fromtimestamp(created, UTC).isoformat()
    return {
        "modelArn": arn_of(name),
        "modelId": name,
        "modelName": name,
        "providerName": owner,
        "inputModalities": ["TEXT"],
        "outputModalities": ["EMBEDDING" if vectors else "TEXT"],
        "responseStreamingSupported": not vectors,
        "customizationsSupported": [],
        "inferenceTypesSupported": ["ON_DEMAND"],
        "modelLifecycle": lifecycle,
    }
