"""A checkpoint as a packed network: the file's blocks kept, and what is broken named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gguf
import pytest
import torch
from torch import Tensor

from studiolo.bundle.checkpoint import Checkpoint
from studiolo.bundle.layout import load_decoder, load_packed
from studiolo.errors import MalformedFileError
from studiolo.nn.native import best_player
from studiolo.nn.packed import Packed
from studiolo.nn.specification import Specification
from tests import reference
from tests.bundle.gguf_models import MODELS, converted, make
from tests.nn.packs import read

IDS = torch.randint(3, 97, (40,), generator=torch.Generator().manual_seed(1)).tolist()


@pytest.mark.parametrize("name", ["llama", "llama-biased", "gpt2", "qwen2", "gemma3"])
@pytest.mark.parametrize("type_", ["Q4_1", "Q8_0"])
def test_a_file_s_own_blocks_lose_nothing(name: str, type_: str, tmp_path: Path) -> None:
    """Only activations are rounded: a hundredth of what rounding weights to 8 bits costs."""
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4}
    config = MODELS[name] | ({"n_embd": 64} if name == "gpt2" else sizes)
    quantize = gguf.GGMLQuantizationType[type_]
    checkpoint = converted(tmp_path, make(config), quantize=quantize)
    matrix = "transformer.h.0.mlp.c_fc" if name == "gpt2" else "model.layers.0.mlp.up_proj"
    kept = checkpoint.blocks(f"{matrix}.weight")
    assert kept is not None
    assert kept.kind == {"Q4_1": "U4", "Q8_0": "S8"}[type_]
    exact = load_decoder(checkpoint)
    with torch.no_grad():
        expected = exact.logits(exact(torch.tensor([IDS])))[0]
    got = read(load_packed(checkpoint, best_player()), IDS)
    assert (got - expected).abs().max() < 1e-3 * expected.abs().max()


def changed(name: str, change: Callable[[Tensor], Tensor]) -> Checkpoint:
    source = reference.checkpoint(reference.make("llama"))
    assert name in source.names

    def read(asked: str) -> Tensor:
        tensor = source.read(asked).clone()
        return change(tensor) if asked == name else tensor

    return replace(source, read=read)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 1e30])
@pytest.mark.parametrize(
    "name",
    [
        "model.embed_tokens.weight",
        "model.layers.2.self_attn.k_proj.weight",
        "model.layers.1.input_layernorm.weight",
        "lm_head.weight",
    ],
)
def test_one_weight_that_is_no_number_is_named(name: str, value: float) -> None:
    def spoil(tensor: Tensor) -> Tensor:
        tensor.view(-1)[17] = value
        return tensor

    if "norm" in name and value == 1e30:
        return  # a vector stays float32, which holds it
    with pytest.raises(MalformedFileError, match=rf"{name}.*infinite, not a number, or too large"):
        load_packed(changed(name, spoil), Specification())


def test_blocks_whose_scale_is_no_number_are_named() -> None:
    name = "model.layers.0.mlp.down_proj.weight"
    source = reference.checkpoint(reference.make("llama"))
    for part in ("scale", "offset"):
        halves = {"scale": torch.ones(48, 3).half(), "offset": torch.ones(48, 3).half()}
        halves[part][40, 1] = torch.nan
        blocks = Packed("U4", 32, torch.ones(48, 80, dtype=torch.int8), **halves)

        def read_blocks(asked: str, blocks: Packed = blocks) -> Packed | None:
            return blocks if asked == name else None

        broken = replace(source, read_blocks=read_blocks)
        with pytest.raises(MalformedFileError, match=name):
            load_packed(broken, Specification())


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("model.embed_tokens.weight", lambda x: x[:-1], r"\[96, 48\].*\[97, 48\]"),
        ("model.layers.0.self_attn.v_proj.weight", lambda x: x[:, :-1], "v_proj|q_proj"),
        ("model.layers.0.mlp.up_proj.weight", lambda x: x.flatten(), "a matrix is asked for"),
        ("model.norm.weight", lambda x: x[:-1], r"\[47\].*\[48\]"),
        ("lm_head.weight", lambda x: x.to(torch.int8), "int8"),
    ],
)
def test_a_tensor_of_another_shape_or_kind_is_named(
    name: str, change: Callable[[Tensor], Tensor], said: str
) -> None:
    with pytest.raises(MalformedFileError, match=said):
        load_packed(changed(name, change), Specification())


def test_queries_and_keys_of_each_other_s_sizes_are_refused() -> None:
    """Their sum is right, and the float decoder would read them as they come."""
    source = reference.checkpoint(reference.make("llama"))
    q, k = (f"model.layers.0.self_attn.{n}_proj.weight" for n in "qk")

    def read(name: str) -> Tensor:
        return source.read({q: k, k: q}.get(name, name))

    with pytest.raises(MalformedFileError, match=r"\[16, 48, 16\].*asks for \[48, 16, 16\]"):
        load_packed(replace(source, read=read), Specification())


def test_a_missing_tensor_is_named() -> None:
    source = reference.checkpoint(reference.make("llama"))
    name = "model.layers.2.mlp.down_proj.weight"
    names = tuple(n for n in source.names if n != name)
    with pytest.raises(MalformedFileError, match=name):
        load_packed(replace(source, names=names), Specification())
