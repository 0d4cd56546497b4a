r"""Low-rank updates in training: LoRA (Hu et al. 2021) over a decoder whose weights stay.

.. math:: y = x (W + A B), \qquad A \in \mathbb R^{inputs \times r}
          \sim \mathcal N(0, 1 / inputs), \quad B \in \mathbb R^{r \times outputs} = 0

for every product of every block. Notable choices. *No alpha*: AdamW's steps do not depend on a
gradient's size, so a factor on :math:`A B` is a factor on B's rate, and that is set instead.
*Products that are fused share an A*: queries, keys and values read the same vector; a file has it
once for each, so that others read the same update. Knows decoders; does not know files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from studiolo.nn.adapter import Site, Update
from studiolo.nn.decoder import Decoder
from studiolo.nn.linear import Linear


def low_rank(decoder: Decoder, rank: int, seed: int) -> dict[str, nn.Parameter]:
    """Freeze ``decoder`` and put updates beside its products: those parameters, by name."""
    rng = torch.Generator().manual_seed(seed)
    decoder.requires_grad_(False)
    found: dict[str, nn.Parameter] = {}
    for name, linear in _products(decoder).items():
        inputs, outputs = linear.weight.shape
        down = torch.empty(inputs, rank).normal_(0, inputs**-0.5, generator=rng)
        pair = (
            nn.Parameter(down.to(decoder.device)),
            nn.Parameter(torch.zeros(rank, outputs, device=decoder.device)),
        )
        linear.update = cast(tuple[Tensor, Tensor], pair)
        found[f"{name}.down"], found[f"{name}.up"] = pair
    return found


def updates(decoder: Decoder, parameters: Mapping[str, Tensor]) -> dict[Site, Update]:
    """What :func:`low_rank` has become, by site, on the CPU."""
    found: dict[Site, Update] = {}
    for block in range(len(decoder.blocks)):
        for product, (_, sizes) in decoder.config.products.items():
            name = f"blocks.{block}.{product}"
            down = parameters[f"{name}.down"].detach().float().cpu().T.contiguous()
            up = parameters[f"{name}.up"].detach().float().cpu()
            for i, part in enumerate(torch.split(up, list(sizes), dim=1)):
                found[name, i] = Update(down, part.T.contiguous(), 1.0)
    return found


@contextmanager
def without(decoder: Decoder) -> Iterator[Decoder]:
    """Within, ``decoder`` is as it was before :func:`low_rank`."""
    worn = {linear: linear.update for linear in _products(decoder).values()}
    try:
        for linear in worn:
            linear.update = None
        yield decoder
    finally:
        for linear, update in worn.items():
            linear.update = update


@torch.no_grad()
def merge(decoder: Decoder) -> None:
    """Add every update to its weight, and take it away."""
    for linear in _products(decoder).values():
        if linear.update is not None:
            down, up = linear.update
            linear.weight.addmm_(down, up)
            linear.update = None


def _products(decoder: Decoder) -> dict[str, Linear]:
    names = [f"blocks.{i}.{p}" for i in range(len(decoder.blocks)) for p in decoder.config.products]
    return {name: cast(Linear, decoder.get_submodule(name)) for name in names}
