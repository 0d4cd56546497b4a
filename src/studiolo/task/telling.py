"""A model of this machine answers: what is asked is prepared, what is drawn becomes events.

A :class:`Listener` is shown a sample after each of its steps, by the engine's thread, and says what
is new: text, calls of tools, scores. :class:`LocalAnswer` brings together what the listeners of all
samples say. Does not know who asks, nor in which dialect.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from studiolo.errors import InvalidRequestError
from studiolo.family.autoregressive import Progress, SampleProgress, TokenSample
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.modality.text.tools import ToolCall, ToolCallReader, tool_names
from studiolo.record.receipt import Receipt
from studiolo.runtime.ticket import Ticket
from studiolo.task.arguments import token_ids
from studiolo.task.asking import Called, Ended, Event, Outcome, Piece, Scored, Spelled, TextAsk
from studiolo.task.generation import Generation, Telling
from studiolo.task.infilling import infill
from studiolo.task.text import LanguageModel


def prepared(lm: LanguageModel, ask: TextAsk) -> Telling:
    """The request of ``ask`` to ``lm``; raises what :meth:`LanguageModel.prepare` does."""
    options = dict(ask.options)
    if ask.begun:
        return lm.prepare(_begun(lm, ask), **options)
    if ask.messages is not None:
        tools = ask.tools if ask.tool_choice != "none" else ()
        choice = None if ask.tool_choice in ("auto", "none") else ask.tool_choice
        return lm.prepare_chat(ask.messages, tools=tools or None, tool_choice=choice, **options)
    if ask.prompt is None:
        raise InvalidRequestError("prompt", "is missing")
    if ask.suffix is None:
        return lm.prepare(ask.prompt, **options)
    return lm.prepare(infill(lm, ask.prompt, ask.suffix), **options)


def _begun(lm: LanguageModel, ask: TextAsk) -> list[int]:
    """Token ids of what is asked, and of the answer as far as it is there."""
    begun = token_ids("begun", ask.begun, lm.config.vocabulary)
    if ask.tools or ask.suffix is not None:
        raise InvalidRequestError("begun", "goes neither with tools nor with a suffix")
    if ask.messages is not None:
        return [*lm.encode_chat(ask.messages), *begun]
    if isinstance(ask.prompt, str):
        return [*lm.tokenizer.encode(ask.prompt), *begun]
    return [*(ask.prompt or ()), *begun]


class Listener:
    """What is new of one sample after each step, as events."""

    def __init__(self, lm: LanguageModel, telling: Telling, index: int, ask: TextAsk) -> None:
        self._telling, self._tokenizer, self.index = telling, lm.tokenizer, index
        self._reader: ToolCallReader | None = None
        if ask.tools and ask.tool_choice != "none":
            self._reader = ToolCallReader(lm.tool_format, tool_names(ask.tools))
        self._parallel = ask.parallel
        self._scored = self._called = 0
        self.first: float | None = None

    def __call__(self, progress: Progress) -> list[Event] | None:
        """By the engine's thread, after a step."""
        if self.first is None and len(progress.preview()):
            self.first = time.perf_counter()
        if not isinstance(progress, SampleProgress):
            return None
        text = self._telling.hear(self.index, progress)
        events = self._read(text, progress.choices or ())
        if self._called and not self._parallel:
            progress.end("stop")
        return events or None

    def last(self, sample: TokenSample) -> list[Event]:
        """What is left to say once the sample is complete."""
        text = self._telling.rest(self.index, sample)
        events = self._read(text, sample.choices or (), last=True)
        stop = self._telling.met(self.index)
        if self._called:
            return [*events, Ended(self.index, "tool_calls")]
        length = stop is None and sample.finish_reason == "length"
        return [*events, Ended(self.index, "length" if length else "stop", stop)]

    def _read(self, text: str, choices: Sequence[Any], *, last: bool = False) -> list[Event]:
        scores = tuple(scored(self._tokenizer, each) for each in choices[self._scored :])
        self._scored = len(choices)
        calls: list[ToolCall] = []
        if self._reader is not None:
            text, calls = self._reader.push(text)
            if last:
                rest, more = self._reader.flush()
                text, calls = text + rest, calls + more
        events: list[Event] = [Piece(self.index, text, scores)] if text or scores else []
        for call in calls if self._parallel else calls[: 1 - self._called]:
            events.append(Called(self.index, self._called, self._id_of(call), call))
            self._called += 1
        return events

    def _id_of(self, call: ToolCall) -> str:
        """The same for the same request, so that a job that is killed and goes on has it too."""
        seed = self._telling.seeds[self.index]
        named = f"{seed} {self.index} {self._called} {call.name} {call.arguments}"
        return f"call_{hashlib.sha256(named.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"


class LocalAnswer:
    """As :class:`studiolo.task.asking.Answer`."""

    def __init__(
        self,
        lm: LanguageModel,
        telling: Telling,
        listeners: Sequence[Listener],
        tickets: Sequence[Ticket[TokenSample]],
    ) -> None:
        self._lm, self._telling = lm, telling
        self._listeners, self._tickets = listeners, tickets
        self._started = time.perf_counter()
        self._generation: Generation | None = None
        self._cached = 0

    @property
    def fingerprint(self) -> str:
        """Of the weights and of the arithmetic."""
        named = f"{self._lm.model.network.identity} {self._lm.bundle.digest}"
        return f"fp_{hashlib.sha256(named.encode()).hexdigest()[:16]}"

    @property
    def prompt_tokens(self) -> int:
        """Tokens asked with."""
        return len(self._telling.request.prompt)

    async def __aiter__(self) -> AsyncIterator[Event]:
        """The events of all samples, as they come."""
        said: asyncio.Queue[list[Event] | BaseException | None] = asyncio.Queue()
        samples: dict[int, TokenSample] = {}

        async def follow(listener: Listener, ticket: Ticket[TokenSample]) -> None:
            try:
                async for events in ticket:
                    said.put_nowait(events)
                samples[listener.index] = sample = await ticket
                if not self._telling.searching:
                    said.put_nowait(listener.last(sample))
                said.put_nowait(None)
            except Exception as error:
                said.put_nowait(error)

        pairs = zip(self._listeners, self._tickets, strict=True)
        following = [asyncio.create_task(follow(*pair)) for pair in pairs]
        left = len(following)
        try:
            while left:
                item = await said.get()
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    left -= 1
                    continue
                for event in item:
                    yield event
        finally:
            for task in following:
                task.cancel()
        firsts = [each.first for each in self._listeners if each.first is not None]
        self._generation = self._telling.whole(
            [samples[i] for i in range(len(samples))],
            min(firsts) - self._started if firsts else None,
            time.perf_counter() - self._started,
        )
        self._cached = samples[0].known
        if self._telling.searching:
            found = (self._generation, *self._generation.alternatives)
            for i, each in enumerate(found):
                yield Piece(i, each.text)
                yield Ended(i, "length" if each.finish_reason == "length" else "stop")

    @property
    def outcome(self) -> Outcome:
        """What it took."""
        usage = self._made.usage
        return Outcome(
            usage.prompt_tokens,
            self._cached,
            usage.completion_tokens,
            usage.seconds_to_first_token,
            usage.seconds,
            self._lm.bundle.digest,
            self._lm.model.network.identity,
        )

    def receipt(self) -> Receipt:
        """Enough to make the answer again, to the bit."""
        return self._lm.receipt(self._made)

    @property
    def _made(self) -> Generation:
        if self._generation is None:
            raise RuntimeError("an answer has no outcome before its events are over")
        return self._generation


def scored(tokenizer: Tokenizer, choice: Any) -> Scored:
    """A choice with its tokens spelled."""
    own = spelled(tokenizer, choice.id, choice.log_prob)
    top = tuple(spelled(tokenizer, *pair) for pair in choice.top)
    return Scored(own.text, own.bytes, own.log_prob, top, id=choice.id)


def spelled(tokenizer: Tokenizer, id: int, log_prob: float) -> Spelled:
    """A token as text; a model's table may have more rows than its tokenizer has tokens."""
    if id >= tokenizer.vocab_size:
        return Spelled(f"<{id}>", None, log_prob, id=id)
    return Spelled(tokenizer.token_text(id), tokenizer.token_bytes(id), log_prob, id=id)
