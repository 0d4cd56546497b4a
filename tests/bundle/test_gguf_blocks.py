"""Blocks against the ``gguf`` library: any bytes at all, and the starter's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gguf.constants import GGML_QUANT_SIZES
from gguf.constants import GGMLQuantizationType as Type
from gguf.quants import dequantize
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from studiolo.bundle.gguf_blocks import read_blocks
from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.store import open_installed
from tests.nn.packs import FORMS, same

# Where float16 lie in a block, in bytes.
HALVES = {
    "Q4_0": (0,),
    "Q4_1": (0, 2),
    "Q5_0": (0,),
    "Q5_1": (0, 2),
    "Q8_0": (0,),
    "Q4_K": (0, 2),
    "Q5_K": (0, 2),
    "Q6_K": (208,),
}
PECULIAR = np.array(
    [0, -0.0, 1, -1, 65504, -65504, 2**-24, -(2**-24), 2**-14, np.inf, -np.inf, np.nan], np.float16
)


def blocks(name: str, outputs: int, count: int, seed: int, peculiar: bool) -> NDArray[np.uint8]:
    """Random bytes; with scales of every sort, where random ones would be huge as a rule."""
    rng = np.random.default_rng(seed)
    _, size = GGML_QUANT_SIZES[Type[name]]
    raw = rng.integers(0, 256, (outputs, count, size), dtype=np.uint8)
    if peculiar:
        for at in HALVES[name]:
            drawn = rng.choice(PECULIAR, (outputs, count, 1))
            raw[..., at : at + 2] = drawn.view(np.uint8)
    return raw.reshape(outputs, -1)


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=25, deadline=None)
@given(
    outputs=st.integers(1, 9),
    count=st.integers(1, 5),
    seed=st.integers(0, 2**32),
    peculiar=st.booleans(),
)
def test_any_block_is_what_the_library_makes_of_it(
    name: str, outputs: int, count: int, seed: int, peculiar: bool
) -> None:
    type_, form = Type[name], FORMS[name]
    raw = blocks(name, outputs, count, seed, peculiar)
    packed = read_blocks(raw, type_)
    assert packed is not None
    with np.errstate(all="ignore"):
        expected = torch.from_numpy(dequantize(raw.reshape(-1), type_)).view(outputs, -1)
    assert same(packed.floats(), expected)
    assert (packed.kind, packed.group) == (form.kind, form.group)
    assert (packed.outputs, packed.inputs) == tuple(expected.shape)
    assert packed.codes.dtype == torch.int8
    assert form.least <= int(packed.codes.min()) <= int(packed.codes.max()) <= form.most
    assert packed.scales().shape == (outputs, packed.inputs // form.group)
    assert (packed.offset is not None) == form.offset
    assert (packed.scale_factor is not None) == form.two_levels


def parts(name: str, raw: NDArray[np.uint8]) -> list[int]:
    """Every code and factor of a block."""
    packed = read_blocks(raw, Type[name])
    assert packed is not None
    tensors = (packed.codes, packed.scale_factor, packed.offset_factor)
    return [int(x) for tensor in tensors if tensor is not None for x in tensor.flatten()]


@pytest.mark.parametrize("name", FORMS)
def test_no_bit_is_ignored(name: str) -> None:
    """Each bit of a block, but those of its scales, is one of one code or factor."""
    raw = blocks(name, 1, 1, 0, False)
    before = parts(name, raw)
    halves = {at + i for at in HALVES[name] for i in (0, 1)}
    for byte in set(range(raw.shape[1])) - halves:
        for bit in range(8):
            changed = raw.copy()
            changed[0, byte] ^= 1 << bit
            after = parts(name, changed)
            assert sum(x != y for x, y in zip(before, after, strict=True)) == 1, (byte, bit)


@pytest.mark.parametrize("name", ["F32", "F16", "BF16"])
def test_types_without_blocks_have_none(name: str) -> None:
    assert read_blocks(np.zeros((3, 64), np.uint8), Type[name]) is None


def test_the_file_is_not_written_to() -> None:
    for name in FORMS:
        raw = blocks(name, 4, 3, 1, False)
        raw.flags.writeable = False
        before = raw.copy()
        packed = read_blocks(raw, Type[name])
        assert packed is not None
        packed.codes.zero_()
        packed.scale.zero_()
        assert np.array_equal(raw, before)


def test_the_starter_s_matrices_are_its_tensors(starter: Path) -> None:
    """Q and K are permuted in the file: their rows of blocks are put back like rows of floats."""
    opened = OpenBundle.of(open_installed(starter))
    checkpoint, file = opened.checkpoint, opened.gguf
    assert file is not None
    layer = "model.layers.7"
    seen = set()
    for name in (
        "model.embed_tokens.weight",
        f"{layer}.self_attn.q_proj.weight",
        f"{layer}.self_attn.k_proj.weight",
        f"{layer}.self_attn.v_proj.weight",
        f"{layer}.mlp.down_proj.weight",
    ):
        packed = checkpoint.blocks(name)
        assert packed is not None, name
        seen.add(packed.kind)
        rows = slice(0, 2000)
        assert same(packed.floats(rows), checkpoint.tensor(name)[rows]), name
    assert "U4" in seen
    raw = file.read("blk.7.attn_q.weight")
    permuted = checkpoint.blocks(f"{layer}.self_attn.q_proj.weight")
    value = checkpoint.blocks(f"{layer}.self_attn.v_proj.weight")
    assert permuted is not None
    assert value is not None
    assert not torch.equal(permuted.floats(), raw)
    assert torch.equal(permuted.floats().sort(0).values, raw.sort(0).values)
    assert torch.equal(value.floats(), file.read("blk.7.attn_v.weight"))
    assert checkpoint.blocks(f"{layer}.input_layernorm.weight") is None
    assert checkpoint.blocks("no such tensor") is None
