"""A description as a tape: threads wait where they must, and no part lies where another is."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from studiolo.bundle.layout import decoder_config
from studiolo.errors import MalformedFileError
from studiolo.nn.lower import lower
from studiolo.nn.packed import Packed, pack
from studiolo.nn.specification import Specification
from studiolo.nn.tape import BLOCK, SCORES, Kind, Op, Tape, padded
from tests import reference
from tests.nn.packs import RandomNetwork, read, same

CONFIGS = {
    name: decoder_config(reference.make(name).config.to_dict())
    for name in ("gpt2", "llama-biased-untied", "qwen3", "gemma3")
}


def tape(name: str) -> Tape:
    return RandomNetwork(CONFIGS[name], 0).on(Specification()).tape


def by_row(op: Op) -> bool:
    """Whether a thread does the same rows of it as of the operation before."""
    return op.kind not in (Kind.LINEAR, Kind.ATTEND, Kind.SHRINK)


@pytest.mark.parametrize("name", CONFIGS)
def test_threads_wait_wherever_work_is_dealt_out_otherwise(name: str) -> None:
    """Between rows and portions, but not between the parts of one product."""
    ops = tape(name).ops
    for op, following in pairwise(ops):
        if by_row(op) and by_row(following):
            # The rows whose scores are wanted are dealt out anew.
            assert op.barrier or op.wanted == following.wanted, (op, following)
        elif op.kind == following.kind == Kind.LINEAR and op.src == following.src:
            assert op.dst == following.dst
            assert following.dst_column >= op.dst_column + padded(op.size)
        else:
            assert op.barrier, (op, following)
    assert ops[-1].barrier


@pytest.mark.parametrize("name", CONFIGS)
def test_every_part_fits_its_buffer_in_whole_blocks(name: str) -> None:
    got = tape(name)
    for op in got.ops:
        assert op.dst_column % BLOCK == op.src_column % BLOCK == 0
        if op.kind == Kind.LINEAR and op.dst != SCORES:
            assert isinstance(op.matrix, Packed)
            assert op.size == op.matrix.outputs
            assert op.dst_column + padded(op.size) <= got.buffers[op.dst]
            assert op.matrix.inputs == got.slots[op.src]
    stored = [op.flag for op in got.ops if op.kind == Kind.STORE]
    assert stored == list(range(got.layers)) == [o.flag for o in got.ops if o.kind == Kind.ATTEND]


@pytest.mark.parametrize("name", CONFIGS)
def test_every_product_but_the_head_can_be_adapted(name: str) -> None:
    """From the floats that it reads in 16 bits, rounded just before; each has a site of its own."""
    got = tape(name)
    products = [op for op in got.ops if op.kind == Kind.LINEAR]
    assert [op.site for op in products] == [*range(len(got.sites)), -1]
    assert len(set(got.sites)) == len(got.sites) == got.layers * (6 + CONFIGS[name].gated)
    for i, op in enumerate(got.ops):
        if op.kind == Kind.SHRINK:
            before, parts = got.ops[i - 1], got.ops[i + 1 : i + 1 + op.heads]
            assert (before.kind, before.src, before.size) == (Kind.QUANTIZE, op.src, op.size)
            assert {(part.kind, part.src) for part in parts} == {(Kind.LINEAR, before.dst)}
            assert [part.site - op.site for part in parts] == [part.flag for part in parts]
            assert [part.flag for part in parts] == list(range(op.heads))


def test_sliding_layers_alone_have_a_window_and_angles_of_their_own() -> None:
    config, got = CONFIGS["gemma3"], tape("gemma3")
    windows = [op.window for op in got.ops if op.kind == Kind.ATTEND]
    assert windows == [7 if layer.sliding else 0 for layer in config.layers]
    tables = [op.flag for op in got.ops if op.kind == Kind.ROTATE]
    assert tables == [int(layer.sliding) for layer in config.layers for _ in "qk"]


def test_a_fused_matrix_is_taken_apart_where_its_parts_do_not_end_in_blocks() -> None:
    """As GPT-2's: a width of 20 would put keys where the next query's block begins."""
    config = CONFIGS["gpt2"].model_copy(
        update={"width": 20, "head_size": 5, "mlp_width": 33, "layers": CONFIGS["gpt2"].layers[:1]}
    )
    apart = RandomNetwork(config, 1)
    fused = RandomNetwork(config, 1)
    name = "blocks.0.attention.qkv.weight"
    pieces = fused._drawn[name]
    codes, scale = (torch.cat([getattr(p, x) for p in pieces]) for x in ("codes", "scale"))
    fused._drawn[name] = [replace(pieces[0], codes=codes, scale=scale)]
    tokens = np.random.default_rng(0).integers(0, 97, 20).tolist()
    decoders = [each.on(Specification()) for each in (apart, fused)]
    assert same(*(read(decoder, tokens) for decoder in decoders))


@pytest.mark.parametrize("sizes", [[1, 78, 1], [16, 16, 48], [80, 16, 16], [16, 64]])
def test_parts_of_other_sizes_are_refused(sizes: list[int]) -> None:
    """Even if they come to the same in all: they would be written over each other."""
    network = RandomNetwork(CONFIGS["qwen3"], 0)
    network._drawn["blocks.1.attention.qkv.weight"] = [pack(torch.ones(n, 48)) for n in sizes]
    with pytest.raises(
        MalformedFileError, match=r"blocks\.1\.attention\.qkv.*asks for \[96, 32, 32"
    ):
        lower(network.config, network.matrices, network.vector, Specification())
