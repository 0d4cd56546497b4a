"""What an adapter says of itself; what it does is held to by every network's own tests."""

from __future__ import annotations

import torch

from studiolo.nn.adapter import Adaptation, Adapter, Update


def test_ranks_and_bytes_are_those_of_the_matrices() -> None:
    one, two = (Update(torch.ones(rank, 8), torch.ones(5, rank), 2.0) for rank in (2, 3))
    assert (one.rank, two.rank) == (2, 3)
    adapter = Adapter("a", "0" * 64, {("blocks.0.mlp.up", 0): one, ("blocks.0.mlp.up", 1): two})
    assert adapter.nbytes == 4 * (2 + 3) * (8 + 5)


def test_two_adaptations_of_one_adapter_are_the_same() -> None:
    """Whatever their form: a digest stands for the files."""
    assert Adaptation("a", "0" * 64, object()) == Adaptation("a", "0" * 64, object())
    assert Adaptation("a", "0" * 64, None) != Adaptation("a", "1" * 64, None)
