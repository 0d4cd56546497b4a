"""What every contestant of ``adaptation.py`` is told and tells, and how what it made is judged.

Judged is what is deployed: packed arithmetic on the starter's own file, with the adapter beside it,
or on the bundle that came of full training.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from bench.synopses import Pair, rouge_l
from studiolo.modality.text.conversation import encode_chat
from studiolo.nn.network import Network, Piece
from studiolo.task.text import LanguageModel

LONGEST_ANSWER = 32
SHOTS = 5


@dataclass(frozen=True)
class Exercise:
    """Low-rank updates of ``rank`` from the chats in ``data``, to be left in ``out``."""

    data: str
    out: str
    rank: int
    epochs: float
    rate: float | None = None


@dataclass
class Outcome:
    """``seconds``: from the first step's beginning to the last one's end, of ``steps`` steps."""

    seconds: float
    steps: int


class Adapter(Protocol):
    """A way to make an adapter."""

    version: str

    def adapt(self, exercise: Exercise) -> Outcome:
        """Carry one out."""
        ...


@dataclass(frozen=True)
class Verdict:
    """Perplexity of held-out descriptions, of their synopses given them, and of other prose.

    ``rouge``: mean ROUGE-L of synopses that were written greedily, 0 to 1; ``scores``: of each.
    """

    descriptions: float
    synopses: float
    prose: float
    rouge: float
    scores: tuple[float, ...]


class Judge:
    """Of one model, by pairs held out. ``learnt``: pairs of the other part, for examples."""

    def __init__(self, lm: LanguageModel, learnt: Sequence[Pair]) -> None:
        self._lm, self._learnt = lm, learnt

    def verdict(
        self, held_out: Sequence[Pair], prose: str, adapter: Path | None = None, shots: int = 0
    ) -> Verdict:
        """``shots``: examples before each question."""
        lm = self._lm
        whole, length = lm.tokenizer.encode(prose), lm.config.context // 4
        others = [whole[i : i + length] for i in range(0, len(whole) - 1, length)]
        documents = [lm.tokenizer.encode(pair.description) for pair in held_out]
        scores = [self._score(pair, adapter, shots) for pair in held_out]
        return Verdict(
            descriptions=self._perplexity([(ids, 1) for ids in documents], adapter),
            synopses=self.synopses(held_out, adapter, shots),
            prose=self._perplexity([(ids, 1) for ids in others], adapter),
            rouge=sum(scores) / len(scores),
            scores=tuple(scores),
        )

    def synopses(
        self, held_out: Sequence[Pair], adapter: Path | None = None, shots: int = 0
    ) -> float:
        """Their perplexity, each with the token that ends it."""
        tokenizer, answers = self._lm.tokenizer, []
        for pair in held_out:
            before = self._before(pair, shots)
            asked = self._lm.encode_chat([*before, pair.question()])
            told = encode_chat(tokenizer, [*before, *pair.chat()], ask=False)
            end = next(i for i in range(len(asked), len(told)) if told[i] in tokenizer.eos_ids)
            answers.append((told[: end + 1], len(asked)))
        return self._perplexity(answers, adapter)

    def _score(self, pair: Pair, adapter: Path | None, shots: int) -> float:
        asked = [*self._before(pair, shots), pair.question()]
        made = self._lm.chat(asked, temperature=0, max_tokens=LONGEST_ANSWER, adapter=adapter)
        return rouge_l(made.text.strip().partition("\n")[0], pair.synopsis)

    def _before(self, pair: Pair, shots: int) -> list[dict[str, str]]:
        shown = random.Random(pair.place).sample(list(self._learnt), shots)
        return [message for each in shown for message in each.chat()]

    @torch.inference_mode()
    def _perplexity(
        self, texts: Sequence[tuple[Sequence[int], int]], adapter: Path | None
    ) -> float:
        """Of texts, each from its token of that number on."""
        network: Network[Any] = self._lm.model.network
        worn = self._lm.prepare([0], adapter=adapter).request.adapter
        total, count = 0.0, 0
        for ids, first in texts:
            wanted = torch.tensor(ids[first:])
            piece = Piece(tuple(ids[:-1]), network.new_cache(), wanted=len(wanted), adapter=worn)
            found = network.step([piece])[0].double().log_softmax(-1)
            total -= float(found.gather(-1, wanted.unsqueeze(-1)).sum())
            count += len(wanted)
        return math.exp(total / count)
