from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from studiolo.nn.decoder import Decoder
from studiolo.training.language import new_decoder
from studiolo.training.lowrank import low_rank, without
from studiolo.training.packing import Example
from studiolo.training.preference import PairBatch, Pairs, Preference
from tests.training.test_language import CPU, config


def pairs(count: int = 3) -> list[tuple[Example, Example]]:
    rng = np.random.default_rng(1)

    def answer(length: int) -> Example:
        ids = rng.integers(1, 40, length)
        return Example(ids, np.arange(length) >= 3)

    return [(answer(6 + i), answer(9 - i)) for i in range(count)]


def decoder() -> Decoder:
    torch.manual_seed(1)
    made = new_decoder(config(), 1, CPU)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn(parameter.shape), alpha=0.1)
    return made


def log_prob(decoder: Decoder, example: Example) -> Tensor:
    """One answer by itself, from whole logits."""
    ids = torch.from_numpy(example.ids)[None]
    scores = decoder.logits(decoder(ids[:, :-1]))[0].log_softmax(-1)
    each = scores.gather(1, ids[0, 1:, None]).squeeze(1)
    return each[torch.from_numpy(example.counts[1:])].sum()


def test_loss_and_gradients_are_those_of_the_paper() -> None:
    policy, before = decoder(), decoder()
    learner = Preference(policy, 0.5, adapted=False)
    with torch.no_grad():
        policy.embed.weight.mul_(1.5)
    (batch,) = Pairs(pairs(), batch=3, seed=1).sweep()
    found = learner.loss(batch)
    margins = []
    for chosen, rejected in pairs():
        with torch.no_grad():
            base = log_prob(before, chosen) - log_prob(before, rejected)
        margins.append(0.5 * (log_prob(policy, chosen) - log_prob(policy, rejected) - base))
    reference = -F.logsigmoid(torch.stack(margins)).mean()
    torch.testing.assert_close(found.total, reference, rtol=1e-5, atol=1e-5)
    assert found.parts["accuracy"] == sum(float(m.detach() > 0) for m in margins) / 3
    ours = torch.autograd.grad(found.total, list(policy.parameters()))
    theirs = torch.autograd.grad(reference, list(policy.parameters()))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


def test_beside_frozen_weights_the_start_is_they_alone() -> None:
    policy = decoder()
    parameters = low_rank(policy, 4, seed=1)
    learner = Preference(policy, 0.5, adapted=True)
    batch = Pairs(pairs(), batch=3, seed=1).at(0)
    assert learner.judged(batch)["loss"] == pytest.approx(np.log(2), abs=1e-6)
    with torch.no_grad():
        parameters["blocks.0.mlp.up.up"].normal_()
    changed = learner.judged(batch)["loss"]
    assert changed != pytest.approx(np.log(2), abs=1e-3)
    with without(policy):
        assert learner.judged(batch)["loss"] == pytest.approx(np.log(2), abs=1e-6)


def test_batches_are_whole_pairs_in_an_order_of_their_own() -> None:
    reading = Pairs(pairs(7), batch=2, seed=1)
    swept: list[PairBatch] = list(reading.sweep())
    assert [batch.weight for batch in swept] == [2, 2, 2, 1]
    assert all(batch.tokens > 0 for batch in swept)
    assert sum(batch.weight for batch in reading.sweep(limit=30)) < 7
    again = reading.at(3)
    assert torch.equal(reading.at(3).chosen.inputs, again.chosen.inputs)
