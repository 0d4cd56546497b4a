"""An adapter as ``peft`` saves one, so that it is read by peft, by vLLM and by us.

``adapter_config.json`` and ``adapter_model.safetensors``
(https://huggingface.co/docs/peft/developer_guides/checkpoint); the reader is ``bundle/adapter``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from studiolo.bundle.adapter import CONFIG, WEIGHTS
from studiolo.bundle.layout.adapter import places
from studiolo.nn.adapter import Site, Update
from studiolo.nn.config import DecoderConfig


def write_adapter(
    folder: Path, config: DecoderConfig, updates: Mapping[Site, Update], base: str
) -> None:
    """Write both files into ``folder``, which is there.

    ``updates``: of one rank and of every part of each module that is changed; parts of a module
    that is one in the file share their A. ``base``: the name of the model that it is for. Raises
    ``OSError`` and ``SafetensorError``.
    """
    tensors: dict[str, Tensor] = {}
    modules = []
    ranks = {update.rank for update in updates.values()}
    if len(ranks) != 1:
        raise ValueError(f"an adapter is of one rank, not of {sorted(ranks)}")
    for module, place in places(config).items():
        found = [updates[site] for site in place.outputs if site in updates]
        if not found:
            continue
        if any(each.down is not found[0].down for each in found):
            raise ValueError(f"the parts of {module} do not share their A")
        modules.append(module)
        stem = f"base_model.model.{module}"
        tensors[f"{stem}.lora_A.weight"] = found[0].down.clone()
        tensors[f"{stem}.lora_B.weight"] = torch.cat([each.up * each.scale for each in found])
    rank = ranks.pop()
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": rank,  # the factor on B A is alpha / r
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
        "fan_in_fan_out": config.architecture == "gpt2",
        "target_modules": sorted({module.rpartition(".")[2] for module in modules}),
    }
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / WEIGHTS).chmod(0o644)  # it writes files that their owner alone may read
    (folder / CONFIG).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
