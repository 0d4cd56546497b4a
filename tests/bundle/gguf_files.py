"""GGUF files for tests: by hand, byte for byte, and from models as llama.cpp's converter does."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from torch import Tensor

ARCHITECTURES = {
    "gpt2": gguf.MODEL_ARCH.GPT2,
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "smollm3": gguf.MODEL_ARCH.SMOLLM3,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "gemma3_text": gguf.MODEL_ARCH.GEMMA3,
}


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def key(name: str | bytes, type_: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", type_) + value


def tensor(name: str | bytes, dims: list[int], type_: int = 0, offset: int = 0) -> bytes:
    shape = struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
    return text(name) + shape + struct.pack("<IQ", type_, offset)


def container(
    keys: list[bytes] | None = None,
    tensors: list[bytes] | None = None,
    data: bytes = b"",
    *,
    magic: bytes = b"GGUF",
    version: int = 3,
    key_count: int | None = None,
    tensor_count: int | None = None,
) -> bytes:
    keys, tensors = keys or [], tensors or []
    counts = (
        len(tensors) if tensor_count is None else tensor_count,
        len(keys) if key_count is None else key_count,
    )
    head = magic + struct.pack("<IQQ", version, *counts) + b"".join(keys) + b"".join(tensors)
    return head + bytes(-len(head) % 32) + data


def permute(weights: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """What the converter does to Llama's Q and K: split rotary halves become interleaved."""
    halves = weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
    return halves.swapaxes(1, 2).reshape(weights.shape)


def write_gguf(
    path: Path,
    model: Any,
    *,
    quantize: gguf.GGMLQuantizationType | None = None,
    extra_tensors: dict[str, Tensor] | None = None,
    extra: dict[str, Any] | None = None,
) -> None:
    """A ``transformers`` model as GGUF. ``extra``: further metadata, ``None`` leaves a key out."""
    config = model.config
    kind = config.model_type
    arch = ARCHITECTURES[kind]
    name = gguf.MODEL_ARCH_NAMES[arch]
    writer = gguf.GGUFWriter(path, name)
    metadata: dict[str, Any] = {
        "block_count": config.num_hidden_layers,
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "attention.head_count": config.num_attention_heads,
    }
    if kind == "gpt2":
        metadata["feed_forward_length"] = 4 * config.hidden_size
        metadata["attention.layer_norm_epsilon"] = config.layer_norm_epsilon
    else:
        rope = config.rope_parameters
        metadata["feed_forward_length"] = config.intermediate_size
        metadata["attention.head_count_kv"] = config.num_key_value_heads
        metadata["attention.layer_norm_rms_epsilon"] = config.rms_norm_eps
        metadata["rope.freq_base"] = rope.get("full_attention", rope)["rope_theta"]
        if head := getattr(config, "head_dim", None):
            metadata["attention.key_length"] = metadata["attention.value_length"] = head
    if kind == "gemma3_text":
        metadata["attention.sliding_window"] = config.sliding_window
    for key_, value in (metadata | (extra or {})).items():
        if isinstance(value, str):
            writer.add_string(f"{name}.{key_}", value)
        elif isinstance(value, list):
            writer.add_array(f"{name}.{key_}", value)
        elif isinstance(value, float):
            writer.add_float32(f"{name}.{key_}", value)
        elif value is not None:
            writer.add_uint32(f"{name}.{key_}", value)
    writer.add_token_list([f"token {index}" for index in range(config.vocab_size)])
    writer.add_eos_token_id(2)
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    for hf_name, parameter in model.state_dict().items():
        if hf_name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if hf_name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        values = parameter.detach().float().numpy()
        if kind in ("llama", "mistral", "smollm3"):
            if ".q_proj." in hf_name:
                values = permute(values, config.num_attention_heads)
            elif ".k_proj." in hf_name:
                values = permute(values, config.num_key_value_heads)
        if kind == "gemma3_text" and hf_name.endswith("norm.weight"):
            values = values + 1
        if kind == "gpt2" and hf_name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
            values = values.T
        gguf_name = names.get_name(hf_name, try_suffixes=(".weight", ".bias"))
        if quantize is not None and values.ndim == 2 and values.shape[1] % 32 == 0:
            blocks = gguf.quants.quantize(np.ascontiguousarray(values), quantize)
            writer.add_tensor(gguf_name, blocks, raw_dtype=quantize)
        else:
            writer.add_tensor(gguf_name, np.ascontiguousarray(values))
    for gguf_name, values in (extra_tensors or {}).items():
        writer.add_tensor(gguf_name, values.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama3_factors(head: int, theta: float, factor: float, original: int) -> Tensor:
    """The converter's ``rope_freqs`` for Llama 3's scaling (low 1, high 4)."""
    factors = []
    for index in range(0, head, 2):
        wavelength = 2 * math.pi * theta ** (index / head)
        if wavelength < original / 4:
            factors.append(1.0)
        elif wavelength > original:
            factors.append(factor)
        else:
            smooth = (original / wavelength - 1) / 3
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return torch.tensor(factors, dtype=torch.float32)
