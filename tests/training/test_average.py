from __future__ import annotations

import pytest
import torch

from studiolo.training.average import Average


def test_it_follows_the_closed_form() -> None:
    weight = torch.zeros(3)
    average = Average({"w": weight}, 0.9)
    expected = 0.0
    for count in range(200):
        weight.fill_(float(count))
        average.update(count)
        decay = min(0.9, (1 + count) / (10 + count))
        expected = decay * expected + (1 - decay) * count
    assert average.values["w"].tolist() == pytest.approx([expected] * 3, rel=1e-5)


def test_it_stands_in_and_gives_the_weights_back_to_the_bit() -> None:
    weight = torch.nn.Parameter(torch.randn(4, generator=torch.Generator().manual_seed(1)))
    own = weight.detach().clone()
    average = Average({"w": weight}, 0.5)
    average.values["w"].fill_(7.0)
    with average.worn():
        assert weight.tolist() == [7.0] * 4
    assert torch.equal(weight, own)
    assert average.values["w"].tolist() == [7.0] * 4
