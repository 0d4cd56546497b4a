"""What there is to know of a model from the headers of its files; no weights are loaded.

Knows the readers and the layout, not how the facts are shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from studiolo.errors import MalformedFileError, UnsupportedModelError

if TYPE_CHECKING:
    from studiolo.bundle.catalogue import Entry
    from studiolo.bundle.opening import OpenBundle
    from studiolo.bundle.store import Bundle
    from studiolo.nn.config import DecoderConfig, EncoderConfig

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
    facts |= of_files(bundle)
    facts["files"] = [
        {"path": str((bundle.path / name).absolute()), "sha256": pin.sha256, "size": pin.size}
        for name, pin in manifest.files.items()
    ]
    return facts


def of_files(bundle: Bundle) -> dict[str, Any]:
    """Network, tokenizer and tensor types, from the headers.

    What is neither a language model nor an encoder is described as far as it goes, with a ``note``.
    """
    from studiolo.bundle.opening import OpenBundle
    from studiolo.nn.native import described

    opened = OpenBundle.of(bundle)
    facts: dict[str, Any] = {"format": "GGUF" if opened.gguf else "Hugging Face directory"}
    try:
        if opened.is_encoder:
            facts |= of_encoder(opened.encoder_config)
        else:
            facts |= of_network(opened.config)
    except UnsupportedModelError as error:
        facts |= {"architecture": _architecture(opened), "note": error.message}
    else:
        facts["arithmetic"] = described()
        facts["memory"]["weights_packed"] = _packed_bytes(opened, facts["parameters"])
    try:
        facts["tokenizer"] = opened.tokenizer.facts()
    except (UnsupportedModelError, MalformedFileError) as error:
        facts["tokenizer"] = {"note": error.message}
    facts["tensor_types"] = counted(
        (info.type.name for info in opened.gguf.tensors.values())
        if opened.gguf
        else _safetensors_types(bundle)
    )
    return facts


def _packed_bytes(opened: OpenBundle, parameters: int) -> int:
    """What the packed weights take: a GGUF's blocks as they are, floats in groups of bits."""
    if opened.gguf:
        return sum(info.nbytes for info in opened.gguf.tensors.values())
    bits = 12 if opened.is_encoder else 8
    return parameters * (bits * 32 + 16) // (8 * 32)


def _architecture(opened: OpenBundle) -> object:
    """What the files call an architecture that Studiolo does not have."""
    if opened.gguf:
        return opened.gguf.metadata.get("general.architecture")
    return opened.checkpoint.config.get("model_type")


def _safetensors_types(bundle: Bundle) -> Iterator[str]:
    from safetensors import safe_open

    for name, path in bundle.files.items():
        if name.endswith(".safetensors"):
            with safe_open(path, framework="pt") as tensors:
                for tensor in tensors.keys():  # noqa: SIM118 - it is no mapping
                    yield tensors.get_slice(tensor).get_dtype()


def of_network(config: DecoderConfig) -> dict[str, Any]:
    """Architecture, sizes and the memory needed, in bytes."""
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


def of_encoder(config: EncoderConfig) -> dict[str, Any]:
    """Architecture, sizes, how a text becomes one vector, and the memory needed, in bytes."""
    return {
        "architecture": config.architecture,
        "parameters": config.parameters,
        "context_length": config.max_tokens,
        "sizes": {
            "layers": config.layers,
            "width": config.width,
            "heads": config.heads,
            "head_size": config.width // config.heads,
            "mlp_width": config.mlp_width,
            "vocabulary": config.vocabulary,
        },
        "vector": {
            "width": config.width,
            "pooling": config.pooling,
            "normalised": config.normalise,
        },
        "memory": {"weights_float32": config.parameters * FLOAT32},
    }


def cache_per_token(config: DecoderConfig) -> int:
    """Numbers that the key-value cache holds for each token: a key and a value a layer."""
    return 2 * len(config.layers) * config.kv_heads * config.head_size


def counted(names: Iterable[str]) -> dict[str, int]:
    """How often each name occurs, most frequent first."""
    return dict(Counter(names).most_common())
