from __future__ import annotations

from pathlib import Path

import pytest
import torch

from studiolo.bundle.checkpoint import Checkpoint


def test_tensors_are_read_by_name_and_anew_each_time() -> None:
    asked: list[str] = []

    def read(name: str) -> torch.Tensor:
        asked.append(name)
        return torch.zeros(2)

    checkpoint = Checkpoint(Path("model"), {}, {}, ("a", "b"), read)
    assert checkpoint.tensor("a").shape == checkpoint.tensor("a").shape == (2,)
    assert asked == ["a", "a"]
    with pytest.raises(KeyError, match="c"):
        checkpoint.tensor("c")
