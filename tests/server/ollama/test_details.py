"""What is told of a model's files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from studiolo.bundle import store
from studiolo.server.ollama.details import listed, modified, quantisation, shown, size


def installed(home: Path, name: str) -> store.Bundle:
    return store.open_installed(home / "models" / name)


def test_a_language_model(tiny_home: Path) -> None:
    bundle = installed(tiny_home, "tiny")
    assert listed(bundle)["details"] == {"format": "safetensors"}
    more = shown(bundle)
    assert more["details"] == {
        "parent_model": "",
        "format": "safetensors",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": size(more["model_info"]["general.parameter_count"]),
    }
    assert more["model_info"]["llama.context_length"] == 4096
    assert more["model_info"]["llama.block_count"] == 2
    assert more["model_info"]["llama.embedding_length"] == 32
    assert more["capabilities"] == ["completion", "tools"]
    assert "parameters" not in more


def test_an_encoder(tiny_home: Path) -> None:
    more = shown(installed(tiny_home, "tiny-encoder"))
    assert more["capabilities"] == ["embedding"]
    assert more["details"]["family"] == "bert"
    assert "template" not in more


def test_what_a_manifest_says_is_told(tiny_home: Path) -> None:
    bundle = installed(tiny_home, "tiny")
    manifest = bundle.manifest.model_copy(
        update={"defaults": {"temperature": 0.2, "top_k": 20}, "parameters": 134_515_008}
    )
    known = store.Bundle(bundle.name, bundle.path, bundle.names, manifest)
    assert listed(known)["details"]["parameter_size"] == "134.52M"
    assert shown(known)["parameters"] == "temperature 0.2\ntop_k 20"


@pytest.mark.parametrize(
    ("count", "told"), [(7, "7"), (37_216, "37.22K"), (134_515_008, "134.52M"), (1.54e9, "1.5B")]
)
def test_sizes(count: int, told: str) -> None:
    assert size(count) == told


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"general.file_type": 3}, "Q4_1"),
        ({"general.file_type": 0}, "ALL_F32"),
        ({"general.file_type": 9999}, None),
        ({}, None),
    ],
)
def test_how_weights_are_packed(metadata: dict[str, object], told: str | None) -> None:
    assert quantisation(metadata) == told


def test_times_have_a_zone(tiny_home: Path) -> None:
    assert datetime.fromisoformat(modified(installed(tiny_home, "tiny"))).tzinfo is UTC
