from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from studiolo.errors import InvalidRequestError
from studiolo.training.data import Blocks, TokenBatch, Tokens
from studiolo.training.losses import IGNORED


def row(count: int) -> Tokens:
    return Tokens.of(np.arange(count, dtype=np.uint32))


def test_targets_are_the_tokens_after() -> None:
    batch = Blocks(row(100), block=8, batch=3, seed=1).at(5)
    assert batch.inputs.shape == batch.targets.shape == (3, 8)
    assert torch.equal(batch.targets, batch.inputs + 1)
    assert batch.documents is None
    assert batch.inputs.dtype == torch.int64


def test_an_epoch_takes_every_block_once_and_the_next_is_cut_elsewhere() -> None:
    blocks = Blocks(row(100), block=8, batch=1, seed=1)
    epochs = [
        sorted(int(blocks.at(epoch * blocks.count + i).inputs[0, 0]) for i in range(blocks.count))
        for epoch in range(6)
    ]
    for firsts in epochs:
        assert set(np.diff(firsts)) == {8}
    assert len({firsts[0] for firsts in epochs}) > 2
    orders = [
        [int(blocks.at(e * blocks.count + i).inputs[0, 0]) for i in range(11)] for e in (0, 1)
    ]
    assert [f - min(orders[0]) for f in orders[0]] != [f - min(orders[1]) for f in orders[1]]


def test_a_batch_is_a_function_of_its_number_and_the_seed() -> None:
    one, other = (Blocks(row(500), block=8, batch=4, seed=1) for _ in range(2))
    forward = [one.at(i).inputs for i in range(60)]
    backward = [other.at(i).inputs for i in reversed(range(60))][::-1]
    assert all(torch.equal(a, b) for a, b in zip(forward, backward, strict=True))
    assert not torch.equal(forward[0], Blocks(row(500), block=8, batch=4, seed=2).at(0).inputs)


def test_a_mapped_file_gives_the_same_as_memory(tmp_path: Path) -> None:
    ids = np.random.default_rng(1).integers(0, 60_000, 1_000).astype(np.uint16)
    ids.tofile(tmp_path / "ids")
    mapped = np.memmap(tmp_path / "ids", np.uint16, "r")
    ours = Blocks(Tokens.of(mapped), block=16, batch=4, seed=3).at(7)
    assert torch.equal(ours.inputs, Blocks(Tokens.of(ids), block=16, batch=4, seed=3).at(7).inputs)
    assert Tokens.of(mapped).digest() == Tokens.of(ids.astype(np.uint32)).digest()


def test_nothing_is_predicted_across_documents() -> None:
    tokens = Tokens(np.arange(40, dtype=np.uint16), np.array([0, 5, 6, 30]))
    (batch,) = Blocks(tokens, block=12, batch=8, seed=1).sweep()
    assert batch.documents is not None
    assert batch.targets[0].tolist() == [1, 2, 3, 4, IGNORED, IGNORED, 7, 8, 9, 10, 11, 12]
    assert batch.documents[0].tolist() == [0] * 5 + [1] + [2] * 6
    assert batch.documents[1].tolist() == [0] * 12


def test_a_sweep_takes_all_in_order_or_some_spread_evenly() -> None:
    blocks = Blocks(row(101), block=10, batch=4, seed=1)
    whole = torch.cat([batch.targets for batch in blocks.sweep()]).flatten()
    assert whole.tolist() == list(range(1, 101))
    some = torch.cat([batch.inputs[:, 0] for batch in blocks.sweep(50)])
    assert some.tolist() == [0, 20, 40, 60, 80]


def test_the_end_is_kept_for_validation() -> None:
    tokens = Tokens(np.arange(100, dtype=np.uint16), np.array([0, 50, 95]))
    training, validation = tokens.split(0.1, 5)
    assert (len(training), len(validation)) == (90, 10)
    assert training.starts.tolist() == [0, 50]
    assert validation.ids[0] == 90
    assert validation.starts.tolist() == [0, 5]
    with pytest.raises(
        InvalidRequestError, match="10 tokens for validation, but one block needs 65"
    ):
        tokens.split(0.1, 65)


def test_the_digest_tells_ids_and_boundaries() -> None:
    ids = np.arange(10, dtype=np.uint16)
    assert Tokens.of(ids).digest() != Tokens(ids, np.array([0, 5])).digest()
    assert Tokens.of(ids).digest() != Tokens.of(ids[:9]).digest()


def test_on_the_same_device_nothing_is_copied() -> None:
    batch = TokenBatch(torch.zeros(1, 2), torch.zeros(1, 2))
    assert batch.to(torch.device("cpu")) is batch
