"""GGUF metadata as the content of a Hugging Face ``config.json``.

Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md and what llama.cpp's
``convert_hf_to_gguf.py`` writes. Notable choices: a key of the architecture that is not
known here is an error, since every one of them changes what the network computes; what
llama.cpp holds as a constant instead of a key (Gemma 3's window pattern, SmolLM3's layers
without rotation) is repeated here. Rotary parameters are given in both spellings, that of
``transformers`` 5 (``rope_parameters``) and of 4 (``rope_theta``, ``rope_scaling``).

Deliberately unknown here: tensors, but for the rotary factors that some files keep as one
(they are handed in), and the tokenizer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch

from studiolo.bundle.layout.config import ARCHITECTURES as MODEL_CLASSES
from studiolo.errors import MalformedFileError, UnsupportedModelError

ARCHITECTURES = ("llama", "smollm3", "qwen2", "qwen3", "gemma3", "gpt2")

# Keys of the architecture that are understood, or that cannot change the network.
_COMMON_KEYS = frozenset(
    [
        "vocab_size",
        "context_length",
        "embedding_length",
        "block_count",
        "feed_forward_length",
        "attention.head_count",
        "attention.head_count_kv",
        "tensor_data_layout",
    ]
)
_ROTARY_KEYS = frozenset(
    [
        "attention.key_length",
        "attention.value_length",
        "attention.layer_norm_rms_epsilon",
        "rope.dimension_count",
        "rope.freq_base",
        "rope.scale_linear",
        "rope.scaling.type",
        "rope.scaling.factor",
        "rope.scaling.attn_factor",
        "rope.scaling.original_context_length",
        "rope.scaling.finetuned",
        "rope.scaling.yarn_beta_fast",
        "rope.scaling.yarn_beta_slow",
        "rope.scaling.yarn_ext_factor",
        "rope.scaling.yarn_attn_factor",
    ]
)
_KEYS = {
    "llama": _COMMON_KEYS | _ROTARY_KEYS | {"attention.sliding_window"},
    "smollm3": _COMMON_KEYS | _ROTARY_KEYS,
    "qwen2": _COMMON_KEYS | _ROTARY_KEYS,
    "qwen3": _COMMON_KEYS | _ROTARY_KEYS,
    "gemma3": _COMMON_KEYS
    | _ROTARY_KEYS
    | {
        "attention.sliding_window",
        "attention.sliding_window_pattern",
        "rope.freq_base_swa",
        "final_logit_softcapping",
    },
    "gpt2": _COMMON_KEYS | {"attention.layer_norm_epsilon"},
}
# Keys that some converters always write; harmless at the value given.
_HARMLESS = {"expert_count": 0, "expert_used_count": 0, "attention.causal": True}

_MAX_INTEGER = 1 << 31
_GEMMA3_27B_LAYERS = 62


class Metadata:
    """Typed and bounded access to the metadata of one GGUF file."""

    def __init__(self, path: Path, values: Mapping[str, object]) -> None:
        self.path = path
        self.values = values
        self.architecture = self._text("general.architecture")
        if self.architecture not in ARCHITECTURES:
            raise UnsupportedModelError(
                f"{path}: the architecture {self.architecture!r} is not supported",
                remedy=f"Supported: {', '.join(ARCHITECTURES)} (Mistral files say llama).",
            )

    def _text(self, key: str) -> str:
        value = self.values.get(key)
        if not isinstance(value, str):
            self._wrong(key, value, "text")
        return value

    def _wrong(self, key: str, value: object, expected: str) -> NoReturn:
        shown = "missing" if value is None else f"{str(value)[:60]!r}"
        raise MalformedFileError(f"{self.path}: metadata {key!r} is {shown}; expected {expected}")

    def unsupported(self, key: str, value: object) -> NoReturn:
        """Refuse a sound file that says what the network here cannot do."""
        raise UnsupportedModelError(
            f"{self.path}: metadata {self.architecture}.{key} = {str(value)[:60]!r} "
            "is not supported"
        )

    def has(self, key: str) -> bool:
        """Whether the architecture's ``key`` stands in the file."""
        return f"{self.architecture}.{key}" in self.values

    def integer(self, key: str, default: int | None = None, low: int = 1) -> int:
        """The architecture's ``key`` as an integer of ``low`` to 2**31 (required if no default).

        One value per layer is taken if all are equal.
        """
        full = f"{self.architecture}.{key}"
        value = self.values.get(full, default)
        if isinstance(value, np.ndarray) and value.ndim == 1 and value.size:
            if np.any(value != value[0]):
                self.unsupported(key, "a different value for each layer")
            value = value[0].item()
        if isinstance(value, bool) or not isinstance(value, int):
            self._wrong(full, value, "an integer")
        if not low <= value < _MAX_INTEGER:
            self._wrong(full, value, f"{low} to {_MAX_INTEGER - 1:,}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """The architecture's ``key`` as a finite number above zero (required if no default)."""
        full = f"{self.architecture}.{key}"
        value = self.values.get(full, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._wrong(full, value, "a number")
        if not 0 < value < math.inf:
            self._wrong(full, value, "a finite number above zero")
        # float32 in the file: 9.999999747e-06 was written as 1e-05.
        return float(f"{value:.7g}") if isinstance(value, float) else float(value)

    def token(self, key: str, vocab_size: int) -> int | None:
        """A token id of ``tokenizer.ggml``; None if it is missing or outside the vocabulary.

        Files exist that say 0xFFFFFFFF for "none".
        """
        value = self.values.get(f"tokenizer.ggml.{key}")
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < vocab_size:
            return value
        return None

    def check_keys(self) -> None:
        """Refuse keys of the architecture that would be overlooked."""
        prefix = f"{self.architecture}."
        known = _KEYS[self.architecture]
        for key, value in self.values.items():
            name = key.removeprefix(prefix)
            if not key.startswith(prefix) or name in known:
                continue
            if name not in _HARMLESS or value != _HARMLESS[name]:
                self.unsupported(name, value)
        count = self.values.get("split.count", 1)
        if count not in (0, 1):
            raise UnsupportedModelError(
                f"{self.path}: this is one of {count} parts of a split GGUF",
                remedy="Join them first: llama-gguf-split --merge FIRST_PART OUTPUT.",
            )


def config_from_metadata(
    metadata: Metadata, vocab_size: int, tied: bool, rope_factors: Mapping[str, torch.Tensor]
) -> dict[str, object]:
    """The content of ``config.json``.

    ``vocab_size``: rows of the embedding. ``rope_factors``: those of the tensors
    ``rope_freqs``, ``rope_factors_long`` and ``rope_factors_short`` that the file has.
    Raises :class:`MalformedFileError` for a missing or impossible value and
    :class:`UnsupportedModelError` for one that the networks here do not compute.
    """
    metadata.check_keys()
    config = _gpt2(metadata) if metadata.architecture == "gpt2" else _rotary(metadata, rope_factors)
    config["architectures"] = [MODEL_CLASSES[str(config["model_type"])]]
    config["vocab_size"] = vocab_size
    config["tie_word_embeddings"] = tied
    for key in ("bos", "eos", "pad"):
        name = "padding" if key == "pad" else key
        config[f"{key}_token_id"] = metadata.token(f"{name}_token_id", vocab_size)
    return config


def _gpt2(metadata: Metadata) -> dict[str, object]:
    width = metadata.integer("embedding_length")
    heads = metadata.integer("attention.head_count")
    if width % heads:
        metadata.unsupported("attention.head_count", f"{heads} for a width of {width}")
    inner = metadata.integer("feed_forward_length")
    return {
        "model_type": "gpt2",
        "n_positions": metadata.integer("context_length"),
        "n_ctx": metadata.integer("context_length"),
        "n_embd": width,
        "n_layer": metadata.integer("block_count"),
        "n_head": heads,
        "n_inner": None if inner == 4 * width else inner,
        "layer_norm_epsilon": metadata.number("attention.layer_norm_epsilon"),
        "activation_function": "gelu_new",
    }


def _rotary(metadata: Metadata, factors: Mapping[str, torch.Tensor]) -> dict[str, object]:
    """Everything but GPT-2: RMS norms, gated feed-forward, rotary positions."""
    width = metadata.integer("embedding_length")
    layers = metadata.integer("block_count")
    heads = metadata.integer("attention.head_count")
    kv_heads = metadata.integer("attention.head_count_kv", heads)
    if heads % kv_heads:
        metadata.unsupported("attention.head_count_kv", f"{kv_heads} of {heads} heads")
    head = metadata.integer("attention.key_length", width // heads)
    if head % 2:
        metadata.unsupported("attention.key_length", head)
    for key in ("attention.value_length", "rope.dimension_count"):
        if metadata.integer(key, head) != head:
            metadata.unsupported(key, f"{metadata.integer(key)} beside heads of {head}")
    config: dict[str, object] = {
        "model_type": metadata.architecture,
        "hidden_size": width,
        "intermediate_size": metadata.integer("feed_forward_length"),
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head,
        "max_position_embeddings": metadata.integer("context_length"),
        "rms_norm_eps": metadata.number("attention.layer_norm_rms_epsilon"),
        "hidden_act": "silu",
    }
    theta = metadata.number("rope.freq_base", 10_000.0)
    scaling = _rope_scaling(metadata, head, theta, factors)
    config["rope_theta"] = theta
    config["rope_scaling"] = scaling
    config["rope_parameters"] = {"rope_type": "default", "rope_theta": theta, **(scaling or {})}
    match metadata.architecture:
        case "llama":
            window = metadata.integer("attention.sliding_window", 0, low=0)
            if window:
                config |= {"model_type": "mistral", "sliding_window": window}
        case "smollm3":
            # llama.cpp: hparams.n_no_rope_layer_step = 4; 1 means that the layer rotates.
            config["no_rope_layers"] = [int((layer + 1) % 4 != 0) for layer in range(layers)]
            config["no_rope_layer_interval"] = 4
            config["use_sliding_window"] = False
        case "qwen2" | "qwen3":
            config["use_sliding_window"] = False
        case "gemma3":
            config |= _gemma3(metadata, layers, width, heads, head, theta, scaling)
            del config["hidden_act"]
    return config


def _gemma3(
    metadata: Metadata,
    layers: int,
    width: int,
    heads: int,
    head: int,
    theta: float,
    scaling: dict[str, object] | None,
) -> dict[str, object]:
    """What Gemma 3 adds: local and global layers, and its own scale of the scores."""
    window = metadata.integer("attention.sliding_window", 0, low=0)
    kinds = ("full_attention", "sliding_attention")
    pattern = metadata.values.get("gemma3.attention.sliding_window_pattern", 6)
    if isinstance(pattern, np.ndarray) and pattern.dtype == np.bool_:
        if pattern.size != layers:
            metadata.unsupported("attention.sliding_window_pattern", f"{pattern.size} layers")
        sliding = [bool(value) for value in pattern]
    else:
        every = metadata.integer("attention.sliding_window_pattern", 6)
        sliding = [(layer + 1) % every != 0 for layer in range(layers)]
    if not window:  # the converter leaves the window out if every layer is global
        sliding = [False] * layers
    local = metadata.number("rope.freq_base_swa", 10_000.0)
    # llama.cpp tells the 27B by its layers: its scores are scaled by the width per head.
    scalar = width // heads if layers == _GEMMA3_27B_LAYERS else head
    softcap = "final_logit_softcapping"
    return {
        "model_type": "gemma3_text",
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": scalar,
        "sliding_window": window or metadata.integer("context_length"),
        "layer_types": [kinds[local_layer] for local_layer in sliding],
        "final_logit_softcapping": metadata.number(softcap) if metadata.has(softcap) else None,
        "rope_local_base_freq": local,
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": theta, **(scaling or {})},
            "sliding_attention": {"rope_type": "default", "rope_theta": local},
        },
    }


def _rope_scaling(
    metadata: Metadata, head: int, theta: float, factors: Mapping[str, torch.Tensor]
) -> dict[str, object] | None:
    """Hugging Face's ``rope_scaling``, or None if the rotation is the plain one."""
    key = "rope.scaling.type"
    full = f"{metadata.architecture}.{key}"
    kind = metadata.values.get(full, "none")
    factor = metadata.number("rope.scaling.factor", 1.0)
    if metadata.has("rope.scale_linear"):  # how files of 2023 say it
        kind, factor = "linear", metadata.number("rope.scale_linear")
    attention = metadata.number("rope.scaling.attn_factor", 1.0)
    for name, tensor in factors.items():
        if tuple(tensor.shape) != (head // 2,):
            raise MalformedFileError(
                f"{metadata.path}: tensor {name!r} has shape {list(tensor.shape)}; "
                f"expected [{head // 2}]"
            )
        if not bool((torch.isfinite(tensor) & (tensor > 0)).all()):
            raise MalformedFileError(f"{metadata.path}: tensor {name!r} must be above zero")
    if "rope_freqs.weight" in factors and kind == "none":
        return _from_frequencies(metadata, factors["rope_freqs.weight"], theta)
    if len(factors) == 2 and "rope_freqs.weight" not in factors and kind in ("none", "longrope"):
        return {
            "rope_type": "longrope",
            "long_factor": factors["rope_factors_long.weight"].tolist(),
            "short_factor": factors["rope_factors_short.weight"].tolist(),
            "attention_factor": attention,
            "original_max_position_embeddings": metadata.integer(
                "rope.scaling.original_context_length", metadata.integer("context_length")
            ),
        }
    if factors or attention != 1.0:
        metadata.unsupported(key, f"{kind} with {sorted(factors) or 'an attention factor'}")
    if kind == "none" or (kind == "linear" and factor == 1.0):
        return None
    if kind == "linear":
        return {"rope_type": "linear", "factor": factor}
    if kind != "yarn":
        metadata.unsupported(key, kind)
    if metadata.number("rope.scaling.yarn_ext_factor", 1.0) != 1.0:
        metadata.unsupported("rope.scaling.yarn_ext_factor", "other than 1")
    # ggml multiplies its own 1 + 0.1 ln(factor) by the file's factor (YaRN, arXiv:2309.00071).
    own = metadata.number("rope.scaling.yarn_attn_factor", 1.0)
    return {
        "rope_type": "yarn",
        "factor": factor,
        "original_max_position_embeddings": metadata.integer(
            "rope.scaling.original_context_length", metadata.integer("context_length")
        ),
        "attention_factor": own * (1.0 + 0.1 * math.log(max(factor, 1.0))),
        "beta_fast": metadata.number("rope.scaling.yarn_beta_fast", 32.0),
        "beta_slow": metadata.number("rope.scaling.yarn_beta_slow", 1.0),
    }


def _from_frequencies(
    metadata: Metadata, factors: torch.Tensor, theta: float
) -> dict[str, object] | None:
    """The scaling behind ``rope_freqs``, which divides each frequency by its factor.

    Llama 3's (low 1, high 4, original context 8192) is recognised by computing it anew;
    any other is LongRoPE with one list for both lengths, which is the same arithmetic.
    """
    if bool((factors == 1).all()):
        return None
    factor, low, high, original = float(factors.max()), 1.0, 4.0, 8192
    exponents = torch.arange(factors.numel(), dtype=torch.float64) / factors.numel()
    turns = original / (2 * math.pi * theta**exponents)  # wavelengths in the original context
    smooth = ((turns - low) / (high - low)).clamp(0, 1)
    expected = 1 / ((1 - smooth) / factor + smooth)
    if torch.allclose(factors.double(), expected, rtol=1e-4):
        return {
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": low,
            "high_freq_factor": high,
            "original_max_position_embeddings": original,
        }
    return {
        "rope_type": "longrope",
        "long_factor": factors.tolist(),
        "short_factor": factors.tolist(),
        "attention_factor": 1.0,
        "original_max_position_embeddings": metadata.integer("context_length"),
    }
