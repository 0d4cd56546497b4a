from __future__ import annotations

import pytest
import torch
from torch import nn

from studiolo.training.muon import Matrix, Muon
from studiolo.training.optimiser import AdamW, Optimiser, Together, clip


def parameters() -> dict[str, nn.Parameter]:
    rng = torch.Generator().manual_seed(3)
    return {
        "table": nn.Parameter(torch.randn(6, 4, generator=rng)),
        "norm": nn.Parameter(torch.ones(4)),
    }


def gradients(of: dict[str, nn.Parameter], step: int) -> None:
    rng = torch.Generator().manual_seed(step)
    for parameter in of.values():
        parameter.grad = torch.randn(parameter.shape, generator=rng)


def make(of: dict[str, nn.Parameter]) -> AdamW:
    return AdamW(of, rate=0.01, betas=(0.9, 0.95), weight_decay=0.1)


def test_it_is_adamw_and_only_matrices_decay() -> None:
    """Against the formulas of the papers, written out."""
    ours = parameters()
    optimiser = make(ours)
    plain = {name: p.detach().double() for name, p in parameters().items()}
    means = {name: torch.zeros_like(p) for name, p in plain.items()}
    squares = {name: torch.zeros_like(p) for name, p in plain.items()}
    for step in range(1, 6):
        gradients(ours, step)
        rate = 0.01 * 0.5 * step
        for name, p in plain.items():
            grad = ours[name].grad
            assert grad is not None
            g = grad.double()
            means[name].lerp_(g, 1 - 0.9)
            squares[name].lerp_(g.square(), 1 - 0.95)
            if p.ndim == 2:
                p.mul_(1 - rate * 0.1)
            mean, square = means[name] / (1 - 0.9**step), squares[name] / (1 - 0.95**step)
            p.sub_(rate * mean / (square.sqrt() + 1e-8))
        optimiser.step(0.5 * step)
    for name, p in plain.items():
        torch.testing.assert_close(ours[name].detach().double(), p, rtol=1e-5, atol=1e-6)


def both(of: dict[str, nn.Parameter]) -> Together:
    muon = Muon({"table": Matrix(of["table"], (4,))}, rate=0.1, momentum=0.9, weight_decay=0.1)
    return Together({"muon": muon, "adamw": make({"norm": of["norm"]})})


@pytest.mark.parametrize("maker", [make, both])
def test_a_restored_one_goes_on_to_the_bit(maker: type[Optimiser]) -> None:
    def trained(of: dict[str, nn.Parameter], optimiser: Optimiser, first: int, last: int) -> None:
        for step in range(first, last):
            gradients(of, step)
            optimiser.step(1.0)

    whole = parameters()
    undisturbed = maker(whole)  # type: ignore[call-arg]
    trained(whole, undisturbed, 0, 6)
    halves = parameters()
    first = maker(halves)  # type: ignore[call-arg]
    trained(halves, first, 0, 3)
    saved = {name: tensor.clone() for name, tensor in first.state().items()}
    assert len(saved) == len(set(saved))
    second = maker(halves)  # type: ignore[call-arg]
    second.restore(saved)
    trained(halves, second, 3, 6)
    for name, parameter in whole.items():
        assert torch.equal(parameter, halves[name])


def test_clipping_bounds_the_common_norm_and_tells_what_it_was() -> None:
    of = parameters()
    for parameter in of.values():
        parameter.grad = torch.full_like(parameter, 2.0)
    before = (24 * 4 + 4 * 4) ** 0.5
    assert float(clip(list(of.values()), None)) == pytest.approx(before)
    assert float(clip(list(of.values()), 1.0)) == pytest.approx(before)
    assert float(clip(list(of.values()), 1.0)) == pytest.approx(1.0, rel=1e-4)
    assert float(clip(list(of.values()), 5.0)) == pytest.approx(1.0, rel=1e-4)
