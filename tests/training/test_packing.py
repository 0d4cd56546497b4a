from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from studiolo.training.losses import IGNORED
from studiolo.training.packing import Example, Packs, packed, rows


def example(length: int, first: int = 1) -> Example:
    ids = np.arange(first, first + length, dtype=np.int64)
    return Example(ids, ids >= first + length // 2)


@given(st.lists(st.integers(1, 50), max_size=80), st.integers(50, 70))
def test_everything_is_packed_once_and_nothing_is_overfull(lengths: list[int], room: int) -> None:
    blocks = packed(lengths, room)
    assert sorted(i for block in blocks for i in block) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in block) <= room for block in blocks)
    # No two blocks could have been one, but for the best fit's choice of which: less than
    # half full is at most one.
    assert sum(2 * sum(lengths[i] for i in block) <= room for block in blocks) <= 1


def test_a_block_holds_whole_examples_with_their_own_targets() -> None:
    examples = [example(5, 10), example(9, 20), example(4, 40)]
    (batch,) = Packs(examples, block=16, batch=1, seed=1).sweep()
    assert batch.documents is not None
    assert batch.inputs.shape == (1, 15)  # no longer than its contents
    for number, index in enumerate([1, 0, 2]):  # the longest first
        at = batch.documents[0] == number
        given = examples[index]
        assert batch.inputs[0][at].tolist() == given.ids[:-1].tolist()
        wanted = np.where(given.counts, given.ids, IGNORED)[1:]
        assert batch.targets[0][at].tolist() == wanted.tolist()


def test_padding_is_nobodys_and_is_not_learnt() -> None:
    packs = Packs([example(12), example(16, 30)], block=16, batch=2, seed=1)
    (batch,) = packs.sweep()
    assert batch.documents is not None
    padding = batch.documents == -1
    assert int(padding.sum()) == 4
    assert bool((batch.targets[padding] == IGNORED).all())
    assert batch.tokens == 30
    assert batch.weight == 6 + 8


def test_an_epoch_has_every_block_once_and_epochs_differ() -> None:
    packs = Packs([example(16, 100 * i) for i in range(6)], block=15, batch=2, seed=3)
    epochs = [
        [
            int(first)
            for number in range(3 * e, 3 * e + 3)
            for first in packs.at(number).inputs[:, 0]
        ]
        for e in range(2)
    ]
    assert [sorted(epoch) for epoch in epochs] == [[100 * i for i in range(6)]] * 2
    assert epochs[0] != epochs[1]
    again = packs.at(1)
    assert torch.equal(again.inputs, packs.at(1).inputs)


def test_rows_stand_alone() -> None:
    batch = rows([example(4, 10), example(6, 20)])
    assert batch.documents is None
    assert batch.inputs.tolist() == [[10, 11, 12, 0, 0], [20, 21, 22, 23, 24]]
    assert batch.targets.tolist() == [
        [IGNORED, 12, 13, IGNORED, IGNORED],
        [IGNORED, IGNORED, 23, 24, 25],
    ]
