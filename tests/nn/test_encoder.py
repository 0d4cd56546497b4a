"""The encoder against ``transformers`` on shared random weights: hidden states and gradients.

The reference reads a padded batch with its mask; ours reads the same sequences without padding.
"""

from __future__ import annotations

import pytest
import torch

from studiolo.bundle.layout import load_encoder
from studiolo.bundle.layout.encoder import encoder_parts
from studiolo.bundle.sentence_transformers import SentenceSettings
from studiolo.nn.encoder import Encoder
from tests.encoders import ENCODERS, encoder_checkpoint, make_encoder, padded

LENGTHS = (3, 17, 17, 1, 38, 17, 5)


def sequences() -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(3, 97, (n,), generator=generator).tolist() for n in LENGTHS]


def load(name: str) -> Encoder:
    return load_encoder(encoder_checkpoint(make_encoder(name)), SentenceSettings())


@pytest.mark.parametrize("name", ENCODERS)
def test_hidden_states_equal_the_reference(name: str) -> None:
    model, encoder = make_encoder(name), load(name)
    tokens, real = padded(sequences(), model.config.pad_token_id)
    with torch.no_grad():
        expected = model(tokens, attention_mask=real.long()).last_hidden_state
        ours = encoder.read(sequences())
    assert [len(states) for states in ours] == list(LENGTHS)
    assert (torch.cat(ours) - expected[real]).abs().max() < 1e-4
    assert expected.abs().max() > 0.5  # the comparison is not one of zeros


@pytest.mark.parametrize("name", ENCODERS)
def test_gradients_equal_the_reference(name: str) -> None:
    model, encoder = make_encoder(name), load(name).requires_grad_(True)
    tokens, real = padded(sequences(), model.config.pad_token_id)
    weights = torch.randn(sum(LENGTHS), 48, generator=torch.Generator().manual_seed(2)) / 48
    states = model(tokens, attention_mask=real.long()).last_hidden_state
    torch.autograd.backward((states[real] * weights).sum())
    torch.autograd.backward((torch.cat(encoder.read(sequences())) * weights).sum())
    ours = {k: p.grad for k, p in encoder.named_parameters()}
    theirs = {k: p.grad for k, p in model.named_parameters()}
    compared = 0
    for part in encoder_parts(encoder.config):
        grad = ours[part.ours]
        assert grad is not None
        expected = torch.cat([theirs[n.partition(".")[2]] for n in part.theirs])
        expected = expected.T if part.transposed else expected
        assert (grad - expected).abs().max() < 1e-4, part.ours
        compared += 1
    assert compared == len(ours)
    assert max(float(g.abs().max()) for g in ours.values() if g is not None) > 1e-2


def test_a_sequence_does_not_depend_on_its_neighbours() -> None:
    encoder = load("bert")
    together = encoder.read(sequences())
    for ids, states in zip(sequences(), together, strict=True):
        assert (encoder.read([ids])[0] - states).abs().max() < 1e-5


@pytest.mark.parametrize("name", ENCODERS)
def test_the_declared_number_of_parameters_is_the_real_one(name: str) -> None:
    encoder = load(name)
    assert encoder.config.parameters == sum(p.numel() for p in encoder.parameters())
