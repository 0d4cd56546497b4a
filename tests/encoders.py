"""Tiny random encoders of every supported architecture, made by ``transformers``: the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel

from studiolo.bundle.checkpoint import Checkpoint

SIZES = {
    "vocab_size": 97,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "max_position_embeddings": 40,
}
ENCODERS: dict[str, dict[str, Any]] = {
    "bert": {"model_type": "bert", **SIZES},
    "bert-relu": {"model_type": "bert", **SIZES, "hidden_act": "relu", "type_vocab_size": 1},
    "roberta": {"model_type": "roberta", **SIZES, "pad_token_id": 1, "layer_norm_eps": 1e-5},
    "xlm-roberta": {"model_type": "xlm-roberta", **SIZES, "hidden_act": "gelu_new"},
    "distilbert": {
        "model_type": "distilbert",
        "vocab_size": 97,
        "dim": 48,
        "hidden_dim": 80,
        "n_layers": 3,
        "n_heads": 6,
        "max_position_embeddings": 40,
    },
}


def make_encoder(name: str, seed: int = 0) -> Any:
    """A model of ``ENCODERS[name]`` with every parameter random (norms and biases too)."""
    config = dict(ENCODERS[name])
    torch.manual_seed(seed)
    model = AutoModel.from_config(
        AutoConfig.for_model(config.pop("model_type"), **config), attn_implementation="eager"
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def encoder_checkpoint(model: Any) -> Checkpoint:
    """The reference's weights and configuration, as if read from its own saved files."""
    state: dict[str, Tensor] = {k: v.detach() for k, v in model.state_dict().items()}
    return Checkpoint(Path("memory"), model.config.to_dict(), {}, tuple(state), state.__getitem__)


def padded(sequences: list[list[int]], pad: int) -> tuple[Tensor, Tensor]:
    """The ids ``[B, T]`` padded on the right, and which of them are real."""
    width = max(len(ids) for ids in sequences)
    tokens = torch.tensor([[*ids, *[pad] * (width - len(ids))] for ids in sequences])
    real = torch.tensor([[i < len(ids) for i in range(width)] for ids in sequences])
    return tokens, real
