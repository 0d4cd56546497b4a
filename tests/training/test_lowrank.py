from __future__ import annotations

import torch

from studiolo.nn.adapter import Adapter
from studiolo.nn.decoder import Decoder
from studiolo.nn.network import Piece
from studiolo.training.language import new_decoder
from studiolo.training.lowrank import low_rank, merge, updates, without
from tests.training.test_language import CPU, config

IDS = torch.arange(12)[None] % 40


def drawn() -> Decoder:
    decoder = new_decoder(config(kv_heads=1), 1, CPU)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(torch.randn(parameter.shape), alpha=0.1)
    return decoder


def test_at_first_nothing_is_changed_and_only_updates_are_learnt() -> None:
    torch.manual_seed(1)
    decoder = drawn()
    before = decoder(IDS)
    parameters = low_rank(decoder, 4, seed=1)
    torch.testing.assert_close(decoder(IDS), before, rtol=0, atol=0)
    decoder(IDS).sum().backward()
    assert all(parameter.grad is None for parameter in decoder.parameters())
    assert all(parameter.grad is not None for parameter in parameters.values())
    assert len(parameters) == 2 * 2 * 4
    again = low_rank(drawn(), 4, seed=1)
    assert all(torch.equal(again[name], parameters[name]) for name in parameters)


@torch.no_grad()
def test_served_beside_or_merged_it_is_what_was_trained() -> None:
    torch.manual_seed(2)
    decoder = drawn()
    before = decoder(IDS)
    parameters = low_rank(decoder, 4, seed=1)
    for parameter in parameters.values():
        parameter.add_(torch.randn(parameter.shape), alpha=0.1)
    trained = decoder.logits(decoder(IDS))[0]
    with without(decoder):
        torch.testing.assert_close(decoder(IDS), before, rtol=0, atol=0)
        adaptation = decoder.adapt(Adapter("a", "d", updates(decoder, parameters)))
        piece = Piece(IDS[0].tolist(), decoder.new_cache(), IDS.shape[1], adaptation)
        torch.testing.assert_close(decoder.step([piece])[0], trained, rtol=1e-4, atol=1e-4)
    merge(decoder)
    torch.testing.assert_close(decoder.logits(decoder(IDS))[0], trained, rtol=1e-4, atol=1e-4)
    assert not torch.equal(before, decoder(IDS))
