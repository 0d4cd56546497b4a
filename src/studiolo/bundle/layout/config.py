"""``config.json`` and our :class:`DecoderConfig`: the same network in two vocabularies.

A setting that this decoder does not have is an error, never ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from studiolo.bundle.layout.rope import read_ropes, write_ropes
from studiolo.errors import MalformedFileError, UnsupportedModelError
from studiolo.nn.config import DecoderConfig, LayerConfig

ACTIVATIONS = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
ARCHITECTURES = {
    "gpt2": "GPT2LMHeadModel",
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "smollm3": "SmolLM3ForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "gemma3_text": "Gemma3ForCausalLM",
}
# What transformers takes where config.json is silent and the architectures differ.
TIED_BY_DEFAULT = {"gpt2", "smollm3", "gemma3_text"}
CONTEXT_BY_DEFAULT = {"llama": 2048, "mistral": 131_072, "gemma3_text": 131_072}
WINDOW_BY_DEFAULT = {"mistral": 4096, "qwen2": 4096, "qwen3": 4096, "gemma3_text": 4096}
HEAD_SIZE_BY_DEFAULT = {"qwen3": 128, "gemma3_text": 256}


def decoder_config(hf: Mapping[str, Any]) -> DecoderConfig:
    """Translate the content of a ``config.json``.

    Raises :class:`UnsupportedModelError` for another architecture or a feature we lack, and
    :class:`MalformedFileError` for a missing or impossible value.
    """
    kind = hf.get("model_type")
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        raise UnsupportedModelError(
            f"architecture {kind!r} is not supported",
            remedy=f"Supported: {', '.join(ARCHITECTURES)}.",
        )
    for feature in (
        "final_logit_softcapping",
        "attn_logit_softcapping",
        "use_bidirectional_attention",
    ):
        if hf.get(feature):
            raise UnsupportedModelError(f"{kind} with {feature} = {hf[feature]} is not supported")
    try:
        return _gpt2(hf) if kind == "gpt2" else _llama_like(kind, hf)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise MalformedFileError(f"config.json: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Why a value was refused, in one line that names its field."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            return message
        field = ".".join(str(part) for part in first["loc"])
        return f"{field}: {message} (is {str(first['input'])[:80]})"
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    return str(error)


def activation(name: object) -> Any:
    """Our name of an activation; raises :class:`UnsupportedModelError` for one we lack."""
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise UnsupportedModelError(f"activation {name!r} is not supported")
    return ACTIVATIONS[name]


def _gpt2(hf: Mapping[str, Any]) -> DecoderConfig:
    for feature in ("scale_attn_by_inverse_layer_idx", "add_cross_attention"):
        if hf.get(feature):
            raise UnsupportedModelError(f"gpt2 with {feature} is not supported")
    heads, width = hf["n_head"], hf["n_embd"]
    return DecoderConfig(
        architecture="gpt2",
        vocabulary=hf["vocab_size"],
        width=width,
        heads=heads,
        kv_heads=heads,
        head_size=width // heads,
        mlp_width=hf.get("n_inner") or 4 * width,
        context=hf["n_positions"],
        layers=(LayerConfig(rotary=False),) * _layer_count(hf["n_layer"]),
        norm="layer",
        norm_eps=hf.get("layer_norm_epsilon", 1e-5),
        activation=activation(hf.get("activation_function", "gelu_new")),
        gated=False,
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        tied=hf.get("tie_word_embeddings", True),
        attention_scale=None if hf.get("scale_attn_weights", True) else 1.0,
    )


def _llama_like(kind: str, hf: Mapping[str, Any]) -> DecoderConfig:
    heads, width = hf["num_attention_heads"], hf["hidden_size"]
    head_size = hf.get("head_dim") or HEAD_SIZE_BY_DEFAULT.get(kind) or width // heads
    context = hf.get("max_position_embeddings") or CONTEXT_BY_DEFAULT.get(kind, 32_768)
    gemma = kind == "gemma3_text"
    bias = hf.get("attention_bias", False)
    layers = _layers(kind, hf)
    rope, local = read_ropes(kind, hf, context)
    return DecoderConfig(
        architecture=kind,
        vocabulary=hf["vocab_size"],
        width=width,
        heads=heads,
        kv_heads=hf.get("num_key_value_heads") or heads,
        head_size=head_size,
        mlp_width=hf["intermediate_size"],
        context=context,
        layers=layers,
        norm_eps=hf.get("rms_norm_eps", 1e-6),
        norm_after=gemma,
        qk_norm=gemma or kind == "qwen3",
        activation=activation(
            hf.get("hidden_activation", "gelu_pytorch_tanh")
            if gemma
            else hf.get("hidden_act", "silu")
        ),
        qkv_bias=kind == "qwen2" or bias,
        out_bias=bias,
        mlp_bias=hf.get("mlp_bias", False),
        tied=hf.get("tie_word_embeddings", kind in TIED_BY_DEFAULT),
        embedding_scale=width**0.5 if gemma else 1.0,
        attention_scale=hf.get("query_pre_attn_scalar", 256) ** -0.5 if gemma else None,
        window=_window(kind, hf) if any(layer.sliding for layer in layers) else None,
        rope=rope,
        local_rope=local,
    )


def _layer_count(value: object) -> int:
    if not isinstance(value, int) or not 1 <= value <= 4096:
        raise ValueError(f"the number of layers must be 1 to 4096, not {value!r}")
    return value


def _window(kind: str, hf: Mapping[str, Any]) -> Any:
    return hf.get("sliding_window", WINDOW_BY_DEFAULT.get(kind))


def _layers(kind: str, hf: Mapping[str, Any]) -> tuple[LayerConfig, ...]:
    """Which layers slide and which turn, by the rules of each architecture."""
    count = _layer_count(hf["num_hidden_layers"])
    rotary = [True] * count
    if kind == "smollm3":
        every = hf.get("no_rope_layer_interval", 4)
        pattern = hf.get("no_rope_layers") or [(i + 1) % every for i in range(count)]
        rotary = [bool(flag) for flag in pattern[:count]]
    if kind == "mistral":
        sliding = [_window(kind, hf) is not None] * count
    elif kind == "gemma3_text":
        every = hf.get("sliding_window_pattern") or 6
        sliding = _declared(hf, count) or [bool((i + 1) % every) for i in range(count)]
    elif kind in ("qwen2", "qwen3", "smollm3") and hf.get("use_sliding_window"):
        first = hf.get("max_window_layers", 28)
        by_rule = (
            [not turns for turns in rotary]
            if kind == "smollm3"
            else [i >= first for i in range(count)]
        )
        sliding = _declared(hf, count) or by_rule
    else:
        sliding = [False] * count
    if len(rotary) != count or len(sliding) != count:
        raise ValueError(f"the per-layer lists must have {count} entries")
    return tuple(LayerConfig(sliding=s, rotary=r) for s, r in zip(sliding, rotary, strict=True))


def _declared(hf: Mapping[str, Any], count: int) -> list[bool] | None:
    types = hf.get("layer_types")
    if types is None:
        return None
    unknown = set(types) - {"sliding_attention", "full_attention"}
    if unknown:
        raise UnsupportedModelError(f"layer type {unknown.pop()!r} is not supported")
    return [name == "sliding_attention" for name in types[:count]]


def hf_config(config: DecoderConfig) -> dict[str, Any]:
    """The ``config.json`` that describes the same network to ``transformers``.

    A network has no special tokens, but ``transformers`` would assume its own: their ids are
    None here, for the caller to replace by the tokenizer's.
    """
    kind = config.architecture
    activation_name = next(hf for hf, ours in ACTIVATIONS.items() if ours == config.activation)
    common = {
        "architectures": [ARCHITECTURES[kind]],
        "model_type": kind,
        "vocab_size": config.vocabulary,
        "tie_word_embeddings": config.tied,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
    if kind == "gpt2":
        return common | {
            "n_embd": config.width,
            "n_head": config.heads,
            "n_layer": len(config.layers),
            "n_inner": config.mlp_width,
            "n_positions": config.context,
            "layer_norm_epsilon": config.norm_eps,
            "activation_function": activation_name,
            "scale_attn_weights": config.attention_scale != 1.0,
        }
    out = common | {
        "hidden_size": config.width,
        "intermediate_size": config.mlp_width,
        "num_hidden_layers": len(config.layers),
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_size,
        "max_position_embeddings": config.context,
        "rms_norm_eps": config.norm_eps,
        "sliding_window": config.window,
        **write_ropes(config),
    }
    if kind == "gemma3_text":
        scale = config.attention_scale or config.head_size**-0.5
        out["hidden_activation"] = (
            "gelu_pytorch_tanh" if activation_name == "gelu_new" else activation_name
        )
        out["query_pre_attn_scalar"] = round(scale**-2)
    else:
        out["hidden_act"] = activation_name
    if kind in ("llama", "smollm3", "qwen3", "gemma3_text"):
        out["attention_bias"] = config.out_bias
    if kind in ("llama", "smollm3"):
        out["mlp_bias"] = config.mlp_bias
    if kind == "smollm3":
        out["no_rope_layers"] = [int(layer.rotary) for layer in config.layers]
    if kind in ("qwen2", "qwen3", "smollm3"):
        out["use_sliding_window"] = config.window is not None
    if kind != "mistral" and kind != "llama":
        out["layer_types"] = [
            "sliding_attention" if layer.sliding else "full_attention" for layer in config.layers
        ]
    return out
