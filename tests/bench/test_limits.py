from __future__ import annotations

from pathlib import Path

import pytest

from bench.limits import FLAGS, Limits, Shares, bandwidth, compiled, measure, multiplied, weights
from studiolo.nn.native import Native, levels
from studiolo.nn.packed_decoder import PackedDecoder
from studiolo.task.load import load


def test_shares_are_of_what_a_token_takes() -> None:
    limits = Limits("avx2", 2e10, 1e10, 1e11, weight_bytes=10**8, read_products=10**8)
    assert Shares.of(limits, one_stream=100, reading=500) == Shares(0.5, 0.5)


def test_without_the_compiled_library_there_are_none() -> None:
    assert measure(object()) is None


@pytest.mark.skipif(not set(levels()) & set(FLAGS), reason="no level of x86 runs here")
@pytest.mark.parametrize("level", sorted(set(levels()) & set(FLAGS)))
def test_the_loops_read_and_multiply(tmp_path: Path, level: str) -> None:
    lib = compiled(level, tmp_path)
    if lib is None:
        pytest.skip("no C++ compiler is installed")
    assert lib.multiply_all(1) in (16, 32)
    assert bandwidth(lib, 1 << 20, 1) > 1e8
    assert multiplied(lib, 1) > 1e8


@pytest.mark.skipif(not levels(), reason="the compiled library is not installed")
def test_weights_are_those_of_the_matrices(tiny: str) -> None:
    network = load(tiny, device="cpu").model.network
    assert isinstance(network, PackedDecoder)
    assert isinstance(network.player, Native)
    size, products = weights(network)
    c = network.config
    # Eight bits and a sixteenth of a float16 at least; scores are not wanted of what is read.
    attention = 2 * c.width * c.heads * c.head_size + 2 * c.width * c.kv_heads * c.head_size
    layer = attention + (2 + c.gated) * c.width * c.mlp_width
    assert products >= len(c.layers) * layer
    assert size >= len(c.layers) * layer + c.vocabulary * c.width
