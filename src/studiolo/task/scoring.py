"""A prompt told again before its answer, with how likely the model finds each of its tokens.

Scores are made by the engine as texts are, a step at a time and in turn with everybody else's, so
that a long prompt stalls nobody. They are those of :meth:`LanguageModel.score`, to the bit. Does
not know who asks, nor in which dialect.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from studiolo.errors import ContextOverflowError, InterruptedStepError, InvalidRequestError
from studiolo.family.autoregressive import Autoregressive, TokenChoice
from studiolo.family.prefix import PrefixCache
from studiolo.nn.adapter import Adaptation
from studiolo.nn.network import Cache, Piece
from studiolo.record.receipt import Receipt
from studiolo.runtime.ticket import Ticket
from studiolo.task.arguments import token_ids
from studiolo.task.asking import Answer, Echoed, Ended, Event, Outcome, Relay, Scored, TextAsk
from studiolo.task.generation import Telling
from studiolo.task.telling import scored, spelled
from studiolo.task.text import LanguageModel


@dataclass(frozen=True)
class ScoreRequest:
    """``tokens``, each to be scored given those before it; ``top``: alternatives to each."""

    tokens: tuple[int, ...]
    top: int
    adapter: Adaptation | None = None


class ScoreProgress:
    """Scores on their way: ``choices`` of the tokens after the first."""

    least = 1

    def __init__(self, request: ScoreRequest, cache: Cache) -> None:
        self.request, self.cache = request, cache
        self.choices: list[TokenChoice] = []

    @property
    def done(self) -> bool:
        """Whether all are there."""
        return self.demand == 0

    @property
    def demand(self) -> int:
        """Tokens to read; the last one says nothing of itself."""
        return len(self.request.tokens) - 1 - len(self.choices)

    def preview(self) -> Sequence[TokenChoice]:
        """Those so far."""
        return self.choices


class TextModel:
    """What the engine drives of a language model: ``model`` for texts, and scores beside them."""

    def __init__(self, model: Autoregressive) -> None:
        self.model = model

    @property
    def prefix(self) -> PrefixCache[Any] | None:
        """That of the model."""
        return self.model.prefix

    def weigh(self, request: Any) -> int:
        """As :meth:`GenerativeModel.weigh`."""
        if not isinstance(request, ScoreRequest):
            return self.model.weigh(request)
        config, count = self.model.config, len(request.tokens)
        if not count:
            raise InvalidRequestError("prompt", "is empty", remedy="Give at least one token.")
        token_ids("prompt", request.tokens, config.vocabulary)
        if count > config.context:
            raise ContextOverflowError(count, 0, config.context)
        return self.model.network.cache_bytes(count)

    def begin(self, request: Any, rng: torch.Generator) -> Any:
        """As :meth:`GenerativeModel.begin`."""
        if isinstance(request, ScoreRequest):
            return ScoreProgress(request, self.model.network.new_cache())
        return self.model.begin(request, rng)

    def advance(self, progresses: Sequence[Any], grants: Sequence[int]) -> Mapping[int, Exception]:
        """As :meth:`GenerativeModel.advance`: at first what is scored, then what is made.

        If the latter is broken off, it is begun again at once, for the former counts already.
        """
        scoring = [i for i, each in enumerate(progresses) if isinstance(each, ScoreProgress)]
        if not scoring:
            return self.model.advance(progresses, grants)
        self._score([progresses[i] for i in scoring], [grants[i] for i in scoring])
        making = [i for i, each in enumerate(progresses) if not isinstance(each, ScoreProgress)]
        while making:
            try:
                failed = self.model.advance(
                    [progresses[i] for i in making], [grants[i] for i in making]
                )
            except InterruptedStepError:
                continue
            except Exception as error:
                return dict.fromkeys(making, error)
            return {making[i]: error for i, error in failed.items()}
        return {}

    def interrupt(self) -> None:
        """As :meth:`Interruptible.interrupt`."""
        self.model.interrupt()

    def finish(self, progress: Any) -> Any:
        """A sample, or the scores."""
        if isinstance(progress, ScoreProgress):
            return tuple(progress.choices)
        return self.model.finish(progress)

    @torch.inference_mode()
    def _score(self, progresses: Sequence[ScoreProgress], counts: Sequence[int]) -> None:
        pieces = []
        for each, count in zip(progresses, counts, strict=True):
            at = len(each.choices)
            tokens = each.request.tokens[at : at + count]
            pieces.append(Piece(tokens, each.cache, count, each.request.adapter))
        for each, logits in zip(progresses, self.model.network.step(pieces), strict=True):
            _take(each, logits.log_softmax(dim=-1))


def _take(progress: ScoreProgress, log_probs: torch.Tensor) -> None:
    """The scores of the next tokens from ``log_probs``, ``[n, vocabulary]``."""
    request, at = progress.request, len(progress.choices) + 1
    targets = request.tokens[at : at + len(log_probs)]
    ids = torch.tensor(targets, device=log_probs.device)
    own = log_probs.gather(-1, ids[:, None]).squeeze(-1).tolist()
    best = log_probs.topk(min(request.top, log_probs.shape[-1]), dim=-1)
    tops = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    for id, log_prob, (others, values) in zip(targets, own, tops, strict=True):
        top = tuple(zip(others, values, strict=True))
        progress.choices.append(TokenChoice(id, log_prob, top))


class Echo:
    """The prompt of ``ask``, to be told again. ``request``: what scores it, if that is wanted.

    Hand the ticket of that to :meth:`told`; and show it the progress, for ``read``.
    """

    def __init__(self, lm: LanguageModel, ask: TextAsk, telling: Telling) -> None:
        self._tokenizer, self._ids = lm.tokenizer, telling.request.prompt
        given, top = ask.prompt, telling.request.log_probs
        self._text = given if isinstance(given, str) else lm.tokenizer.decode(self._ids)
        self.request: ScoreRequest | None = None
        if top is not None:
            self.request = ScoreRequest(self._ids, top, telling.request.adapter)
        self.read = 0

    def __call__(self, progress: ScoreProgress) -> None:
        """By the engine's thread, after a step."""
        self.read = len(progress.choices)

    async def told(self, ticket: Ticket[tuple[TokenChoice, ...]] | None) -> Echoed:
        """What is to be said of it, of the first sample."""
        if ticket is None:
            return Echoed(0, self._text)
        found = await ticket
        self.read = len(self._ids)
        first = spelled(self._tokenizer, self._ids[0], math.nan)
        scores = (
            Scored(first.text, first.bytes, math.nan, id=first.id),
            *(scored(self._tokenizer, each) for each in found),
        )
        return Echoed(0, self._text, scores, self._offsets())

    def _offsets(self) -> tuple[int, ...]:
        """Where each token begins in the text, in which control tokens do not stand."""
        offsets, at = [], 0
        for id in self._ids:
            offsets.append(min(at, len(self._text)))
            if id < self._tokenizer.vocab_size and id not in self._tokenizer.control_ids:
                spelled = self._tokenizer.token_bytes(id)
                at += sum(byte & 0xC0 != 0x80 for byte in spelled)  # characters that begin
        return tuple(offsets)


class Echoing(Relay):
    """``answer`` after the prompt that it is to; with ``alone``, the prompt and no more."""

    def __init__(
        self, answer: Answer, echo: Echo, ticket: Ticket[Any] | None, count: int, *, alone: bool
    ) -> None:
        """``ticket``: of the scores, if there are any; ``count``: how many samples there are."""
        super().__init__(answer)
        self._echo, self._ticket, self._count, self._alone = echo, ticket, count, alone
        self._started = time.perf_counter()

    async def __aiter__(self) -> AsyncIterator[Event]:
        """The events, as they come."""
        told = await self._echo.told(self._ticket)
        for index in range(self._count):
            yield replace(told, index=index)
        if self._alone:
            for index in range(self._count):
                yield Ended(index, "length")
            return
        async for event in self._answer:
            yield event

    @property
    def outcome(self) -> Outcome:
        """As :attr:`Answer.outcome`; a prompt that is scored and gone on from counts once."""
        took = self._answer.outcome
        read = max(took.prompt_tokens, self._echo.read)
        if self._alone:
            took = replace(took, seconds=time.perf_counter() - self._started)
        return replace(took, prompt_tokens=read)

    def receipt(self) -> Receipt | None:
        """As :meth:`Answer.receipt`; None where nothing is made."""
        return None if self._alone else self._answer.receipt()
