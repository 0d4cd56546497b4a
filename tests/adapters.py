"""LoRA adapters as ``peft`` writes them, and what they do, by hand, to a ``transformers`` model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

Pairs = Mapping[str, tuple[Tensor, Tensor]]
"""A and B by the module that they change, as ``transformers`` names it."""
TARGETS = {
    "gpt2": ("c_attn", "c_proj", "c_fc"),
    "llama": ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
}
SETTINGS: dict[str, Any] = {
    "alora_invocation_tokens": None,
    "alpha_pattern": {},
    "arrow_config": None,
    "auto_mapping": None,
    "base_model_name_or_path": "somewhere/else",
    "bias": "none",
    "corda_config": None,
    "ensure_weight_tying": False,
    "eva_config": None,
    "exclude_modules": None,
    "fan_in_fan_out": False,
    "inference_mode": True,
    "init_lora_weights": True,
    "layer_replication": None,
    "layers_pattern": None,
    "layers_to_transform": None,
    "loftq_config": {},
    "lora_alpha": 16,
    "lora_bias": False,
    "lora_dropout": 0.05,
    "megatron_config": None,
    "megatron_core": "megatron.core",
    "modules_to_save": None,
    "peft_type": "LORA",
    "peft_version": "0.18.1",
    "qalora_group_size": 16,
    "r": 8,
    "rank_pattern": {},
    "revision": None,
    "target_modules": None,
    "target_parameters": None,
    "task_type": "CAUSAL_LM",
    "trainable_token_indices": None,
    "use_dora": False,
    "use_qalora": False,
    "use_rslora": False,
}
"""What ``adapter_config.json`` holds where nothing special was asked for."""


def modules(model: Any, *targets: str) -> Iterator[tuple[str, int, int]]:
    """Names, inputs and outputs of a model's products that end in one of ``targets``."""
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in targets:
            weight = module.weight
            outputs, inputs = (
                weight.shape if isinstance(module, torch.nn.Linear) else weight.T.shape
            )
            yield name, inputs, outputs


def drawn(
    model: Any,
    *targets: str,
    rank: int | Callable[[str], int] = 8,
    seed: int = 0,
    size: float = 0.3,
) -> Pairs:
    """Random matrices for ``targets``, as large in what they change as the weights are about."""
    random = torch.Generator().manual_seed(seed)
    pairs = {}
    for name, inputs, outputs in modules(model, *targets):
        r = rank if isinstance(rank, int) else rank(name)
        down = torch.randn(r, inputs, generator=random) * inputs**-0.5
        pairs[name] = down, torch.randn(outputs, r, generator=random) * size
    return pairs


def write(path: Path, pairs: Pairs, **settings: Any) -> Path:
    """The directory that ``peft`` would have written."""
    path.mkdir(parents=True, exist_ok=True)
    targets = sorted({name.rpartition(".")[2] for name in pairs})
    config = SETTINGS | {"target_modules": targets} | settings
    (path / "adapter_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    tensors = {
        f"base_model.model.{name}.lora_{which}.weight": matrix.contiguous()
        for name, pair in pairs.items()
        for which, matrix in zip("AB", pair, strict=True)
    }
    save_file(tensors, path / "adapter_model.safetensors", metadata={"format": "pt"})
    return path


@contextmanager
def worn(model: Any, pairs: Pairs, scale: float | Callable[[str], float]) -> Iterator[None]:
    """The model with ``scale * B (A x)`` added to what each of the modules gives."""

    def hook(name: str, down: Tensor, up: Tensor) -> Callable[..., Tensor]:
        by = scale if isinstance(scale, float) else scale(name)
        return lambda module, given, made: made + by * (given[0] @ down.T @ up.T)

    hooks = [
        model.get_submodule(name).register_forward_hook(hook(name, *pair))
        for name, pair in pairs.items()
    ]
    try:
        yield
    finally:
        for each in hooks:
            each.remove()


def for_directory(model: str, path: Path, seed: int = 0, **settings: Any) -> Path:
    """An adapter at ``path`` of the Llama in the directory ``model``, that changes it a lot."""
    from transformers import AutoModelForCausalLM

    llama = AutoModelForCausalLM.from_pretrained(model)
    return write(path, drawn(llama, *TARGETS["llama"], seed=seed), **settings)
