r"""Muon: momentum whose singular values are all made one (Jordan et al. 2024).

.. math:: m \leftarrow \mu m + (1 - \mu) g, \qquad
          W \leftarrow W - \eta \left( \lambda W + s\, \mathrm{polar}(\mu m + (1 - \mu) g) \right),
          \qquad s = \sqrt{\max(1, \mathrm{outputs} / \mathrm{inputs})}

for matrices between hidden states alone. The polar factor :math:`U V^\top` of
:math:`U \Sigma V^\top` comes of a few Newton-Schulz steps, with their own best coefficients each
(Polar Express, Amsel et al. 2025).

Notable choices: matrices of one shape are done together; and the steps are done on the small Gram
matrix :math:`X X^\top` instead of :math:`X`, whose polynomials commute, so that the long side
enters two products only instead of two at each step. That wants float32: the Gram matrix squares
the singular values. Of matrices whose rows are split over processes each process makes some whole
and orthogonalises those. Knows matrices by name; does not know networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from studiolo.training.shards import local, on_whole, stacked

COEFFICIENTS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)
"""Of Polar Express for five steps, with its safety factor of 2 % in the norm."""


def orthogonalise(matrices: Tensor) -> Tensor:
    """The nearest matrices with orthonormal rows or columns, about: ``[n, r, c]``, float32.

    Singular values from a thousandth of the norm up come to lie within about 0.8 to 1.2.
    """
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonalise(matrices.mT).mT
    norm = torch.linalg.matrix_norm(matrices, keepdim=True)
    x = matrices / (norm * 1.02 + 1e-7)
    gram = torch.bmm(x, x.mT)
    product: Tensor | None = None
    for step, (a, b, c) in enumerate(COEFFICIENTS, 1):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = factor if product is None else torch.bmm(factor, product)
        if step < len(COEFFICIENTS):
            gram = torch.bmm(torch.bmm(factor, gram), factor)
    return x if product is None else torch.bmm(product, x)


@dataclass(frozen=True)
class Matrix:
    """A parameter ``[inputs, outputs]``, and into which outputs it is divided, if it is fused."""

    parameter: nn.Parameter
    outputs: tuple[int, ...]


class Muon:
    """Over ``matrices`` by name; each part of a fused one is a matrix of its own."""

    def __init__(
        self, matrices: Mapping[str, Matrix], *, rate: float, momentum: float, weight_decay: float
    ) -> None:
        self.rate, self.momentum, self.weight_decay = rate, momentum, weight_decay
        self.matrices = matrices
        self._groups: dict[tuple[int, int], list[tuple[Matrix, int]]] = {}
        for matrix in matrices.values():
            for part, outputs in enumerate(matrix.outputs):
                shape = (matrix.parameter.shape[0], outputs)
                self._groups.setdefault(shape, []).append((matrix, part))
        self._weights = {
            shape: [_part(matrix, local(matrix.parameter.detach()), i) for matrix, i in group]
            for shape, group in self._groups.items()
        }
        self._means = {
            shape: torch.stack([torch.zeros_like(part, dtype=torch.float32) for part in parts])
            for shape, parts in self._weights.items()
        }

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Move every matrix against its gradient; ``factor``: of the peak rate."""
        rate = self.rate * factor
        for shape, group in self._groups.items():
            grads = torch.stack([_part(matrix, _grad(matrix), i) for matrix, i in group]).float()
            mean = self._means[shape].lerp_(grads, 1 - self.momentum)
            ahead = grads.lerp_(mean, self.momentum)
            update = on_whole(orthogonalise, ahead, group[0][0].parameter)
            scale = max(1.0, shape[1] / shape[0]) ** 0.5
            weights = self._weights[shape]
            if self.weight_decay:
                torch._foreach_mul_(weights, 1 - rate * self.weight_decay)
            torch._foreach_add_(weights, list(update.unbind()), alpha=-rate * scale)

    def state(self) -> dict[str, Tensor]:
        """What :meth:`restore` needs, by name; shares memory with what is in use."""
        return {
            f"momentum.{r}x{c}": stacked(mean, self._groups[r, c][0][0].parameter)
            for (r, c), mean in self._means.items()
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a :meth:`state`."""
        for name, mean in self.state().items():
            mean.copy_(state[name])


def _grad(matrix: Matrix) -> Tensor:
    grad = matrix.parameter.grad
    return local(torch.zeros_like(matrix.parameter) if grad is None else grad)


def _part(matrix: Matrix, whole: Tensor, part: int) -> Tensor:
    return torch.split(whole, list(matrix.outputs), dim=1)[part]
