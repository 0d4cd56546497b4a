from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from studiolo.training.muon import COEFFICIENTS, Matrix, Muon, orthogonalise


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 16, 40), (2, 40, 16), (1, 1, 5)])
def test_it_is_the_polynomial_of_the_singular_values(shape: tuple[int, int, int]) -> None:
    """Plain steps on the matrix itself, in float64, give the same."""
    matrices = random(*shape)
    u, s, v = torch.linalg.svd(matrices.double(), full_matrices=False)
    values = s / (s.square().sum(-1, keepdim=True).sqrt() * 1.02 + 1e-7)
    for a, b, c in COEFFICIENTS:
        values = a * values + b * values**3 + c * values**5
    expected = u @ torch.diag_embed(values) @ v
    torch.testing.assert_close(orthogonalise(matrices).double(), expected, rtol=1e-3, atol=1e-4)


def test_singular_values_come_to_lie_about_one() -> None:
    found = torch.linalg.svdvals(orthogonalise(random(4, 64, 176)))
    assert found.min() > 0.75
    assert found.max() < 1.25


def test_small_singular_values_are_raised_and_nothing_breaks_on_none() -> None:
    u, _, v = torch.linalg.svd(random(1, 24, 24))
    spread = torch.logspace(0, -3, 24)
    found = torch.linalg.svdvals(orthogonalise(u @ torch.diag_embed(spread[None]) @ v))
    assert found.min() > 0.5
    assert bool((orthogonalise(torch.zeros(2, 8, 8)) == 0).all())
    huge = orthogonalise(random(1, 8, 8) * 1e20)
    assert bool(torch.isfinite(huge).all())


def fused(weight_decay: float = 0.0) -> tuple[nn.Parameter, Muon]:
    weight = nn.Parameter(random(8, 20))
    weight.grad = random(8, 20) * 3
    matrices = {"w": Matrix(weight, (8, 12))}
    return weight, Muon(matrices, rate=0.1, momentum=0.5, weight_decay=weight_decay)


def test_parts_of_a_fused_matrix_move_alone_each_by_its_own_shape() -> None:
    weight, muon = fused()
    assert weight.grad is not None
    before, grad = weight.detach().clone(), weight.grad.clone()
    muon.step(0.5)
    # Nesterov's look ahead: g + mu (m - g), with m = (1 - mu) g.
    ahead = torch.split(0.5 * grad + 0.5 * (0.5 * grad), [8, 12], dim=1)
    for i, scale in enumerate([1.0, 1.5**0.5]):
        expected = (
            torch.split(before, [8, 12], dim=1)[i] - 0.05 * scale * orthogonalise(ahead[i][None])[0]
        )
        torch.testing.assert_close(torch.split(weight.detach(), [8, 12], dim=1)[i], expected)


def test_decay_shrinks_by_the_rate() -> None:
    one, plain = fused()
    other, decayed = fused(0.1)
    before = one.detach().clone()
    plain.step(1.0)
    decayed.step(1.0)
    torch.testing.assert_close(one.detach() - other.detach(), before * 0.1 * 0.1)


def test_a_restored_one_goes_on_to_the_bit() -> None:
    weight, muon = fused()
    muon.step(1.0)
    saved = {name: tensor.clone() for name, tensor in muon.state().items()}
    kept = weight.detach().clone()
    muon.step(1.0)
    other, fresh = fused()
    with torch.no_grad():
        other.copy_(kept)
    fresh.restore(saved)
    fresh.step(1.0)
    assert torch.equal(other, weight)


def test_a_matrix_without_gradient_decays_alone() -> None:
    weight, muon = fused(0.5)
    weight.grad = None
    before = weight.detach().clone()
    muon.step(1.0)
    torch.testing.assert_close(weight.detach(), before * 0.95)
