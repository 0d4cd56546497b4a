from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from studiolo.family.contract import Loss
from studiolo.nn.config import DecoderConfig
from studiolo.training.data import Blocks, Tokens
from studiolo.training.language import NextToken, matrices_of, new_decoder, optimiser_for
from studiolo.training.losses import IGNORED
from studiolo.training.muon import Muon
from studiolo.training.optimiser import AdamW, Together
from studiolo.training.recipe import OptimiserRecipe, Recipe, checked_recipe
from studiolo.training.size import plan

CPU = torch.device("cpu")


def config(architecture: str = "llama", **model: object) -> DecoderConfig:
    values = {"width": 32, "heads": 2, "context": 16, "architecture": architecture, **model}
    recipe: Recipe = checked_recipe({"name": "x", "size": 2, "model": values})
    return plan(recipe, 40).config


def blocks(starts: list[int]) -> Blocks:
    ids = np.random.default_rng(1).integers(0, 40, 200).astype(np.uint16)
    return Blocks(Tokens(ids, np.array(starts, np.int64)), block=16, batch=4, seed=1)


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
@pytest.mark.parametrize("tied", [True, False])
def test_loss_and_gradients_are_those_of_whole_logits(architecture: str, tied: bool) -> None:
    decoder = new_decoder(config(architecture, tied=tied), 1, CPU)
    with torch.no_grad():  # away from the start, where half of all gradients are zero
        for parameter in decoder.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.1)
    batch = blocks([0]).at(3)
    loss = NextToken(decoder).loss(batch)
    assert isinstance(loss, Loss)
    reference = F.cross_entropy(
        decoder.logits(decoder(batch.inputs)).flatten(0, 1), batch.targets.flatten()
    )
    torch.testing.assert_close(loss.total, reference)
    names, parameters = zip(*decoder.named_parameters(), strict=True)
    ours = torch.autograd.grad(loss.total, parameters)
    theirs = torch.autograd.grad(reference, parameters)
    for name, mine, other in zip(names, ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6, msg=name)


@torch.no_grad()
def test_packed_documents_are_as_if_each_stood_alone() -> None:
    decoder = new_decoder(config(), 1, CPU)
    for parameter in decoder.parameters():
        parameter.add_(torch.randn(parameter.shape) * 0.1)
    (batch, *_) = blocks([0, 5, 6, 12, 100]).sweep()
    packed = NextToken(decoder).loss(batch).total
    assert batch.documents is not None
    total, count = 0.0, 0
    for row in range(4):
        for document in range(int(batch.documents[row].max()) + 1):
            mine = batch.documents[row] == document
            targets = batch.targets[row][mine]
            logits = decoder.logits(decoder(batch.inputs[row][mine][None]))[0]
            total += float(F.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum"))
            count += int((targets != IGNORED).sum())
    assert float(packed) == pytest.approx(total / count, rel=1e-5)


def test_a_new_one_knows_nothing_and_depends_on_its_seed_alone() -> None:
    one = new_decoder(config(), 1, CPU)
    torch.manual_seed(99)
    same, other = new_decoder(config(), 1, CPU), new_decoder(config(), 2, CPU)
    assert all(map(torch.equal, one.parameters(), same.parameters()))
    assert not torch.equal(one.embed.weight, other.embed.weight)
    loss = NextToken(one).loss(blocks([0]).at(0)).total
    assert float(loss.detach()) == pytest.approx(math.log(40), abs=0.05)


def test_muon_takes_the_matrices_of_the_blocks_and_adamw_all_else() -> None:
    decoder = new_decoder(config(), 1, CPU)
    parameters, rates = dict(decoder.named_parameters()), {"rate": 0.01, "matrix_rate": 0.02}
    optimiser = optimiser_for(parameters, matrices_of(decoder), OptimiserRecipe(), **rates)
    assert isinstance(optimiser, Together)
    muon, adamw = optimiser.parts["muon"], optimiser.parts["adamw"]
    assert isinstance(muon, Muon)
    assert isinstance(adamw, AdamW)
    assert set(muon.matrices) | set(adamw.parameters) == {n for n, _ in decoder.named_parameters()}
    assert not set(muon.matrices) & set(adamw.parameters)
    assert len(muon.matrices) == 8
    assert matrices_of(decoder)["blocks.0.attention.qkv.weight"].outputs == (32, 32, 32)
    plain = optimiser_for(parameters, {}, OptimiserRecipe(), **rates)
    assert isinstance(plain, AdamW)
    assert len(plain.parameters) == len(list(decoder.parameters()))
