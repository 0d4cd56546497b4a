r"""How gradients move weights: AdamW, and AdamW beside Muon.

AdamW: Kingma & Ba 2015 with the decoupled decay of Loshchilov & Hutter 2019, as PyTorch's fused
kernel, which makes one pass over memory. Muon (:mod:`studiolo.training.muon`) takes the matrices
between hidden states; embeddings, the head, norms and biases are AdamW's (Jordan et al. 2024).
An optimiser's state is tensors by name, so that a checkpoint needs no pickle. Knows parameters
by name; does not know losses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from studiolo.training.shards import whole


class Optimiser(Protocol):
    """What the loop needs: gradients are where ``backward`` has put them."""

    def step(self, factor: float) -> None:
        """Move the weights; ``factor``: of the peak rate."""

    def state(self) -> dict[str, Tensor]:
        """What :meth:`restore` needs, by name."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a :meth:`state`."""


class AdamW:
    """Over ``parameters`` by name; only those of two dimensions decay."""

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        *,
        rate: float,
        betas: tuple[float, float],
        weight_decay: float,
        epsilon: float = 1e-8,
    ) -> None:
        self.rate, self.parameters = rate, parameters
        decayed = [p for p in parameters.values() if p.ndim >= 2]
        others = [p for p in parameters.values() if p.ndim < 2]
        groups = [
            {"params": group, "weight_decay": decay}
            for group, decay in ((decayed, weight_decay), (others, 0.0))
            if group
        ]
        self._inner = torch.optim.AdamW(groups, lr=rate, betas=betas, eps=epsilon, fused=True)
        for parameter in parameters.values():
            self._inner.state[parameter] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }

    def step(self, factor: float) -> None:
        """As :meth:`Optimiser.step`."""
        for group in self._inner.param_groups:
            group["lr"] = self.rate * factor
        self._inner.step()

    def state(self) -> dict[str, Tensor]:
        """As :meth:`Optimiser.state`; shares memory with what is in use."""
        return {
            f"{name}.{kind}": tensor
            for name, parameter in self.parameters.items()
            for kind, tensor in self._inner.state[parameter].items()
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """As :meth:`Optimiser.restore`."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])


class Together:
    """Several optimisers as one; ``parts`` by name."""

    def __init__(self, parts: Mapping[str, Optimiser]) -> None:
        self.parts = parts

    def step(self, factor: float) -> None:
        """As :meth:`Optimiser.step`."""
        for part in self.parts.values():
            part.step(factor)

    def state(self) -> dict[str, Tensor]:
        """As :meth:`Optimiser.state`."""
        return {
            f"{kind}.{name}": tensor
            for kind, part in self.parts.items()
            for name, tensor in part.state().items()
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """As :meth:`Optimiser.restore`."""
        for kind, part in self.parts.items():
            prefix = f"{kind}."
            part.restore(
                {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
            )


def clip(parameters: Sequence[nn.Parameter], most: float | None) -> Tensor:
    """Scale all gradients so that their common norm is at most ``most``; the norm before that.

    Of gradients that are split over processes the norm is that of the whole.
    """
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = whole(torch.nn.utils.get_total_norm(grads, foreach=True))
    if most is not None:
        torch.nn.utils.clip_grads_with_norm_(parameters, most, norm, foreach=True)
    return norm
