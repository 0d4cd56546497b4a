"""Norms against their formulas, and in half precision."""

from __future__ import annotations

import torch

from studiolo.nn.norm import Norm


def test_rms_and_layer_norm_are_their_formulas() -> None:
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(0)) * 5
    weight = torch.linspace(0.5, 2.0, 8)
    rms, layer = Norm(8, 1e-6), Norm(8, 1e-6, "layer")
    with torch.no_grad():
        rms.weight.copy_(weight)
        layer.weight.copy_(weight)
        expected = weight * x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        centred = x - x.mean(-1, keepdim=True)
        scaled = weight * centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        assert torch.allclose(rms(x), expected, atol=1e-6)
        assert torch.allclose(layer(x), scaled, atol=1e-5)


def test_half_precision_is_normalised_in_single() -> None:
    x = torch.full((1, 8), 3e4, dtype=torch.float16)  # whose square overflows float16
    out = Norm(8, 1e-6)(x)
    assert out.dtype == torch.float16
    assert torch.equal(out, torch.ones(1, 8, dtype=torch.float16))
