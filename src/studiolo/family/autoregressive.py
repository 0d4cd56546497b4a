r"""Autoregressive models: one token after another, each drawn given all before it.

.. math:: p(x_1 \dots x_n) = \prod_t p(x_t \mid x_{<t})

A step of :meth:`Autoregressive.advance` runs the network once over every live sequence. It
reads of each as many pending tokens as were granted, and adds a token to those that have none
left, or several where it was guessed what they would be. Sequences may be of any length, and
parts of new prompts join those already decoding; what equal prompts have in common is read once.
Knows token ids; does not know text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from studiolo.errors import ContextOverflowError, InvalidRequestError, UnsupportedModelError
from studiolo.family.contract import Loss
from studiolo.family.prefix import PrefixCache
from studiolo.family.sequence import (
    BeamProgress,
    FinishReason,
    Progress,
    Row,
    SampleProgress,
    TokenChoice,
    TokenRequest,
    TokenSample,
)
from studiolo.nn.config import DecoderConfig
from studiolo.nn.decoder import Decoder
from studiolo.nn.network import Network, Piece
from studiolo.sampler.settings import Decoding, check_vocabulary

__all__ = [
    "Autoregressive",
    "BeamProgress",
    "FinishReason",
    "Progress",
    "SampleProgress",
    "TokenChoice",
    "TokenRequest",
    "TokenSample",
]
CHUNK = 256
"""Tokens read at once when scoring; as many rows of logits are held."""


class Autoregressive:
    """The family's contract over a :class:`Network`; only a :class:`Decoder` can be trained.

    ``prefix``: where to keep what prompts begin with; None reads every prompt from its start.
    ``speculate``: read guesses along where it pays. A network whose rows depend on what is read
    with them is never given any, nor are beams.
    """

    def __init__(
        self,
        network: Network[Any],
        prefix: PrefixCache[Any] | None = None,
        *,
        speculate: bool = True,
    ) -> None:
        self.network, self.prefix = network, prefix
        self.speculate = speculate and network.invariant

    @property
    def config(self) -> DecoderConfig:
        """The description of the network."""
        return self.network.config

    def loss(self, batch: Tensor) -> Loss:
        """Mean cross-entropy in nats per predicted token.

        ``batch``: int64 ``[B, T]``; negative ids are padding, neither seen nor predicted.
        Raises :class:`InvalidRequestError` if that leaves nothing to predict, and
        :class:`UnsupportedModelError` if the weights are packed.
        """
        decoder = self.network
        if not isinstance(decoder, Decoder):
            raise UnsupportedModelError("packed weights have no gradients", remedy="Load floats.")
        real = batch >= 0
        predicted = real[:, 1:] & real[:, :-1]
        if not bool(predicted.any()):
            raise InvalidRequestError(
                "batch", "has nothing to predict: no token stands next to another"
            )
        hidden = decoder(batch.clamp(min=0), real=None if bool(real.all()) else real)
        logits = decoder.logits(hidden[:, :-1])
        targets = batch[:, 1:].masked_fill(~predicted, -100)
        return Loss(F.cross_entropy(logits.flatten(0, 1), targets.flatten()))

    def weigh(self, request: TokenRequest) -> int:
        """Bytes of cache that the request may come to hold, every hypothesis at full length.

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
        # A beam search holds its hypotheses' old caches while it forks the new.
        copies = 2 * request.decoding.beams if request.decoding.beams > 1 else 1
        return copies * self.network.cache_bytes(len(prompt) + request.max_tokens)

    def begin(self, request: TokenRequest, rng: torch.Generator) -> Progress:
        """Check the request, as :meth:`weigh` does, and set out."""
        self.weigh(request)
        guide = None
        if request.constraint is not None:
            guide = request.constraint.begin(self.config.vocabulary, request.stop_ids)
            if request.decoding.beams > 1 and not request.stop_ids:
                raise InvalidRequestError(
                    "beams",
                    "need an end token to end a text that a constraint completes",
                    remedy="Leave the end token in force, or set beams to 1.",
                )
        cache = self.network.new_cache()
        progress: Progress
        if request.decoding.beams > 1:
            progress = BeamProgress(request, cache, guide)
        else:
            progress = SampleProgress(request, rng, cache, guide, speculate=self.speculate)
        self._look_up(progress)
        return progress

    @torch.inference_mode()
    def advance(
        self, progresses: Sequence[Progress], grants: Sequence[int]
    ) -> Mapping[int, Exception]:
        """Read what is granted of each sequence; add a token where nothing is left to read.

        A grant counts tokens over all rows of a progress; a prompt may be read in parts, and of
        guesses the first. A progress whose guesses prove right gains several tokens. What
        cannot choose its token (scores that are no numbers, say) fails, and nothing else does.
        """
        rows, reads = [], []
        company = 0
        for progress, grant in zip(progresses, grants, strict=True):
            if len(progress.rows) == 1:
                (row,) = progress.rows
                self._look_up(progress)  # somebody else may have read on meanwhile
                reads.append(min(grant, progress.demand))
                company += min(grant, len(row.pending))
            else:
                reads += [1] * len(progress.rows)
                company += len(progress.rows)
            rows += progress.rows
        logits = self._read(rows, reads)
        failed: dict[int, Exception] = {}
        at = 0
        for i, progress in enumerate(progresses):
            scores = logits[at : at + len(progress.rows)]
            at += len(progress.rows)
            if not progress.rows[0].pending:
                read, cache = progress.rows[0].prompt, progress.rows[0].cache
                try:
                    progress.take([row for each in scores for row in each])
                except Exception as error:  # of this request, whatever it is
                    failed[i] = error
                    continue
                if self.prefix is not None and read is not None:
                    self.prefix.remember(read, cache, progress.request.realm)
                if isinstance(progress, SampleProgress):
                    progress.guess(company)
        return failed

    def interrupt(self) -> None:
        """As :meth:`Interruptible.interrupt`; a float network cannot be interrupted."""
        self.network.interrupt()

    def finish(self, progress: Progress) -> TokenSample:
        """The tokens made so far; where prefixes are kept, a next prompt may begin with them."""
        if self.prefix is not None and isinstance(progress, SampleProgress):
            read = [*progress.request.prompt, *progress.preview()]
            self.prefix.remember(read, progress.rows[0].cache, progress.request.realm)
        return progress.sample()

    @torch.inference_mode()
    def next_log_probs(self, prompt: Sequence[int]) -> Tensor:
        """Log-probabilities ``[vocabulary]``, in nats, of the token after ``prompt``."""
        request = TokenRequest(tuple(prompt), 1, Decoding())
        self.weigh(request)
        row = Row(request.prompt, self.network.new_cache())
        return self._read([row], [len(prompt)])[0][0].log_softmax(dim=-1).cpu()

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
        cache = self.network.new_cache()
        pieces = [torch.empty(0)]
        for start in range(0, len(tokens) - 1, CHUNK):
            end = min(start + CHUNK, len(tokens) - 1)
            piece = Piece(tokens[start:end].tolist(), cache, wanted=end - start)
            scored = self.network.step([piece])[0].log_softmax(-1)
            targets = tokens[start + 1 : end + 1, None].to(scored.device)
            pieces.append(scored.gather(-1, targets).squeeze(-1).cpu())
            report(end)
        return torch.cat(pieces)

    def _look_up(self, progress: Progress) -> None:
        """Go on from the past that is kept of a prompt being read, if that is further on."""
        row = progress.rows[0]
        if self.prefix is None or row.prompt is None:
            return
        done = len(row.prompt) - len(row.pending)
        known = self.prefix.longest(row.prompt, progress.request.realm, beyond=done)
        if known is not None:
            row.cache, row.pending = known, row.prompt[known.length :]
            progress.known += known.length - done

    def _read(self, rows: Sequence[Row], counts: Sequence[int]) -> list[Tensor]:
        """Read ``counts[i]`` of row i's tokens; equal parts of equal prompts once.

        The scores ``[n, vocabulary]`` after the last pending token and each guess that was read.
        """
        first: dict[tuple[str, tuple[int, ...], int, int], int] = {}
        twins = [
            i
            if row.prompt is None
            else first.setdefault((row.realm, row.prompt, len(row.pending), count), i)
            for i, (row, count) in enumerate(zip(rows, counts, strict=True))
        ]
        read = [i for i, twin in enumerate(twins) if i == twin]
        pieces = [
            Piece(
                (rows[i].pending + rows[i].guesses)[: counts[i]],
                rows[i].cache,
                max(0, counts[i] - len(rows[i].pending) + 1),
                rows[i].adapter,
            )
            for i in read
        ]
        scores = dict(zip(read, self.network.step(pieces), strict=True))
        for row, twin, count in zip(rows, twins, counts, strict=True):
            row.pending = row.pending[count:]
            if row is not rows[twin]:
                row.cache = rows[twin].cache.fork()
        return [scores[twin] for twin in twins]
