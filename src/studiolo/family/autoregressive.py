r"""Autoregressive models: one token after another, each drawn given all before it.

.. math:: p(x_1 \dots x_n) = \prod_t p(x_t \mid x_{<t})

A step of :meth:`Autoregressive.advance` runs the network once over every live sequence and
adds one token to each. Sequences may be of any length, and new prompts join those already
decoding; equal prompts are read once. Knows token ids; does not know text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from studiolo.errors import ContextOverflowError, InvalidRequestError
from studiolo.family.contract import Loss
from studiolo.nn.cache import KVCache
from studiolo.nn.config import DecoderConfig
from studiolo.nn.decoder import Decoder
from studiolo.sampler.beam import Beams, Hypothesis
from studiolo.sampler.decoding import adjust, pick
from studiolo.sampler.history import History
from studiolo.sampler.settings import Decoding, check_vocabulary

FinishReason = Literal["stop", "length", "cancelled"]
CHUNK = 512
"""Tokens read at once when scoring."""
HEAD_ROWS = 256
"""Positions whose logits are held at once when scoring: 256 x vocabulary floats."""


@dataclass(frozen=True)
class TokenRequest:
    """What to continue, how far, and how.

    ``stop_ids`` end a sequence and are not part of it. ``stops``: whether generated tokens end
    a beam's hypothesis; they stay part of it. ``log_probs``: record this many alternatives at
    each step. ``best``: how many sequences to return, of beams.
    """

    prompt: tuple[int, ...]
    max_tokens: int
    decoding: Decoding
    stop_ids: frozenset[int] = frozenset()
    stops: Callable[[Sequence[int]], bool] | None = None
    log_probs: int | None = None
    best: int = 1


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
    """Generated tokens. ``score`` and ``alternatives`` (best first) come of beam search."""

    tokens: tuple[int, ...]
    finish_reason: FinishReason
    choices: tuple[TokenChoice, ...] | None = None
    score: float | None = None
    alternatives: tuple[TokenSample, ...] = ()


@dataclass
class Row:
    """One sequence inside a step: the tokens not yet read, and the past."""

    pending: tuple[int, ...]
    cache: KVCache


class SampleProgress:
    """One sequence on its way, drawn token by token."""

    def __init__(self, request: TokenRequest, rng: torch.Generator, cache: KVCache) -> None:
        self.request, self.rng = request, rng
        self.rows = [Row(request.prompt, cache)]
        self.history = History(request.prompt)
        self.choices: list[TokenChoice] | None = None if request.log_probs is None else []
        self.reason: FinishReason | None = None

    @property
    def done(self) -> bool:
        """Whether the sequence has ended."""
        return self.reason is not None

    def preview(self) -> tuple[int, ...]:
        """The tokens so far."""
        return tuple(self.history.generated)

    def take(self, logits: Tensor) -> None:
        """Choose the next token from ``logits``, ``[1, vocabulary]``."""
        request = self.request
        token = pick(logits[0], self.history, request.decoding, self.rng)
        if token in request.stop_ids:
            self.reason = "stop"
            return
        self.history.append(token)
        if self.choices is not None:
            self.choices.append(choice(logits[0], token, request.log_probs or 0))
        self.rows = [Row((token,), self.rows[0].cache)]
        if len(self.history.generated) == request.max_tokens:
            self.reason = "length"

    def end(self, reason: FinishReason) -> None:
        """Take no further step, for a reason that only the caller knows."""
        self.reason = reason

    def sample(self) -> TokenSample:
        """What there is, complete or cut short."""
        choices = None if self.choices is None else tuple(self.choices)
        return TokenSample(self.preview(), self.reason or "cancelled", choices)


class BeamProgress:
    """One request on its way through beam search; its rows are the live hypotheses."""

    def __init__(self, request: TokenRequest, cache: KVCache) -> None:
        self.request = request
        self.reason: FinishReason | None = None
        self.rows = [Row(request.prompt, cache)]
        self.histories = [History(request.prompt)]
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

    def preview(self) -> tuple[int, ...]:
        """The best hypothesis so far."""
        return self.sample().tokens

    def take(self, logits: Tensor) -> None:
        """Extend the hypotheses from ``logits``, ``[live, vocabulary]``."""
        adjusted = [
            adjust(row, history, self.request.decoding)
            for row, history in zip(logits, self.histories, strict=True)
        ]
        parents, tokens = self.beams.step(torch.stack(adjusted).log_softmax(dim=-1))
        heirs = {parent: i for i, parent in enumerate(parents)}
        rows, histories = [], []
        for i, (parent, token) in enumerate(zip(parents, tokens, strict=True)):
            # The last heir takes the parent's cache over; the others copy it.
            cache = self.rows[parent].cache
            rows.append(Row((token,), cache if heirs[parent] == i else cache.fork()))
            histories.append(self.histories[parent].fork(token))
        self.rows, self.histories = rows, histories

    def end(self, reason: FinishReason) -> None:
        """Search no further, for a reason that only the caller knows."""
        self.reason = reason

    def sample(self) -> TokenSample:
        """The best hypotheses so far."""
        found = [self._sample_of(h) for h in self.beams.results()]
        best = found[0] if found else TokenSample((), "cancelled")
        return replace(best, alternatives=tuple(found[1:]))

    def _sample_of(self, found: Hypothesis) -> TokenSample:
        tokens = found.tokens
        if tokens[-1] in self.request.stop_ids:
            tokens = tokens[:-1]
        limit: FinishReason = "length" if self.beams.done else "cancelled"
        reason = "stop" if found.finished else self.reason or limit
        return TokenSample(tokens, reason, score=found.score)


Progress = SampleProgress | BeamProgress


class Autoregressive:
    """The family's contract over a :class:`Decoder`."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder

    @property
    def config(self) -> DecoderConfig:
        """The description of the network."""
        return self.decoder.config

    def loss(self, batch: Tensor) -> Loss:
        """Mean cross-entropy in nats per predicted token.

        ``batch``: int64 ``[B, T]``; negative ids are padding, neither seen nor predicted.
        Raises :class:`InvalidRequestError` if that leaves nothing to predict.
        """
        real = batch >= 0
        predicted = real[:, 1:] & real[:, :-1]
        if not bool(predicted.any()):
            raise InvalidRequestError(
                "batch", "has nothing to predict: no token stands next to another"
            )
        hidden = self.decoder(batch.clamp(min=0), real=None if bool(real.all()) else real)
        logits = self.decoder.logits(hidden[:, :-1])
        targets = batch[:, 1:].masked_fill(~predicted, -100)
        return Loss(F.cross_entropy(logits.flatten(0, 1), targets.flatten()))

    def begin(self, request: TokenRequest, rng: torch.Generator) -> Progress:
        """Check the request against the model and set out.

        Raises :class:`InvalidRequestError` for an empty prompt, an id outside the vocabulary
        or a count below one, and :class:`ContextOverflowError`.
        """
        config, prompt = self.config, request.prompt
        if not prompt:
            raise InvalidRequestError("prompt", "is empty", remedy="Give at least one token.")
        bad = next((t for t in prompt if not 0 <= t < config.vocabulary), None)
        if bad is not None:
            raise InvalidRequestError(
                "prompt", f"token {bad} is outside the vocabulary of {config.vocabulary:,}"
            )
        if request.max_tokens < 1:
            raise InvalidRequestError("max_tokens", f"must be at least 1, not {request.max_tokens}")
        if len(prompt) + request.max_tokens > config.context:
            raise ContextOverflowError(len(prompt), request.max_tokens, config.context)
        check_vocabulary(request.decoding, config.vocabulary)
        cache = self.decoder.new_cache()
        if request.decoding.beams > 1:
            return BeamProgress(request, cache)
        return SampleProgress(request, rng, cache)

    @torch.inference_mode()
    def advance(self, progresses: Sequence[Progress]) -> None:
        """Add one token to every sequence that is not done."""
        live = [progress for progress in progresses if not progress.done]
        logits = self._read([row for progress in live for row in progress.rows])
        at = 0
        for progress in live:
            count = len(progress.rows)
            progress.take(torch.stack(logits[at : at + count]))
            at += count

    def finish(self, progress: Progress) -> TokenSample:
        """The tokens made so far."""
        return progress.sample()

    @torch.inference_mode()
    def next_log_probs(self, prompt: Sequence[int]) -> Tensor:
        """Log-probabilities ``[vocabulary]``, in nats, of the token after ``prompt``."""
        request = TokenRequest(tuple(prompt), 1, Decoding())
        progress = self.begin(request, torch.Generator())
        return self._read(progress.rows)[0].log_softmax(dim=-1).cpu()

    @torch.inference_mode()
    def log_likelihood(
        self, tokens: Tensor, report: Callable[[int], None] = lambda done: None
    ) -> Tensor:
        """Log-probability of each of ``tokens`` (int64 ``[T]``) but the first: ``[T - 1]`` nats.

        Reads :data:`CHUNK` tokens at a time, so that memory grows with the cache alone;
        ``report`` is told after each how many are scored.
        """
        if len(tokens) > self.config.context:
            raise ContextOverflowError(len(tokens), 0, self.config.context)
        bad = tokens[(tokens < 0) | (tokens >= self.config.vocabulary)]
        if len(bad):
            raise InvalidRequestError(
                "text", f"token {bad[0]} is outside the vocabulary of {self.config.vocabulary:,}"
            )
        tokens = tokens.to(self.decoder.device)
        cache = self.decoder.new_cache()
        pieces = [torch.empty(0)]
        for start in range(0, len(tokens) - 1, CHUNK):
            end = min(start + CHUNK, len(tokens) - 1)
            hidden = self.decoder(tokens[None, start:end], caches=[cache])[0]
            targets = tokens[start + 1 : end + 1]
            for part, ids in zip(
                torch.split(hidden, HEAD_ROWS), torch.split(targets, HEAD_ROWS), strict=True
            ):
                scored = self.decoder.logits(part).log_softmax(-1)
                pieces.append(scored.gather(-1, ids.unsqueeze(-1)).squeeze(-1).cpu())
            report(end)
        return torch.cat(pieces)

    def _read(self, rows: Sequence[Row]) -> list[Tensor]:
        """Run the network over each row's pending tokens: the last position's logits of each."""
        logits: dict[int, Tensor] = {}
        decoding = [i for i, row in enumerate(rows) if len(row.pending) == 1]
        if decoding:
            batch = torch.tensor([rows[i].pending for i in decoding], device=self.decoder.device)
            hidden = self.decoder(batch, caches=[rows[i].cache for i in decoding])
            logits.update(zip(decoding, self.decoder.logits(hidden[:, -1]), strict=True))
        prompts: dict[tuple[int, ...], int] = {}
        for i, row in enumerate(rows):
            if i in logits:
                continue
            twin = prompts.setdefault(row.pending, i)
            if twin != i:
                row.cache, logits[i] = rows[twin].cache.fork(), logits[twin]
                continue
            prompt = torch.tensor([row.pending], device=self.decoder.device)
            hidden = self.decoder(prompt, caches=[row.cache])
            logits[i] = self.decoder.logits(hidden[0, -1])
        return [logits[i] for i in range(len(rows))]


def choice(logits: Tensor, token: int, alternatives: int) -> TokenChoice:
    """The record of one choice: ``logits`` ``[vocabulary]`` as the model gave them."""
    log_probs = logits.float().log_softmax(dim=-1)
    best = log_probs.topk(min(alternatives, len(log_probs)))
    top = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
    return TokenChoice(token, float(log_probs[token]), top)
