"""What the autoregressive family passes about: requests, sequences on their way, and samples.

A progress knows how its next token is chosen from scores; who computes those, and what is read
together with what, is ``autoregressive``. Knows token ids; does not know text.

Notable choice. A progress may have guesses read along with its newest token. Each position's
token is then chosen from that position's scores exactly as if it had been read alone, and the
first that is not as guessed is the last that counts: guesses change how long a text takes, and
no bit of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

import torch
from torch import Tensor

from studiolo.nn.adapter import Adaptation
from studiolo.nn.network import Cache
from studiolo.sampler.beam import Beams, Hypothesis
from studiolo.sampler.decoding import adjust, pick
from studiolo.sampler.guide import CompiledConstraint, Guide
from studiolo.sampler.history import History
from studiolo.sampler.settings import Decoding
from studiolo.sampler.speculation import Lookup
from studiolo.sampler.watermark import Marker, Watermark

FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True)
class TokenRequest:
    """What to continue, how far, and how.

    ``stop_ids`` end a sequence and are not part of it. ``stops``: whether generated tokens end
    a beam's hypothesis; they stay part of it. ``log_probs``: record this many alternatives at
    each step. ``best``: how many sequences to return, of beams. ``constraint``: what the
    generated tokens must spell; recorded log-probabilities are those of the free model.
    ``adapter``: what the network is changed by. ``scope``: what prompts begin with is shared
    within one scope alone. ``watermark``: what draws are marked with.
    """

    prompt: tuple[int, ...]
    max_tokens: int
    decoding: Decoding
    stop_ids: frozenset[int] = frozenset()
    stops: Callable[[Sequence[int]], bool] | None = None
    log_probs: int | None = None
    best: int = 1
    constraint: CompiledConstraint | None = None
    adapter: Adaptation | None = None
    scope: str = ""
    watermark: Watermark | None = None

    @property
    def realm(self) -> str:
        """Where pasts may be shared: within the scope, among those read with the same adapter."""
        return f"{self.scope}+{'' if self.adapter is None else self.adapter.digest}"


@dataclass(frozen=True)
class TokenChoice:
    """A chosen token's natural-log probability under the model, before any strategy.

    ``top``: the likeliest ``(id, log_prob)`` at that step, best first.
    """

    id: int
    log_prob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class TokenSample:
    """Generated tokens. ``score`` and ``alternatives`` (best first) come of beam search.

    ``known``: tokens of the prompt that need not be read, since their past was kept.
    """

    tokens: tuple[int, ...]
    finish_reason: FinishReason
    choices: tuple[TokenChoice, ...] | None = None
    score: float | None = None
    alternatives: tuple[TokenSample, ...] = ()
    known: int = field(default=0, compare=False)


@dataclass
class Row:
    """One sequence inside a step: the tokens not yet read, and the past.

    ``prompt``: the whole prompt while it is being read; equal ones of one ``realm`` may share
    the reading. ``guesses``: what may be read after ``pending``, in case it is chosen.
    """

    pending: tuple[int, ...]
    cache: Cache
    adapter: Adaptation | None = None
    prompt: tuple[int, ...] | None = None
    realm: str = ""
    guesses: tuple[int, ...] = ()

    @classmethod
    def of(cls, request: TokenRequest, cache: Cache) -> Self:
        """The beginning of a request."""
        return cls(request.prompt, cache, request.adapter, request.prompt, request.realm)


class SampleProgress:
    """One sequence on its way, drawn token by token. ``speculate``: whether to guess ahead."""

    def __init__(
        self,
        request: TokenRequest,
        rng: torch.Generator,
        cache: Cache,
        guide: Guide | None = None,
        *,
        speculate: bool = False,
    ) -> None:
        self.request, self.rng, self.guide = request, rng, guide
        self.rows = [Row.of(request, cache)]
        self.history = History(request.prompt)
        self.lookup = Lookup(request.prompt) if speculate else None
        self.marker = None if request.watermark is None else Marker(request.watermark)
        self.choices: list[TokenChoice] | None = None if request.log_probs is None else []
        self.reason: FinishReason | None = None
        self.known = 0
        self._fault: Exception | None = None

    @property
    def done(self) -> bool:
        """Whether the sequence has ended."""
        return self.reason is not None

    @property
    def least(self) -> int:
        """A prompt may be read token by token."""
        return 1

    @property
    def demand(self) -> int:
        """Tokens to read before the next can be drawn, and guesses at those after it."""
        (row,) = self.rows
        return len(row.pending) + len(row.guesses)

    def preview(self) -> Sequence[int]:
        """The tokens so far; a view that grows with them."""
        return self.history.generated

    def take(self, logits: Sequence[Tensor]) -> None:
        """Choose the next token from ``logits[0]``, ``[vocabulary]``.

        Each further row is of a guess that was read, and chooses the token after it if the
        guess was right. The past of guesses that were not is cut off.
        """
        if self._fault is not None:
            raise self._fault
        (row,), taken = self.rows, 0
        for scores, guess in zip(logits, (*row.guesses, None), strict=False):
            try:
                token = self._choose(scores)
            except Exception as error:
                if not taken:
                    raise
                # Whoever watches may end the sequence before this would have happened.
                self._fault = error
                break
            taken += 1
            if self.done or token != guess:
                break
        if taken < len(logits):
            row.cache.truncate(row.cache.length - len(logits) + taken)
        self.rows = [Row((token,), row.cache, row.adapter)]

    def guess(self, company: int) -> None:
        """Look for what is worth reading along, in a step that reads ``company`` rows anyway."""
        if self.lookup is not None and not self.done:
            left = self.request.max_tokens - len(self.history.generated)
            self.rows[0].guesses = self.lookup.guess(left - 1, company)

    def _choose(self, scores: Tensor) -> int:
        request = self.request
        possible = scores if self.guide is None else self.guide.restrict(scores)
        mark = None if self.marker is None else self.marker.next(self.history.generated)
        token = pick(possible, self.history, request.decoding, self.rng, mark)
        if token in request.stop_ids:
            self.reason = "stop"
            return token
        if self.guide is not None:
            self.guide.take(token)
        self.history.append(token)
        if self.lookup is not None:
            self.lookup.append(token)
        if self.choices is not None:
            self.choices.append(choice(scores, token, request.log_probs or 0))
        if self.guide is not None and self.guide.done:
            self.reason = "stop"  # only the end could follow
        elif len(self.history.generated) == request.max_tokens:
            self.reason = "length"
        return token

    def end(self, reason: FinishReason, length: int | None = None) -> None:
        """Take no further step, for a reason that only the caller knows.

        ``length``: how many tokens to keep. A step may have added more than the one at which the
        caller would have ended it.
        """
        self.reason = reason
        if length is not None and length < len(self.history.generated):
            self.history = History(self.request.prompt, self.history.generated[:length])
            if self.choices is not None:
                del self.choices[length:]

    def sample(self) -> TokenSample:
        """What there is, complete or cut short."""
        choices = None if self.choices is None else tuple(self.choices)
        return TokenSample(
            tuple(self.preview()), self.reason or "cancelled", choices, known=self.known
        )


class BeamProgress:
    """One request on its way through beam search; its rows are the live hypotheses."""

    def __init__(self, request: TokenRequest, cache: Cache, guide: Guide | None = None) -> None:
        self.request = request
        self.reason: FinishReason | None = None
        self.known = 0
        self.rows = [Row.of(request, cache)]
        self.histories = [History(request.prompt)]
        self.guides = [guide]
        self.beams = Beams(
            request.decoding.beams,
            request.decoding.length_penalty,
            request.stop_ids,
            request.max_tokens,
            n=request.best,
            stop=request.stops,
        )

    @property
    def done(self) -> bool:
        """Whether nothing better can still be found."""
        return self.reason is not None or self.beams.done

    @property
    def least(self) -> int:
        """The hypotheses go on together; a prompt may be read token by token."""
        return len(self.rows)

    @property
    def demand(self) -> int:
        """Tokens to read before the hypotheses can be extended."""
        return sum(len(row.pending) for row in self.rows)

    def preview(self) -> Sequence[int]:
        """The best hypothesis so far."""
        return self.sample().tokens

    def take(self, logits: Sequence[Tensor]) -> None:
        """Extend the live hypotheses, each from its own row ``[vocabulary]`` of ``logits``."""
        adjusted = [
            adjust(row, history, self.request.decoding)
            for row, history in zip(logits, self.histories, strict=True)
        ]
        log_probs = torch.stack(adjusted).log_softmax(dim=-1)
        # Not shared out again among what a constraint allows: a text forced from a bad
        # beginning would come to look likely.
        possible = [
            row if guide is None else guide.restrict(row)
            for row, guide in zip(log_probs, self.guides, strict=True)
        ]
        parents, tokens = self.beams.step(torch.stack(possible))
        heirs = {parent: i for i, parent in enumerate(parents)}
        rows, histories, guides = [], [], []
        for i, (parent, token) in enumerate(zip(parents, tokens, strict=True)):
            # The last heir takes the parent's cache over; the others copy it.
            cache = self.rows[parent].cache
            cache = cache if heirs[parent] == i else cache.fork()
            rows.append(Row((token,), cache, self.request.adapter))
            histories.append(self.histories[parent].fork(token))
            guide = self.guides[parent]
            guides.append(None if guide is None else guide.fork(token))
        self.rows, self.histories, self.guides = rows, histories, guides

    def end(self, reason: FinishReason) -> None:
        """Search no further, for a reason that only the caller knows."""
        self.reason = reason

    def sample(self) -> TokenSample:
        """The best hypotheses so far."""
        found = [self._sample_of(h) for h in self.beams.results()]
        best = found[0] if found else TokenSample((), "cancelled")
        return replace(best, alternatives=tuple(found[1:]), known=self.known)

    def _sample_of(self, found: Hypothesis) -> TokenSample:
        tokens = found.tokens
        if tokens[-1] in self.request.stop_ids:
            tokens = tokens[:-1]
        limit: FinishReason = "length" if self.beams.done else "cancelled"
        reason = "stop" if found.finished else self.reason or limit
        return TokenSample(tokens, reason, score=found.score)


Progress = SampleProgress | BeamProgress


def choice(logits: Tensor, token: int, alternatives: int) -> TokenChoice:
    """The record of one choice: ``logits`` ``[vocabulary]`` as the model gave them."""
    log_probs = logits.float().log_softmax(dim=-1)
    best = log_probs.topk(min(alternatives, len(log_probs)))
    top = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
    return TokenChoice(token, float(log_probs[token]), top)
