"""The encoder family: one step makes every vector, whoever else is in it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from studiolo.bundle.layout import load_encoder
from studiolo.bundle.sentence_transformers import SentenceSettings
from studiolo.errors import ContextOverflowError, InvalidRequestError, MalformedFileError
from studiolo.family.encoder import EncodeProgress, EncodeRequest, TextEncoder, batches
from studiolo.nn.config import EncoderConfig
from studiolo.nn.encoder import Encoder
from studiolo.runtime.loop import steps
from tests.encoders import encoder_checkpoint, make_encoder


def family(**settings: Any) -> TextEncoder:
    source = encoder_checkpoint(make_encoder("bert"))
    return TextEncoder(load_encoder(source, SentenceSettings(**settings)))


def begun(model: TextEncoder, sequences: Sequence[Sequence[int]]) -> list[EncodeProgress]:
    return [model.begin(EncodeRequest(tuple(ids)), torch.Generator()) for ids in sequences]


def random_sequences(count: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(3)
    lengths = torch.randint(1, 41, (count,), generator=generator).tolist()
    return [torch.randint(0, 97, (n,), generator=generator).tolist() for n in lengths]


def test_one_step_makes_every_vector_and_neighbours_change_none() -> None:
    model = family()
    sequences = random_sequences(150)  # several batches
    assert sum(map(len, sequences)) > 2048
    progresses = begun(model, sequences)
    assert all(p.preview() is None and p.least == p.demand for p in progresses)
    assert [p.demand for p in progresses] == [len(ids) for ids in sequences]
    assert len(list(steps(model, progresses))) == 1
    assert all(p.done for p in progresses)
    for ids, progress in zip(sequences, progresses, strict=True):
        (alone,) = begun(model, [ids])
        assert model.advance([alone], [len(ids)]) == {}
        vector = model.finish(progress)
        assert vector.dtype == torch.float32
        assert (vector - model.finish(alone)).abs().max() < 1e-6
        assert abs(float(vector.norm()) - 1) < 1e-6


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("normalise", [True, False])
def test_pooling_and_normalising(pooling: str, normalise: bool) -> None:
    model = family(pooling=pooling, normalise=normalise)
    assert isinstance(model.network, Encoder)
    ids = [5, 9, 40, 3, 77]
    hidden = model.network.read([ids])[0]
    expected = {"mean": hidden.sum(0) / 5, "cls": hidden[0], "max": hidden.max(0).values}[pooling]
    if normalise:
        expected = expected / expected.norm()
    (progress,) = begun(model, [ids])
    model.advance([progress], [5])
    assert torch.allclose(model.finish(progress), expected, atol=1e-6)


def test_what_cannot_be_read_is_refused_at_once() -> None:
    model = family(max_tokens=20)
    assert model.weigh(EncodeRequest((1,) * 20)) == 4 * 48
    for tokens, error, message in (
        ((), InvalidRequestError, "none"),
        ((1, 97), InvalidRequestError, "token 97 is outside the vocabulary of 97"),
        ((1, -1), InvalidRequestError, "token -1"),
        ((1,) * 23, ContextOverflowError, r"23 tokens.*20 \(3 too many\)"),
    ):
        for refuse in (model.weigh, lambda request: model.begin(request, torch.Generator())):
            with pytest.raises(error, match=message):
                refuse(EncodeRequest(tokens))


def test_what_was_cut_short_cannot_be_taken_for_a_vector() -> None:
    model = family()
    (progress,) = begun(model, [[5, 6]])
    assert bool(model.finish(progress).isnan().all())


class Broken:
    """A network whose numbers for token 13 are not finite."""

    def __init__(self, config: EncoderConfig) -> None:
        self.config = config

    def read(self, sequences: Sequence[Sequence[int]]) -> list[Tensor]:
        return [
            torch.full((len(ids), self.config.width), torch.inf if 13 in ids else 1.0)
            for ids in sequences
        ]


def test_a_vector_that_is_not_finite_fails_alone() -> None:
    model = TextEncoder(Broken(family().config))
    progresses = begun(model, [[1, 2], [13], [3]])
    failed = model.advance(progresses, [2, 1, 1])
    assert list(failed) == [1]
    assert isinstance(failed[1], MalformedFileError)
    assert [p.done for p in progresses] == [True, False, True]
    expected = F.normalize(torch.ones(48), dim=0)
    assert torch.allclose(model.finish(progresses[2]), expected)


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 100))
def test_batches_hold_each_place_once_sorted_and_within_the_budget(
    lengths: list[int], budget: int
) -> None:
    groups = batches(lengths, budget)
    order = [i for group in groups for i in group]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths, reverse=True)
    for group in groups:
        assert group
        assert len(group) == 1 or sum(lengths[i] for i in group) <= budget
    # Two neighbouring groups would not fit into one.
    for a, b in pairwise(groups):
        assert sum(lengths[i] for i in a) + lengths[b[0]] > budget
