"""What is told of a model: what its manifest says, and what becomes of it at the moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from studiolo.bundle.catalogue import Catalogue, Entry
from studiolo.bundle.store import Bundle, broken, home, installed
from studiolo.server.inside import Inside, look
from studiolo.task.house import House

PLACES = ("hub", "index", "url")
"""Kinds of sources that are no path of this machine."""


def models(house: House) -> list[dict[str, Any]]:
    """Every model that can be asked, in order of name. Reads files."""
    inside = {each.name: each for each in look(house)}
    here = [
        _installed(bundle, inside) for bundle in installed() if bundle.name not in house.elsewhere
    ]
    places = {each["name"] for each in here}
    # A model that the operator named by its path has no manifest here.
    placed = [
        {"object": "model", "name": each.name, **_state(each)}
        for each in inside.values()
        if each.name not in places
    ]
    elsewhere = [
        {"object": "model", "name": name, "state": "elsewhere"} for name in house.elsewhere
    ]
    return sorted([*here, *placed, *elsewhere], key=lambda each: str(each["name"]))


def broken_models() -> list[str]:
    """Names of what is installed and cannot be opened. Reads files."""
    return sorted(broken())


def catalogue() -> list[dict[str, Any]]:
    """Every model that could be pulled by name, in order of name. Reads files."""
    here = {bundle.name: bundle for bundle in installed()}
    entries = Catalogue.load(home()).entries
    return [_offered(entries[name], name in here) for name in sorted(entries)]


def _installed(bundle: Bundle, inside: Mapping[str, Inside]) -> dict[str, Any]:
    manifest = bundle.manifest
    source = manifest.source
    return {
        "object": "model",
        "name": bundle.name,
        **_state(inside.get(bundle.name)),
        "family": manifest.family,
        "modality": manifest.modality,
        "parameters": manifest.parameters,
        "context_length": manifest.context_length,
        "licence": manifest.licence,
        "size": sum(pin.size for pin in manifest.files.values()),
        "digest": manifest.digest,
        "source": {
            "kind": source.kind,
            "where": source.where if source.kind in PLACES else None,
            "fetched": source.fetched,
        },
    }


def _state(inside: Inside | None) -> dict[str, Any]:
    if inside is None:
        return {"state": "installed", "memory": 0}
    return {"state": "loaded" if inside.is_open else "loading", "memory": inside.bytes}


def _offered(entry: Entry, is_installed: bool) -> dict[str, Any]:
    return {
        "object": "catalogue.entry",
        "name": entry.name,
        "installed": is_installed,
        "family": entry.family,
        "modality": entry.modality,
        "parameters": entry.parameters,
        "context_length": entry.context_length,
        "licence": entry.licence,
        "terms": None if entry.terms is None else entry.terms.model_dump(),
        "size": entry.size,
        "good_for": entry.good_for,
    }
