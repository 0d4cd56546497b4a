"""What a language model makes: text as it arrives, and the whole when it is done."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import TracebackType
from typing import Any, Self

from studiolo.family.autoregressive import (
    Autoregressive,
    FinishReason,
    Progress,
    SampleProgress,
    TokenChoice,
    TokenRequest,
    TokenSample,
)
from studiolo.modality.text.stream import StopMatcher, StreamDecoder
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.record.receipt import Adapter, Asked, Rule
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
    ``score``: of a beam search, log-probability over length to the length penalty. ``asked``: the
    request as it was carried out, with nothing left to be chosen.
    """

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    usage: Usage
    seed: int
    asked: Asked = field(repr=False)
    log_probs: tuple[TokenChoice, ...] | None = None
    score: float | None = None
    alternatives: tuple[Generation, ...] = ()

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what was not asked for is left out."""
        out = {name: value for name, value in asdict(self).items() if value is not None}
        del out["alternatives"], out["asked"]
        if self.alternatives:
            out["alternatives"] = [each.to_dict() for each in self.alternatives]
        return out


class _Voice:
    """The text of one sequence, read off as its tokens come."""

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int], stops: Sequence[str]) -> None:
        self._decoder = StreamDecoder(tokenizer)
        # New text is never the beginning of a text, and may complete a character begun before it,
        # which has four bytes at most.
        for id in before[-4:]:
            self._decoder.push(id)
        self._matcher = StopMatcher(stops)
        self.heard = 0
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        """What may be shown so far."""
        return "".join(self._pieces)

    @property
    def met(self) -> str | None:
        """The stop string that has been met."""
        return self._matcher.met

    @property
    def stopped(self) -> bool:
        """Whether there was one."""
        return self._matcher.met is not None

    def hear(self, tokens: Sequence[int], *, last: bool = False) -> str:
        """The text that the tokens after those already heard make safe to show.

        ``heard`` counts them, up to the one that completes a stop string.
        """
        piece = ""
        for id in tokens[self.heard :]:
            if self.stopped:
                break
            piece += self._matcher.push(self._decoder.push(id))[0]
            self.heard += 1
        if last:
            piece += self._matcher.push(self._decoder.flush())[0] + self._matcher.flush()
        self._pieces.append(piece)
        return piece


class Telling:
    """A request that is ready to be carried out, and the texts of its sequences.

    Whoever takes the steps begins ``request`` once with each of ``seeds``, shows every progress to
    :meth:`hear` after each step, and hands the samples to :meth:`whole`.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        request: TokenRequest,
        stops: Sequence[str],
        seed: int,
        count: int,
    ) -> None:
        self.request, self._tokenizer, self._stops = request, tokenizer, tuple(stops)
        self.seeds = [(seed + i) % 2**63 for i in range(count)]
        self.asked = _asked(request, stops, seed, count)
        self._voices = [self._voice() for _ in self.seeds]

    def rest(self, i: int, sample: TokenSample) -> str:
        """The last text of the i-th sequence, which is complete."""
        return self._voices[i].hear(sample.tokens, last=True)

    def met(self, i: int) -> str | None:
        """The stop string that ended the i-th sequence, if one did; of beams, after the whole."""
        return self._voices[i].met

    @property
    def searching(self) -> bool:
        """Whether the texts are known only at the end, as those of beams are."""
        return self.request.decoding.beams > 1

    def hear(self, i: int, progress: Progress, *, last: bool = False) -> str:
        """What may be shown of the i-th sequence since last time; at a stop string, ends it."""
        voice = self._voices[i]
        piece = voice.hear(progress.preview(), last=last)
        if voice.stopped and isinstance(progress, SampleProgress):
            progress.end("stop", voice.heard)
        elif voice.stopped and not progress.done:
            progress.end("stop")
        return piece

    def whole(
        self, samples: Sequence[TokenSample], first: float | None, seconds: float
    ) -> Generation:
        """The result. ``first``, ``seconds``: until the first token, and the last."""
        every: list[tuple[TokenSample, _Voice, int]] = []
        for best, voice, seed in zip(samples, self._voices, self.seeds, strict=True):
            others = [(other, self._voice()) for other in best.alternatives]
            for sample, teller in ((best, voice), *others):
                teller.hear(sample.tokens, last=True)
                # A stop string may be complete only once half a character is given up.
                ended = replace(sample, finish_reason="stop") if teller.stopped else sample
                every.append((ended, teller, seed))
        self._voices = [voice for _, voice, _ in every]
        made = [
            Generation(
                voice.text,
                sample.tokens,
                sample.finish_reason,
                Usage(len(self.request.prompt), len(sample.tokens), first, seconds),
                seed,
                self.asked,
                sample.choices,
                sample.score,
            )
            for sample, voice, seed in every
        ]
        total = sum(len(sample.tokens) for sample, _, _ in every)
        return replace(
            made[0],
            usage=replace(made[0].usage, completion_tokens=total),
            alternatives=tuple(made[1:]),
        )

    def _voice(self) -> _Voice:
        return _Voice(self._tokenizer, self.request.prompt, self._stops)


class TextStream:
    """Text that is being made. Iterate for its pieces; ``result`` is the whole afterwards.

    Pieces are the first sample's; a beam search has one, at its end. Leaving early, or
    :meth:`close`, cancels the rest: what there is by then is the result, with the finish
    reason ``cancelled``.
    """

    def __init__(self, model: Autoregressive, telling: Telling) -> None:
        self._model, self._telling = model, telling
        self._progresses = [model.begin(telling.request, generator(seed)) for seed in telling.seeds]
        self._started = time.perf_counter()
        self._first: float | None = None
        self._last = self._started
        self._pieces = self._told()
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
            # Up to the last token, however long the result was left lying.
            seconds = self._last - self._started
            samples = [self._model.finish(progress) for progress in self._progresses]
            self._result = self._telling.whole(samples, self._first, seconds)
        return self._result

    def _told(self) -> Generator[str, None, None]:
        for _ in steps(self._model, self._progresses):
            self._last = time.perf_counter()
            if self._first is None:
                self._first = self._last - self._started
            if not self._telling.searching:
                pieces = [self._telling.hear(i, each) for i, each in enumerate(self._progresses)]
                if pieces[0]:
                    yield pieces[0]
        rest = self._telling.hear(0, self._progresses[0], last=True)
        if rest or self._telling.searching:
            yield rest


def _asked(request: TokenRequest, stops: Sequence[str], seed: int, count: int) -> Asked:
    rule = None
    if request.constraint is not None:
        asked = request.constraint.constraint
        rule = Rule(kind=asked.kind, source=asked.source)
    worn = request.adapter
    return Asked(
        prompt=request.prompt,
        max_tokens=request.max_tokens,
        decoding=request.decoding.model_dump(mode="json"),
        n=max(count, request.best),
        seed=seed,
        stop=tuple(stops),
        ignore_eos=not request.stop_ids,
        log_probs=request.log_probs,
        constraint=rule,
        adapter=None if worn is None else Adapter(name=worn.name, weights=worn.digest),
        watermark=None if request.watermark is None else request.watermark.digest,
    )
