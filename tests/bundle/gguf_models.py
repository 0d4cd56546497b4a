"""Tiny random models of every architecture that GGUF files are read for, and their way back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from studiolo.bundle.checkpoint import Checkpoint
from studiolo.bundle.gguf import GGUFFile
from studiolo.bundle.gguf_names import gguf_checkpoint
from studiolo.bundle.huggingface import write_directory
from tests import reference
from tests.bundle.gguf_files import write_gguf

SIZES = reference.SIZES | {"num_hidden_layers": 3}
GPT2 = {"vocab_size": 97, "n_positions": 64, "n_embd": 48, "n_layer": 3, "n_head": 4}
MODELS: dict[str, dict[str, Any]] = {
    "gpt2": {"model_type": "gpt2", **GPT2},
    "llama": {"model_type": "llama", **SIZES},
    "llama-tied": {"model_type": "llama", **SIZES, "tie_word_embeddings": True},
    "llama-biased": {"model_type": "llama", **SIZES, "attention_bias": True, "mlp_bias": True},
    "llama-wide-heads": {"model_type": "llama", **SIZES, "head_dim": 16},
    "mistral": {"model_type": "mistral", **SIZES, "sliding_window": None},
    "smollm3": {"model_type": "smollm3", **SIZES, "num_hidden_layers": 5},
    "qwen2": {"model_type": "qwen2", **SIZES},
    "qwen3": {"model_type": "qwen3", **SIZES, "head_dim": 16},
    "gemma3": {
        "model_type": "gemma3_text",
        **SIZES,
        "num_hidden_layers": 7,
        "head_dim": 16,
        "query_pre_attn_scalar": 16,
        "sliding_window": 7,
    },
}


def make(config: dict[str, Any]) -> Any:
    """A random reference model; norms and biases are random too."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(**config), attn_implementation="eager"
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def converted(tmp_path: Path, model: Any, **how: Any) -> Checkpoint:
    write_gguf(tmp_path / "model.gguf", model, **how)
    return gguf_checkpoint(GGUFFile.open(tmp_path / "model.gguf"))


def reloaded(tmp_path: Path, checkpoint: Checkpoint) -> Any:
    """What ``transformers`` makes of the checkpoint, saved as a directory."""
    tensors = ((name, checkpoint.tensor(name)) for name in checkpoint.names)
    write_directory(tmp_path / "hf", checkpoint.config, tensors, None, checkpoint.generation)
    model, info = AutoModelForCausalLM.from_pretrained(
        tmp_path / "hf", output_loading_info=True, attn_implementation="eager"
    )
    assert not any(info.values()), info
    return model.eval()


def logits_differ_by(ours: Any, theirs: Any, length: int = 40) -> float:
    ids = torch.arange(length)[None] * 7 % 97
    with torch.no_grad():
        return float((ours(ids).logits - theirs(ids).logits).abs().max())
