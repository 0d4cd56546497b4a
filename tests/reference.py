"""Tiny random models of every supported architecture, made by ``transformers``: the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from studiolo.bundle.checkpoint import Checkpoint

SIZES = {
    "vocab_size": 97,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
LONGROPE = {
    "rope_type": "longrope",
    "factor": 4.0,
    "short_factor": [1.0, 1.1, 1.2, 1.3],
    "long_factor": [1.0, 2.0, 3.0, 4.0],
    "original_max_position_embeddings": 16,
}


def llama(rope: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    scaling = {"rope_scaling": rope} if rope else {}
    return {"model_type": "llama", **SIZES, **scaling, **changes}


MODELS: dict[str, dict[str, Any]] = {
    "gpt2": {
        "model_type": "gpt2",
        "vocab_size": 97,
        "n_positions": 64,
        "n_embd": 48,
        "n_layer": 3,
        "n_head": 4,
    },
    "llama": llama(),
    "llama-biased-untied": llama(attention_bias=True, mlp_bias=True, tie_word_embeddings=False),
    "llama-wide-heads": llama(head_dim=16, tie_word_embeddings=True),
    "llama-linear": llama({"rope_type": "linear", "factor": 4.0}),
    "llama-dynamic": llama({"rope_type": "dynamic", "factor": 4.0}, max_position_embeddings=16),
    "llama-yarn": llama(YARN),
    "llama-yarn-mscale": llama(YARN | {"mscale": 0.7, "mscale_all_dim": 0.9, "truncate": False}),
    "llama-longrope": llama(LONGROPE),
    "llama-llama3": llama(LLAMA3),
    "mistral": {"model_type": "mistral", **SIZES, "sliding_window": 7},
    "mistral-full": {"model_type": "mistral", **SIZES, "sliding_window": None},
    "smollm2": llama(tie_word_embeddings=True, rope_theta=100_000.0, rms_norm_eps=1e-5),
    "smollm3": {"model_type": "smollm3", **SIZES},
    "smollm3-sliding": {
        "model_type": "smollm3",
        **SIZES,
        "use_sliding_window": True,
        "sliding_window": 7,
    },
    "qwen2": {"model_type": "qwen2", **SIZES},
    "qwen2-sliding": {
        "model_type": "qwen2",
        **SIZES,
        "use_sliding_window": True,
        "sliding_window": 7,
        "max_window_layers": 2,
    },
    "qwen3": {"model_type": "qwen3", **SIZES, "head_dim": 16},
    "gemma3": {
        "model_type": "gemma3_text",
        **SIZES,
        "head_dim": 16,
        "sliding_window": 7,
        "sliding_window_pattern": 3,
        "query_pre_attn_scalar": 24,
    },
    "gemma3-linear": {
        "model_type": "gemma3_text",
        **SIZES,
        "head_dim": 16,
        "sliding_window": 7,
        "sliding_window_pattern": 2,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    },
}


def make(name: str, seed: int = 0) -> Any:
    """A model of ``MODELS[name]`` with every parameter random (norms and biases too)."""
    config = dict(MODELS[name])
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(config.pop("model_type"), **config), attn_implementation="eager"
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def checkpoint(model: Any) -> Checkpoint:
    """The reference's weights and configuration, as if read from its own saved files."""
    state: dict[str, Tensor] = {k: v.detach() for k, v in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    config = model.config.to_dict()
    return Checkpoint(Path("memory"), config, {}, tuple(state), state.__getitem__)
