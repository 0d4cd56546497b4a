"""What a language model makes: text as it arrives, and the whole when it is done."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Any, Self

from studiolo.family.autoregressive import (
    Autoregressive,
    FinishReason,
    TokenChoice,
    TokenRequest,
    TokenSample,
)
from studiolo.modality.text.stream import StopMatcher, StreamDecoder
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.runtime.loop import steps
from studiolo.sampler.decoding import generator


@dataclass(frozen=True)
class Usage:
    """What a request took; times in seconds, None when no token was made.

    ``completion_tokens`` counts every sample of the request.
    """

    prompt_tokens: int
    completion_tokens: int
    seconds_to_first_token: float | None
    seconds: float


@dataclass(frozen=True)
class Generation:
    """One text. ``str()`` gives the new text alone.

    ``token_ids``: as generated, without the end token; a stop string's tokens are among them,
    its text is not. ``alternatives``: the other samples, or the next best of a beam search.
    ``score``: of a beam search, log-probability over length to the length penalty.
    """

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    usage: Usage
    seed: int
    log_probs: tuple[TokenChoice, ...] | None = None
    score: float | None = None
    alternatives: tuple[Generation, ...] = ()

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what was not asked for is left out."""
        out = {name: value for name, value in asdict(self).items() if value is not None}
        del out["alternatives"]
        if self.alternatives:
            out["alternatives"] = [each.to_dict() for each in self.alternatives]
        return out


class _Voice:
    """The text of one sequence, read off as its tokens come."""

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int], stops: Sequence[str]) -> None:
        self._decoder = StreamDecoder(tokenizer)
        for id in before[-1:]:
            self._decoder.push(id)  # new text is never the beginning of a text
        self._matcher = StopMatcher(stops)
        self._heard = 0
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        """What may be shown so far."""
        return "".join(self._pieces)

    @property
    def stopped(self) -> bool:
        """Whether a stop string has been met."""
        return self._matcher.stopped

    def hear(self, tokens: Sequence[int], *, last: bool = False) -> str:
        """The text that the tokens after those already heard make safe to show."""
        piece = ""
        for id in tokens[self._heard :]:
            piece += self._matcher.push(self._decoder.push(id))[0]
        self._heard = len(tokens)
        if last:
            piece += self._matcher.push(self._decoder.flush())[0] + self._matcher.flush()
        self._pieces.append(piece)
        return piece


class TextStream:
    """Text that is being made. Iterate for its pieces; ``result`` is the whole afterwards.

    Pieces are the first sample's; a beam search has one, at its end. Leaving early, or
    :meth:`close`, cancels the rest: what there is by then is the result, with the finish
    reason ``cancelled``.
    """

    def __init__(
        self,
        model: Autoregressive,
        tokenizer: Tokenizer,
        request: TokenRequest,
        stops: Sequence[str],
        seed: int,
        count: int,
    ) -> None:
        self._model, self._tokenizer, self._request = model, tokenizer, request
        self._stops = tuple(stops)
        self._seeds = [(seed + i) % 2**63 for i in range(count)]
        self._progresses = [model.begin(request, generator(each)) for each in self._seeds]
        self._voices = [self._voice() for _ in range(count)]
        self._started = time.perf_counter()
        self._first: float | None = None
        self._last = self._started
        self._pieces = self._beams() if request.decoding.beams > 1 else self._samples()
        self._result: Generation | None = None

    def __iter__(self) -> Iterator[str]:
        return self._pieces

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Make no more text; harmless when it is all made."""
        _ = self.result

    def run(self) -> Generation:
        """Make the rest and return the whole."""
        for _ in self._pieces:
            pass
        return self.result

    @property
    def result(self) -> Generation:
        """The whole text, and why it ended; closes the stream."""
        self._pieces.close()
        if self._result is None:
            self._result = self._whole()
        return self._result

    def _voice(self) -> _Voice:
        return _Voice(self._tokenizer, self._request.prompt, self._stops)

    def _steps(self) -> Iterator[None]:
        for _ in steps(self._model, self._progresses):
            self._last = time.perf_counter()
            if self._first is None:
                self._first = self._last - self._started
            yield

    def _samples(self) -> Generator[str, None, None]:
        for _ in self._steps():
            for progress, voice in zip(self._progresses, self._voices, strict=True):
                piece = voice.hear(progress.preview())
                if voice.stopped:
                    progress.end("stop")
                if piece and voice is self._voices[0]:
                    yield piece
        if rest := self._voices[0].hear(self._progresses[0].preview(), last=True):
            yield rest

    def _beams(self) -> Generator[str, None, None]:
        for _ in self._steps():
            pass
        yield self._voices[0].hear(self._progresses[0].preview(), last=True)

    def _whole(self) -> Generation:
        # Up to the last token, however long the result was left lying.
        seconds = self._last - self._started
        samples, texts, seeds = [], [], []
        for progress, voice, seed in zip(self._progresses, self._voices, self._seeds, strict=True):
            best = self._model.finish(progress)
            others = [(other, self._voice()) for other in best.alternatives]
            for sample, teller in ((best, voice), *others):
                teller.hear(sample.tokens, last=True)
                # A stop string may be complete only once half a character is given up.
                samples.append(replace(sample, finish_reason="stop") if teller.stopped else sample)
                texts.append(teller.text)
                seeds.append(seed)
        made = [
            self._generation(*each, seconds) for each in zip(samples, texts, seeds, strict=True)
        ]
        total = sum(len(sample.tokens) for sample in samples)
        return replace(
            made[0],
            usage=replace(made[0].usage, completion_tokens=total),
            alternatives=tuple(made[1:]),
        )

    def _generation(self, sample: TokenSample, text: str, seed: int, seconds: float) -> Generation:
        count = len(sample.tokens)
        usage = Usage(len(self._request.prompt), count, self._first, seconds)
        return Generation(
            text, sample.tokens, sample.finish_reason, usage, seed, sample.choices, sample.score
        )
