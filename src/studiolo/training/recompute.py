"""Blocks computed twice, so that less is kept: activation checkpointing (Chen et al. 2016).

Between the forward and the backward pass a block keeps its input alone; what it computed within is
computed again when its gradients are. The bits stay the same; memory for activations falls to
about one block's and every block's input, and a step takes up to a third longer. Knows decoders;
does not know why memory is short.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from studiolo.nn.decoder import Block, Decoder


def recompute(decoder: Decoder) -> None:
    """Have every block of ``decoder`` do so where gradients are wanted, from now on.

    It is not to be copied after that: the copy's blocks would compute with the weights of these.
    """
    for block in decoder.blocks:
        # In the instance, so that whatever hooks a block as a module stands outside of it.
        block.forward = partial(_forward, cast(Block, block))


def _forward(block: Block, x: Tensor, *rest: Any) -> Tensor:
    if not torch.is_grad_enabled():
        return Block.forward(block, x, *rest)
    # Nothing in a block is random, so that no random state needs to be kept.
    again: Tensor = checkpoint(
        Block.forward, block, x, *rest, use_reentrant=False, preserve_rng_state=False
    )
    return again
