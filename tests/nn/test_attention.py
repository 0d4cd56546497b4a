"""Which keys a query sees, drawn out by hand."""

from __future__ import annotations

import torch

from studiolo.nn.attention import Visibility, visibility

CPU = torch.device("cpu")


def rows(sight: Visibility) -> list[str]:
    assert sight.mask is not None
    return ["".join("x" if seen else "." for seen in row) for row in sight.mask[-1, 0]]


def test_plain_causality_needs_no_mask() -> None:
    assert visibility(1, 5, 0, None, None, CPU).mask is None
    assert visibility(1, 5, 0, 5, None, CPU).mask is None


def test_a_window_slides() -> None:
    assert rows(visibility(1, 4, 0, 2, None, CPU)) == ["x...", "xx..", ".xx.", "..xx"]


def test_new_tokens_see_the_cached_past() -> None:
    assert rows(visibility(1, 2, 3, None, None, CPU)) == ["xxxx.", "xxxxx"]
    assert rows(visibility(1, 2, 3, 2, None, CPU)) == ["..xx.", "...xx"]


def test_padding_is_seen_by_nobody_but_itself() -> None:
    real = torch.tensor([[False, True, True]])
    assert rows(visibility(1, 3, 0, None, real, CPU)) == ["x..", ".x.", ".xx"]
