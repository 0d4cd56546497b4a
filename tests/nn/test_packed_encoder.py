"""The packed encoder: near the float one, and the same bits in any company."""

from __future__ import annotations

import pytest
import torch

from studiolo.bundle.layout import load_encoder, load_packed_encoder
from studiolo.bundle.sentence_transformers import SentenceSettings
from studiolo.nn.native import Native, levels
from studiolo.nn.packed_encoder import PackedEncoder
from studiolo.nn.specification import Specification
from studiolo.nn.tape import Player
from tests.encoders import ENCODERS, encoder_checkpoint, make_encoder
from tests.nn.packs import compiled, same

LENGTHS = (1, 2, 15, 16, 17, 33, 38)


def sequences(count: int = len(LENGTHS), seed: int = 0) -> list[list[int]]:
    rng = torch.Generator().manual_seed(seed)
    lengths = [LENGTHS[i % len(LENGTHS)] for i in range(count)]
    return [torch.randint(3, 97, (n,), generator=rng).tolist() for n in lengths]


def packed(name: str, player: Player) -> PackedEncoder:
    return load_packed_encoder(encoder_checkpoint(make_encoder(name)), SentenceSettings(), player)


@pytest.mark.parametrize("name", ENCODERS)
def test_twelve_bits_are_near_the_floats(name: str) -> None:
    floats = load_encoder(encoder_checkpoint(make_encoder(name)), SentenceSettings())
    with torch.inference_mode():
        expected = floats.read(sequences())
    for ours, theirs in zip(packed(name, Specification()).read(sequences()), expected, strict=True):
        assert ours.shape == theirs.shape
        assert float((ours - theirs).square().mean() / theirs.square().mean()) < 1e-5


@compiled
@pytest.mark.parametrize("name", ENCODERS)
def test_the_library_equals_the_specification(name: str) -> None:
    expected = packed(name, Specification()).read(sequences())
    for level in levels():
        for threads in (1, 2):
            ours = packed(name, Native(level=level, threads=threads)).read(sequences())
            assert all(same(a, b) for a, b in zip(ours, expected, strict=True))


@compiled
def test_a_text_is_the_same_alone_and_among_hundreds() -> None:
    """More tokens than one step takes, and pages that earlier texts have written to."""
    encoder, texts = packed("bert", Native()), sequences(70, seed=1)
    together = encoder.read(texts)
    for i in (0, 1, 35, 69):
        assert same(encoder.read([texts[i]])[0], together[i])
    assert all(same(a, b) for a, b in zip(encoder.read(texts[::-1])[::-1], together, strict=True))
