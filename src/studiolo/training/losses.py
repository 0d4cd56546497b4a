r"""Cross-entropy over a vocabulary without ever holding all of its logits.

.. math:: \ell = \frac1n \sum_i \log \sum_v e^{z_{iv}} - z_{i t_i}, \qquad
          \frac{\partial \ell}{\partial z_{iv}} = \frac{p_{iv} - [v = t_i]}{n}

with :math:`z = h W^\top`. The gradient of the logits is known as soon as they are, so both passes
are done chunk of rows by chunk of rows in the forward one: a chunk's logits become its gradient
in place, then those of :math:`h` and :math:`W`, and are forgotten (as Liger Kernel does on GPUs;
Hsu et al. 2024). Knows vectors and targets, not what they stand for.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from studiolo.errors import InvalidRequestError

CHUNK = 1 << 22
"""Logits held at once; 16 MB of float32."""
IGNORED = -100


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, rows: int) -> Tensor:
        kept = targets != IGNORED
        count = kept.sum()
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        total = torch.zeros((), device=hidden.device)
        grad_hidden = torch.empty_like(hidden) if wants_hidden else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            h, real = hidden[part], kept[part]
            answers = targets[part].masked_fill(~real, 0).unsqueeze(1)
            logits = torch.mm(h, weight.T).float()
            given = logits.gather(1, answers)
            # Shifted by the greatest, so that no exponential overflows.
            greatest = logits.amax(1, keepdim=True)
            logits.sub_(greatest).exp_()
            sums = logits.sum(1, keepdim=True)
            surprise = sums.log() + greatest - given
            total += surprise.squeeze(1)[real].sum()
            if not (wants_hidden or wants_weight):
                continue
            logits.div_(sums)
            logits.scatter_add_(1, answers, torch.full_like(given, -1.0))
            logits.mul_((real / count).unsqueeze(1))
            dlogits = logits.to(hidden.dtype)
            if grad_hidden is not None:
                torch.mm(dlogits, weight, out=grad_hidden[part])
            if grad_weight is not None:
                grad_weight.add_(torch.mm(dlogits.T, h))
        if grad_weight is not None:
            grad_weight = grad_weight.to(weight.dtype)
        ctx.save_for_backward(grad_hidden, grad_weight)
        return total / count

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (scale,) = grads
        return (
            *(None if grad is None else grad * scale.to(grad.dtype) for grad in ctx.saved_tensors),
            None,
            None,
        )


def fused_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, chunk: int = CHUNK
) -> Tensor:
    """Mean cross-entropy in nats, float32 ``[]``; differentiable once in hidden and weight.

    ``hidden``: ``[N, width]``. ``weight``: ``[V, width]``. ``targets``: int64 ``[N]``, 0 to
    V - 1, or :data:`IGNORED` for rows that do not count. ``chunk``: logits held at once. Raises
    :class:`InvalidRequestError` if no row counts.
    """
    counted = targets != IGNORED
    if not bool(counted.any()):
        raise InvalidRequestError("batch", "has nothing to predict: every target is left out")
    if 2 * int(counted.sum()) < len(targets):  # most are questions: only answers are scored
        hidden, targets = hidden[counted], targets[counted]
    hidden, weight = _cast(hidden, weight)
    rows = max(1, chunk // len(weight))
    with torch.autocast(hidden.device.type, enabled=False):
        return cast(Tensor, _Fused.apply(hidden, weight, targets, rows))  # type: ignore[no-untyped-call]


class _Surprise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, rows: int) -> Tensor:
        found = torch.zeros(len(hidden), device=hidden.device)
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            logits = torch.mm(hidden[part], weight.T).float()
            answers = targets[part].clamp(min=0).unsqueeze(1)
            found[part] = logits.logsumexp(1) - logits.gather(1, answers).squeeze(1)
        ctx.save_for_backward(hidden, weight, targets)
        ctx.rows = rows
        return found.masked_fill_(targets == IGNORED, 0.0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (scale,) = grads
        hidden, weight, targets = ctx.saved_tensors
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        scale = scale.masked_fill(targets == IGNORED, 0.0)
        grad_hidden = torch.empty_like(hidden) if wants_hidden else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        for start in range(0, len(hidden), ctx.rows):
            part = slice(start, start + ctx.rows)
            dlogits = torch.mm(hidden[part], weight.T).float().softmax(1)
            answers = targets[part].clamp(min=0).unsqueeze(1)
            dlogits.scatter_add_(1, answers, torch.full(answers.shape, -1.0, device=answers.device))
            dlogits = dlogits.mul_(scale[part].unsqueeze(1)).to(hidden.dtype)
            if grad_hidden is not None:
                torch.mm(dlogits, weight, out=grad_hidden[part])
            if grad_weight is not None:
                grad_weight.add_(torch.mm(dlogits.T, hidden[part]))
        grad_weight = None if grad_weight is None else grad_weight.to(weight.dtype)
        return grad_hidden, grad_weight, None, None


def token_surprise(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, chunk: int = CHUNK
) -> Tensor:
    """Cross-entropy of each row in nats, float32 ``[N]``, 0 where the target is left out.

    As :func:`fused_cross_entropy`, for losses that are no mean of it: the gradient of each row
    comes later, so that a chunk's logits are made again for it.
    """
    hidden, weight = _cast(hidden, weight)
    rows = max(1, chunk // len(weight))
    with torch.autocast(hidden.device.type, enabled=False):
        return cast(Tensor, _Surprise.apply(hidden, weight, targets, rows))  # type: ignore[no-untyped-call]


class _Distilled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        teacher: tuple[Tensor, Tensor],
        temperature: float,
        rows: int,
    ) -> Tensor:
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        total = torch.zeros((), device=hidden.device)
        grad_hidden = torch.empty_like(hidden) if wants_hidden else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            student = (torch.mm(hidden[part], weight.T).float() / temperature).log_softmax(1)
            wanted = (torch.mm(teacher[0][part], teacher[1].T).float() / temperature).log_softmax(1)
            weights = wanted.exp()
            total += (weights * (wanted - student)).sum()
            # T² times the loss has gradients of one size, whatever T is.
            dlogits = (student.exp_() - weights).mul_(temperature / len(hidden)).to(hidden.dtype)
            if grad_hidden is not None:
                torch.mm(dlogits, weight, out=grad_hidden[part])
            if grad_weight is not None:
                grad_weight.add_(torch.mm(dlogits.T, hidden[part]))
        grad_weight = None if grad_weight is None else grad_weight.to(weight.dtype)
        ctx.save_for_backward(grad_hidden, grad_weight)
        return total * (temperature**2 / len(hidden))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (scale,) = grads
        found = (None if g is None else g * scale.to(g.dtype) for g in ctx.saved_tensors)
        return (*found, None, None, None)


def fused_distillation(
    hidden: Tensor,
    weight: Tensor,
    teacher: tuple[Tensor, Tensor],
    *,
    temperature: float = 1.0,
    chunk: int = CHUNK,
) -> Tensor:
    r"""How far a student's next tokens are from its teacher's, float32 ``[]``, in nats.

    .. math:: \frac{T^2}{n} \sum_i \mathrm{KL}\left(p_i \,\|\, q_i\right), \quad
              p = \mathrm{softmax}(z_{teacher} / T), \quad q = \mathrm{softmax}(z_{student} / T)

    (Hinton et al. 2015, section 2). ``hidden``, ``weight``: ``[N, width]``, ``[V, width]``;
    ``teacher``: the same of the teacher, whose width may differ. Differentiable once in the first
    two; never are more than two times ``chunk`` logits held.
    """
    hidden, weight = _cast(hidden, weight)
    known = _cast(*teacher)
    rows = max(1, chunk // len(weight))
    with torch.autocast(hidden.device.type, enabled=False):
        return cast(Tensor, _Distilled.apply(hidden, weight, known, temperature, rows))  # type: ignore[no-untyped-call]


def _cast(hidden: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """To what products are made in, where that is being chosen."""
    if not torch.is_autocast_enabled(hidden.device.type):
        return hidden, weight
    dtype = torch.get_autocast_dtype(hidden.device.type)
    return hidden.to(dtype), weight.to(dtype)
