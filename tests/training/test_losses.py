from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from studiolo.errors import InvalidRequestError
from studiolo.training.losses import (
    IGNORED,
    fused_cross_entropy,
    fused_distillation,
    token_surprise,
)


def case(rows: int, width: int, vocabulary: int, scale: float = 1.0) -> tuple[Tensor, ...]:
    rng = torch.Generator().manual_seed(rows * vocabulary)
    hidden = torch.randn(rows, width, generator=rng) * scale
    weight = torch.randn(vocabulary, width, generator=rng)
    targets = torch.randint(vocabulary, (rows,), generator=rng)
    return hidden.requires_grad_(), weight.requires_grad_(), targets


def plain(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(hidden, weight), targets, ignore_index=IGNORED)


@pytest.mark.parametrize("chunk", [1, 7 * 11, 10_000_000])
@pytest.mark.parametrize("left_out", [0, 5])
def test_loss_and_gradients_are_those_of_pytorch(chunk: int, left_out: int) -> None:
    hidden, weight, targets = case(23, 8, 11)
    targets[:left_out] = IGNORED
    loss = fused_cross_entropy(hidden, weight, targets, chunk=chunk)
    reference = plain(hidden, weight, targets)
    torch.testing.assert_close(loss, reference)
    ours = torch.autograd.grad(loss * 3, (hidden, weight))
    theirs = torch.autograd.grad(reference * 3, (hidden, weight))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)
    assert bool((ours[0][:left_out] == 0).all())


def test_great_logits_do_not_overflow() -> None:
    hidden, weight, targets = case(9, 8, 11, scale=1e4)
    loss = fused_cross_entropy(hidden, weight, targets)
    torch.testing.assert_close(loss, plain(hidden, weight, targets))
    assert bool(torch.isfinite(torch.autograd.grad(loss, weight)[0]).all())


def test_a_weight_alone_or_nothing_may_want_gradients() -> None:
    hidden, weight, targets = case(9, 8, 11)
    loss = fused_cross_entropy(hidden.detach(), weight, targets)
    (ours,) = torch.autograd.grad(loss, weight)
    (theirs,) = torch.autograd.grad(plain(hidden, weight, targets), weight)
    torch.testing.assert_close(ours, theirs)
    assert not fused_cross_entropy(hidden.detach(), weight.detach(), targets).requires_grad


def test_autocast_multiplies_in_bfloat16_and_sums_in_float32() -> None:
    hidden, weight, targets = case(64, 8, 11)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = fused_cross_entropy(hidden, weight, targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, plain(hidden, weight, targets), rtol=2e-2, atol=2e-2)
    (grad,) = torch.autograd.grad(loss, weight)
    assert grad.dtype == torch.float32


def test_no_more_logits_are_held_than_asked() -> None:
    seen: list[int] = []

    class Spy(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            result = func(*args, **(kwargs or {}))
            if isinstance(result, Tensor):
                seen.append(result.numel())
            return result

    hidden, weight, targets = case(512, 4, 300)
    with Spy():  # type: ignore[no-untyped-call]
        fused_cross_entropy(hidden, weight, targets, chunk=3_000).backward()  # type: ignore[no-untyped-call]
    assert max(seen) <= 3_000
    assert len(seen) > 50


def test_nothing_to_predict_is_said() -> None:
    hidden, weight, targets = case(4, 8, 11)
    with pytest.raises(InvalidRequestError, match="nothing to predict"):
        fused_cross_entropy(hidden, weight, targets.fill_(IGNORED))


@pytest.mark.parametrize("chunk", [1, 7 * 11, 10_000_000])
def test_each_tokens_surprise_and_its_gradients_are_those_of_pytorch(chunk: int) -> None:
    hidden, weight, targets = case(23, 8, 11)
    targets[3:7] = IGNORED
    found = token_surprise(hidden, weight, targets, chunk=chunk)
    logits = F.linear(hidden, weight)
    reference = F.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="none")
    torch.testing.assert_close(found, reference)
    scale = torch.linspace(-2, 2, 23)  # some more, some less likely, as in DPO and GRPO
    ours = torch.autograd.grad((found * scale).sum(), (hidden, weight))
    theirs = torch.autograd.grad((reference * scale).sum(), (hidden, weight))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 7 * 11, 10_000_000])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_distillation_and_its_gradients_are_those_of_pytorch(
    chunk: int, temperature: float
) -> None:
    hidden, weight, _ = case(23, 8, 11)
    taught, known = (each.detach() for each in case(23, 5, 11)[:2])
    loss = fused_distillation(
        hidden, weight, (taught, known), temperature=temperature, chunk=chunk
    )  # fmt: skip
    student = (F.linear(hidden, weight) / temperature).log_softmax(1)
    teacher = (F.linear(taught, known) / temperature).log_softmax(1)
    apart = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
    reference = temperature**2 * apart
    torch.testing.assert_close(loss, reference)
    ours = torch.autograd.grad(loss * 3, (hidden, weight))
    theirs = torch.autograd.grad(reference * 3, (hidden, weight))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)
    same = fused_distillation(taught, known, (taught, known))
    assert same.item() == pytest.approx(0, abs=1e-6)


def test_mostly_questions_cost_no_scores() -> None:
    hidden, weight, targets = case(40, 8, 11)
    targets[:30] = IGNORED
    loss = fused_cross_entropy(hidden, weight, targets)
    torch.testing.assert_close(loss, plain(hidden, weight, targets))
    ours = torch.autograd.grad(loss, (hidden, weight))
    theirs = torch.autograd.grad(plain(hidden, weight, targets), (hidden, weight))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)
