"""What Ollama's clients are told of a model, as far as its files say it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gguf.constants import LlamaFileType

from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.store import Bundle
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.task.infilling import MARKS


def listed(bundle: Bundle) -> dict[str, Any]:
    """What needs no file to be opened but the manifest."""
    manifest = bundle.manifest
    details: dict[str, Any] = {"format": "gguf" if bundle.weights else "safetensors"}
    if manifest.parameters is not None:
        details["parameter_size"] = size(manifest.parameters)
    return {
        "modified_at": modified(bundle),
        "size": sum(pin.size for pin in manifest.files.values()),
        "digest": bundle.digest,
        "details": details,
    }


def shown(bundle: Bundle) -> dict[str, Any]:
    """All that the headers of its files say."""
    opened = OpenBundle.of(bundle)
    config = opened.encoder_config if opened.is_encoder else opened.config
    architecture = str(opened.checkpoint.config.get("model_type", ""))
    context = opened.checkpoint.config.get("max_position_embeddings")
    details = {
        "parent_model": "",
        "format": "gguf" if bundle.weights else "safetensors",
        "family": architecture,
        "families": [architecture],
        "parameter_size": size(config.parameters),
    }
    if opened.gguf is not None and (kind := quantisation(opened.gguf.metadata)) is not None:
        details["quantization_level"] = kind
    told = {
        "modified_at": modified(bundle),
        "license": bundle.manifest.licence,
        "details": details,
        "model_info": {
            "general.architecture": architecture,
            "general.parameter_count": config.parameters,
            f"{architecture}.context_length": context,
            f"{architecture}.embedding_length": opened.checkpoint.config.get("hidden_size"),
            f"{architecture}.block_count": opened.checkpoint.config.get("num_hidden_layers"),
        },
        "capabilities": ["embedding"] if opened.is_encoder else _abilities(opened.tokenizer),
    }
    if defaults := bundle.manifest.defaults:
        told["parameters"] = "\n".join(f"{name} {value:g}" for name, value in defaults.items())
    if not opened.is_encoder and (template := opened.tokenizer.chat_template) is not None:
        told["template"] = template
    return told


def modified(bundle: Bundle) -> str:
    """When the model came here, in UTC."""
    return datetime.fromtimestamp(int(bundle.path.stat().st_mtime), UTC).isoformat()


def _abilities(tokenizer: Tokenizer) -> list[str]:
    """Those for which there are words: every model with a chat template is told of tools."""
    found = ["completion"]
    if tokenizer.chat_template is not None:
        found.append("tools")
    if any(set(marks) <= tokenizer.control_texts for marks in MARKS):
        found.append("insert")
    return found


def quantisation(metadata: Mapping[str, object]) -> str | None:
    """How the weights of a GGUF file are packed, as far as it says so: ``Q4_1``."""
    try:
        name: str = LlamaFileType(metadata.get("general.file_type")).name
    except ValueError:
        return None
    return name.removeprefix("MOSTLY_")


def size(parameters: int) -> str:
    """A number as Ollama writes it: ``134.52M``, ``1.5B``."""
    for unit, word, places in ((1e9, "B", 1), (1e6, "M", 2), (1e3, "K", 2)):
        if parameters >= unit:
            return f"{parameters / unit:.{places}f}{word}"
    return str(parameters)
