"""The product against PyTorch's own, and how it starts."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from studiolo.nn.linear import Linear


@pytest.mark.parametrize("bias", [False, True])
def test_it_is_the_product_of_the_transposed_weight(bias: bool) -> None:
    torch.manual_seed(0)
    linear = Linear(8, 5, bias=bias)
    x = torch.randn(3, 8)
    assert torch.allclose(linear(x), F.linear(x, linear.weight.T, linear.bias), atol=1e-6)
    assert (linear.bias is not None) == bias
    assert 0.2 < float(linear.weight.detach().abs().max()) <= 8**-0.5


@pytest.mark.parametrize("bias", [False, True])
def test_an_update_is_added_to_the_weight(bias: bool) -> None:
    torch.manual_seed(0)
    linear, x = Linear(8, 5, bias=bias), torch.randn(3, 8)
    down, up = torch.randn(8, 2), torch.randn(2, 5)
    before = linear(x)
    linear.update = (down, up)
    assert torch.allclose(linear(x), before + x @ (down @ up), atol=1e-5)
    linear.update = None
    assert torch.equal(linear(x), before)
