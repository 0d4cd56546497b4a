"""Random walks through a constraint: what a model that knows nothing would write."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

import numpy as np
import torch

from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.sampler.guide import CompiledConstraint

ARITHMETIC = """
start: sum
sum: product (("+" | "-") product)*
product: factor ("*" factor)*
factor: NUMBER | "(" sum ")"
NUMBER: /[1-9][0-9]{0,2}/
"""


def is_arithmetic(text: str) -> bool:
    """Whether Python reads a sum of products, of numbers that begin with no zero."""
    if re.search(r"[^0-9+\-*()]|[-+*(]\)|\(\)|\b0|[0-9]{4}|[-+*(][-+*]|^[-+]|\*\*", text):
        return False
    return isinstance(ast.parse(text, mode="eval").body, ast.BinOp | ast.Constant)


def walk(
    compiled: CompiledConstraint,
    tokenizer: Tokenizer,
    seed: int,
    limit: int = 400,
    haste: float = 0.0,
) -> str | None:
    """The text of a walk that takes any allowed token, each as likely; None if it has no end.

    ``haste``: the chance of ending where the text may end, beyond the end token's own.
    """
    rng = np.random.default_rng(seed)
    ends = tokenizer.eos_ids
    guide = compiled.begin(tokenizer.vocab_size, ends)
    taken: list[int] = []
    while not guide.done:
        allowed = np.flatnonzero(torch.isfinite(guide.restrict(torch.zeros(tokenizer.vocab_size))))
        may_end = not ends.isdisjoint(allowed.tolist())
        token = int(rng.choice(allowed))
        if token in ends or (may_end and rng.random() < haste):
            break
        if len(taken) == limit:
            return None
        taken.append(token)
        guide.take(token)
    return b"".join(tokenizer.token_bytes(each) for each in taken).decode("utf-8")


Check = Callable[[str], bool]
