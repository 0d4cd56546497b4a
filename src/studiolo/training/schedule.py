"""How a learning rate moves over a run: pure functions of the step, as factors of its peak.

All begin with a linear warm-up and are 1 at their peak. Cosine: Loshchilov & Hutter 2017.
Warm-up, stable, decay (WSD): Hu et al. 2024 (MiniCPM); its linear decay to zero: Hägele et al.
2024. Knows steps; does not know optimisers or rates.
"""

from __future__ import annotations

import math
from typing import Literal

Kind = Literal["constant", "cosine", "wsd"]


def factor(
    kind: Kind, step: int, steps: int, *, warmup: int, decay: float = 0.5, final: float = 0.0
) -> float:
    """The factor, 0 to 1, on the peak rate in ``step`` (0 to ``steps`` - 1).

    ``warmup``: steps of linear rise, below ``steps``. ``decay``: part of all steps over which
    ``wsd`` falls. ``final``: what ``cosine`` and ``wsd`` fall to.
    """
    if step < warmup:
        return (step + 1) / warmup
    match kind:
        case "constant":
            return 1.0
        case "cosine":
            done = (step - warmup) / max(1, steps - warmup)
            return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * done))
        case "wsd":
            falling = max(1, round(decay * steps))
            return final + (1 - final) * min(1.0, (steps - step) / falling)
