"""What there is to know of a model from the headers of its files; no weights are loaded.

Knows the readers and the layout, not how the facts are shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studiolo.errors import MalformedFileError, UnsupportedModelError

if TYPE_CHECKING:
    from studiolo.bundle.catalogue import Entry
    from studiolo.bundle.checkpoint import Checkpoint
    from studiolo.bundle.store import Bundle
    from studiolo.nn.config import DecoderConfig

FLOAT32, BFLOAT16 = 4, 2
"""Bytes of a number as held on the processor, and on a GPU."""


def of_entry(entry: Entry) -> dict[str, Any]:
    """What the catalogue says of a model that is not on this machine; no file has a path yet."""
    return {
        "name": entry.name,
        "installed": False,
        "family": entry.family,
        "modality": entry.modality,
        "parameters": entry.parameters,
        "licence": entry.licence,
        "context_length": entry.context_length,
        "good_for": entry.good_for,
        "bytes_to_fetch": entry.size,
        "files": [],
    }


def of_bundle(bundle: Bundle) -> dict[str, Any]:
    """What the manifest and the headers say of a model on this machine."""
    manifest = bundle.manifest
    facts: dict[str, Any] = {
        "name": bundle.name,
        "installed": True,
        "path": str(bundle.path.absolute()),
        "family": manifest.family,
        "modality": manifest.modality,
        "licence": manifest.licence,
        "source": manifest.source.model_dump(),
        "lineage": manifest.lineage.model_dump(),
        "digest": manifest.digest,
        "defaults": dict(manifest.defaults),
    }
    facts |= of_gguf(bundle.weights) if bundle.weights else of_directory(bundle.path)
    facts["files"] = [
        {"path": str((bundle.path / name).absolute()), "sha256": pin.sha256, "size": pin.size}
        for name, pin in manifest.files.items()
    ]
    return facts


def of_gguf(path: Path) -> dict[str, Any]:
    """Network, tokenizer and tensor types of a GGUF."""
    from studiolo.bundle.gguf import GGUFFile
    from studiolo.bundle.gguf_names import gguf_checkpoint
    from studiolo.modality.text.tokenizer import Tokenizer

    file = GGUFFile.open(path)
    facts: dict[str, Any] = {"format": "GGUF"}
    try:
        facts |= of_network(gguf_checkpoint(file))
        facts["tokenizer"] = Tokenizer.from_gguf(file.metadata).facts()
    except UnsupportedModelError as error:
        # Worth looking at all the same: the container's own facts are below.
        facts |= {"architecture": file.metadata.get("general.architecture"), "note": error.message}
    facts["tensor_types"] = counted(info.type.name for info in file.tensors.values())
    return facts


def of_directory(path: Path) -> dict[str, Any]:
    """Network, tokenizer and tensor types of a Hugging Face directory."""
    from safetensors import safe_open

    from studiolo.bundle.huggingface import read_directory
    from studiolo.modality.text.tokenizer import Tokenizer

    checkpoint = read_directory(path)
    facts: dict[str, Any] = {"format": "Hugging Face directory"}
    try:
        facts |= of_network(checkpoint)
    except UnsupportedModelError as error:
        facts |= {"architecture": checkpoint.config.get("model_type"), "note": error.message}
    try:
        facts["tokenizer"] = Tokenizer.from_directory(path).facts()
    except (UnsupportedModelError, MalformedFileError) as error:
        facts["tokenizer"] = {"note": error.message}
    types: list[str] = []
    for shard in sorted(path.glob("*.safetensors")):
        with safe_open(shard, framework="pt") as tensors:
            types += [tensors.get_slice(name).get_dtype() for name in tensors.keys()]  # noqa: SIM118
    facts["tensor_types"] = counted(types)
    return facts


def of_network(checkpoint: Checkpoint) -> dict[str, Any]:
    """Architecture, sizes and the memory needed, from the description of the network.

    Raises :class:`UnsupportedModelError` if it is no network that Studiolo has.
    """
    from studiolo.bundle.layout import decoder_config

    config = decoder_config(checkpoint.config)
    return {
        "architecture": config.architecture,
        "parameters": config.parameters,
        "context_length": config.context,
        "sizes": {
            "layers": len(config.layers),
            "width": config.width,
            "heads": config.heads,
            "kv_heads": config.kv_heads,
            "head_size": config.head_size,
            "mlp_width": config.mlp_width,
            "vocabulary": config.vocabulary,
            "sliding_window": config.window,
            "sliding_layers": sum(layer.sliding for layer in config.layers),
        },
        "memory": {
            "weights_float32": config.parameters * FLOAT32,
            "weights_bfloat16": config.parameters * BFLOAT16,
            "cache_per_1000_tokens_float32": 1000 * cache_per_token(config) * FLOAT32,
            "cache_per_1000_tokens_bfloat16": 1000 * cache_per_token(config) * BFLOAT16,
        },
    }


def cache_per_token(config: DecoderConfig) -> int:
    """Numbers that the key-value cache holds for each token: a key and a value a layer."""
    return 2 * len(config.layers) * config.kv_heads * config.head_size


def counted(names: Iterable[str]) -> dict[str, int]:
    """How often each name occurs, most frequent first."""
    return dict(Counter(names).most_common())
