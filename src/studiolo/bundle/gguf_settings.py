"""A network as GGUF metadata: what ``gguf_config`` reads, written.

Notable choice: what was written is read again and must describe the same network. Much is a
constant in llama.cpp and no key in the file (which of Gemma's layers slide, how its scores are
scaled, which of SmolLM3's layers turn), so that a network that has it otherwise cannot be said
there, and is refused. Deliberately unknown here: tensors, but for the rotary factors, and the
tokenizer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from studiolo.bundle.gguf_config import Metadata, config_from_metadata
from studiolo.bundle.layout import decoder_config
from studiolo.errors import UnsupportedModelError
from studiolo.nn.config import DecoderConfig, LayerConfig, RopeConfig

ARCHITECTURES = {
    "llama": "llama",
    "mistral": "llama",
    "smollm3": "smollm3",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma3_text": "gemma3",
    "gpt2": "gpt2",
}
"""What llama.cpp calls an architecture."""


def gguf_settings(config: DecoderConfig) -> dict[str, object]:
    """The keys of the architecture, ``general.architecture`` among them.

    Raises :class:`UnsupportedModelError` for a network that llama.cpp would compute otherwise.
    """
    config = _seen_whole(config)
    name = ARCHITECTURES[config.architecture]
    said: dict[str, object] = {
        "vocab_size": config.vocabulary,
        "context_length": config.context,
        "embedding_length": config.width,
        "block_count": len(config.layers),
        "feed_forward_length": config.mlp_width,
        "attention.head_count": config.heads,
    }
    if name == "gpt2":
        said["attention.layer_norm_epsilon"] = config.norm_eps
    else:
        said |= {
            "attention.head_count_kv": config.kv_heads,
            "attention.key_length": config.head_size,
            "attention.value_length": config.head_size,
            "attention.layer_norm_rms_epsilon": config.norm_eps,
            "rope.dimension_count": config.head_size,
        }
    if config.rope is not None:
        said |= _rope(config.rope, config.architecture)
    if name == "gemma3":
        said["attention.sliding_window"] = config.window or 0
        if config.local_rope is not None:
            said["rope.freq_base_swa"] = config.local_rope.base
    metadata = {f"{name}.{key}": value for key, value in said.items()}
    metadata["general.architecture"] = name
    _check(config, metadata)
    return metadata


def rope_tensors(config: DecoderConfig) -> dict[str, Tensor]:
    """Llama 3's divisors of the frequencies, which a GGUF keeps as a tensor; else nothing.

    As Hugging Face computes them (``modeling_rope_utils.py``, ``llama3``): ``[head_size / 2]``.
    """
    rope = config.rope
    if rope is None or rope.kind != "llama3" or rope.original_context is None:
        return {}
    exponents = torch.arange(0, config.head_size, 2, dtype=torch.float64) / config.head_size
    turns = rope.original_context / (2 * math.pi * rope.base**exponents)
    low, high = rope.low_frequency_factor, rope.high_frequency_factor
    smooth = ((turns - low) / (high - low)).clamp(0, 1)
    divisors = 1 / ((1 - smooth) / rope.factor + smooth)
    return {"rope_freqs.weight": divisors.float()}


def _seen_whole(config: DecoderConfig) -> DecoderConfig:
    """``config`` without windows that are as long as the context, which hide nothing.

    Gemma's stay: there they also tell which layers have which base.
    """
    if config.architecture == "gemma3_text" or (config.window or 0) < config.context:
        return config
    layers = tuple(LayerConfig(rotary=layer.rotary) for layer in config.layers)
    return config.model_copy(update={"layers": layers, "window": None})


def _rope(rope: RopeConfig, architecture: str) -> dict[str, object]:
    said: dict[str, object] = {"rope.freq_base": rope.base}
    if rope.kind in ("linear", "yarn"):
        said |= {"rope.scaling.type": rope.kind, "rope.scaling.factor": rope.factor}
    if rope.kind == "yarn":
        said |= {
            "rope.scaling.original_context_length": rope.original_context,
            "rope.scaling.yarn_beta_fast": rope.beta_fast,
            "rope.scaling.yarn_beta_slow": rope.beta_slow,
        }
    supported = ("default", "linear", "yarn")
    if rope.kind not in supported and not (
        rope.kind == "llama3" and architecture in ("llama", "mistral")
    ):
        raise UnsupportedModelError(
            f"rotary scaling {rope.kind!r} of {architecture} cannot be written as GGUF",
            remedy=f"Those that can are {', '.join(supported)}, and llama3 of llama.",
        )
    return said


def _check(config: DecoderConfig, metadata: Mapping[str, object]) -> None:
    """Refuse a network that a reader of ``metadata`` would take for another."""
    facts = Metadata(Path("export.gguf"), metadata)
    hf = config_from_metadata(facts, config.vocabulary, config.tied, {})
    if facts.architecture in ("llama", "smollm3"):  # told by which tensors the file has
        hf |= {"attention_bias": config.out_bias, "mlp_bias": config.mlp_bias}
    wanted, found = _comparable(config), _comparable(decoder_config(hf))
    for field, value in wanted.items():
        if value != found[field]:
            raise UnsupportedModelError(
                f"{config.architecture} with {field} = {str(value)[:120]} cannot be written as "
                f"GGUF: llama.cpp has {str(found[field])[:120]}"
            )


def _comparable(config: DecoderConfig) -> dict[str, object]:
    """The network's fields, numbers as float32 has them, defaults spelled out."""
    config = config.model_copy(
        update={
            "architecture": ARCHITECTURES[config.architecture],
            "attention_scale": config.attention_scale or config.head_size**-0.5,
            "rope": _plain(config.rope),
            "local_rope": _plain(config.local_rope),
        }
    )
    return {key: _rounded(value) for key, value in config.model_dump().items()}


def _plain(rope: RopeConfig | None) -> RopeConfig | None:
    if rope is None or rope.kind == "default":
        return rope
    if rope.kind == "llama3":  # kept as a tensor
        return RopeConfig(base=rope.base)
    factor = rope.attention_factor or (1 + 0.1 * math.log(max(rope.factor, 1.0)))
    return rope.model_copy(update={"attention_factor": factor if rope.kind == "yarn" else None})


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return value
