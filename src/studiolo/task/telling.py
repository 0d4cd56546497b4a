"""A model of this machine answers: what is asked is prepared, what is drawn becomes events.

A :class:`Listener` is shown a sample after each of its steps, by the engine's thread, and says what
is new: text, calls of tools, scores. :class:`LocalAnswer` brings together what the listeners of all
samples say. What is said depends on a sample's tokens alone, not on how many a step made. Does not
know who asks, nor in which dialect.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from studiolo.errors import InvalidRequestError
from studiolo.family.autoregressive import (
    FinishReason,
    Progress,
    SampleProgress,
    TokenChoice,
    TokenSample,
)
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.modality.text.tools import ToolCall, ToolCallReader, tool_names
from studiolo.record.receipt import Receipt
from studiolo.runtime.ticket import Ticket
from studiolo.sampler.constraint import KINDS
from studiolo.task.arguments import stop_strings, token_ids
from studiolo.task.asking import Called, Ended, Event, Outcome, Piece, Scored, Spelled, TextAsk
from studiolo.task.generation import Generation, Telling
from studiolo.task.infilling import infill
from studiolo.task.text import LanguageModel


def prepared(lm: LanguageModel, ask: TextAsk) -> Telling:
    """The request of ``ask`` to ``lm``; raises what :meth:`LanguageModel.prepare` does.

    Calls that are forced are right ones, and there is then no text that a ``json_schema`` could be
    of. Calls that the model makes of its own accord are held to the tools' parameters where a tool
    says ``strict``, or where a ``json_schema`` holds for the text beside them; any other
    constraint is of a whole text, and goes with no tools.
    """
    options = dict(ask.options)
    if ask.echo:
        if ask.prompt is None or ask.suffix is not None or ask.begun:
            raise InvalidRequestError("echo", "with logprobs is of a prompt alone")
        if options.get("max_tokens") == 0:
            options["max_tokens"] = 1  # of which none is made
    if ask.begun:
        return lm.prepare(_begun(lm, ask), **options)
    if ask.messages is not None:
        if ask.tool_choice == "none" or (ask.tool_choice == "auto" and not ask.tools):
            return lm.prepare_chat(ask.messages, **options)
        return _with_tools(lm, ask, options)
    if ask.prompt is None:
        raise InvalidRequestError("prompt", "is missing")
    if ask.suffix is None:
        return lm.prepare(ask.prompt, **options)
    return lm.prepare(infill(lm, ask.prompt, ask.suffix), **options)


def _with_tools(lm: LanguageModel, ask: TextAsk, options: dict[str, Any]) -> Telling:
    given = [kind for kind in KINDS if options.get(kind) is not None]
    choice: str | None = ask.tool_choice
    if choice != "auto":
        options.pop("json_schema", None)
    elif not given:
        choice = "auto" if any(map(_is_strict, ask.tools)) else None
    elif given != ["json_schema"]:
        raise InvalidRequestError(
            given[0],
            "is of the whole text, so that no tool could be called",
            remedy="Leave it or the tools out.",
        )
    closing = _closing(lm, ask)
    if closing is not None:
        options["stop"] = (*_stops(ask), closing)
    shown = [_shown(tool) for tool in ask.tools]
    return lm.prepare_chat(ask.messages or (), tools=shown, tool_choice=choice, **options)


def _stops(ask: TextAsk) -> tuple[str, ...]:
    return stop_strings(ask.options.get("stop") or ())


def _is_strict(tool: Mapping[str, Any]) -> bool:
    inner = tool.get("function", tool)
    return isinstance(inner, Mapping) and inner.get("strict") is True


def _shown(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool as models are trained to read it: without how its calls are enforced."""
    inner = tool.get("function")
    if not isinstance(inner, Mapping):
        return tool
    kept = {name: value for name, value in inner.items() if name != "strict"}
    return {**tool, "function": kept}


def _closing(lm: LanguageModel, ask: TextAsk) -> str | None:
    """What ends a sample that may make one call and no more, where the format has such a sign."""
    form = lm.tool_format
    return form.closing if not ask.parallel and not form.bare else None


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
    """What is new of one sample after each step, as events.

    Of the steps so far: ``read``, tokens of the prompt, of which ``known`` were known already;
    ``made``, new tokens; ``first``: when the first of them came.
    """

    def __init__(self, lm: LanguageModel, telling: Telling, index: int, ask: TextAsk) -> None:
        self._telling, self._tokenizer, self.index = telling, lm.tokenizer, index
        self._reader: ToolCallReader | None = None
        self._closing: str | None = None
        if ask.tools and ask.tool_choice != "none":
            form = lm.tool_format
            if telling.request.constraint is not None:  # which knows the format's own signs alone
                form = replace(form, fenced=False)
            self._reader = ToolCallReader(form, tool_names(ask.tools))
            closing = _closing(lm, ask)
            self._closing = closing if closing not in _stops(ask) else None
        self._parallel = ask.parallel
        self._scored = self._called = 0
        self.read = self.known = self.made = 0
        self.first: float | None = None

    def __call__(self, progress: Progress) -> list[Event] | None:
        """By the engine's thread, after a step."""
        self._count(progress)
        if self.first is None and self.made:
            self.first = time.perf_counter()
        if not isinstance(progress, SampleProgress):
            return None
        text = self._telling.hear(self.index, progress)
        return self._read(text, progress.choices or ()) or None

    def _count(self, progress: Progress) -> None:
        if not progress.rows:  # a search that is over
            return
        row, request = progress.rows[0], progress.request
        unread = 0 if row.prompt is None else len(row.pending)
        self.read, self.known = len(request.prompt) - unread, progress.known
        if isinstance(progress, SampleProgress):
            self.made = len(progress.preview())
        else:
            self.made = request.best * len(progress.histories[0].generated)

    def last(self, sample: TokenSample) -> list[Event]:
        """What is left to say once the sample is complete."""
        text = self._telling.rest(self.index, sample)
        return self.end(text, sample.choices or (), sample.finish_reason)

    def end(self, text: str, choices: Sequence[TokenChoice], reason: FinishReason) -> list[Event]:
        """The last text, and why it is the last."""
        events = self._read(text, choices, last=True)
        met = self._telling.met(self.index)
        stop = None if met == self._closing else met
        whole = self._reader is not None and self._reader.settled
        if met is None and reason == "length" and not whole:
            return [*events, Ended(self.index, "length")]
        return [*events, Ended(self.index, "tool_calls" if self._called else "stop", stop)]

    def _read(
        self, text: str, choices: Sequence[TokenChoice], *, last: bool = False
    ) -> list[Event]:
        scores = tuple(scored(self._tokenizer, each) for each in choices[self._scored :])
        self._scored = len(choices)
        parts: list[str | ToolCall] = [text] if text else []
        if self._reader is not None:
            parts = self._reader.read(text, last=last)
        events: list[Event] = []
        for part in parts:
            if self._called and not self._parallel:
                break  # what comes after the one call is not told
            if isinstance(part, ToolCall):
                events.append(Called(self.index, self._called, self._id_of(part), part))
                self._called += 1
            else:
                events.append(Piece(self.index, part))
        if scores:
            first = events[0] if events else None
            if isinstance(first, Piece):
                events[0] = Piece(self.index, first.text, scores)
            else:
                events.insert(0, Piece(self.index, "", scores))
        return events

    def _id_of(self, call: ToolCall) -> str:
        """The same for the same request, so that a job that is killed and goes on has it too."""
        asked = self._telling.asked
        digest = hashlib.sha256(array("q", asked.prompt))  # one turn's id is not another's
        named = f"{asked.seed} {self.index} {self._called} {call.name} {call.arguments}"
        digest.update(named.encode())
        return f"call_{digest.hexdigest()[:24]}"


class LocalAnswer:
    """As :class:`studiolo.task.asking.Answer`."""

    def __init__(
        self,
        lm: LanguageModel,
        ask: TextAsk,
        telling: Telling,
        listeners: Sequence[Listener],
        tickets: Sequence[Ticket[TokenSample]],
        started: float,
    ) -> None:
        """``started``: when it was asked for, by :func:`time.perf_counter`."""
        self._lm, self._ask, self._telling = lm, ask, telling
        self._listeners, self._tickets = listeners, tickets
        self._started = started
        self._generation: Generation | None = None
        self._cached = 0

    @property
    def fingerprint(self) -> str:
        """Of the weights, of the adapter and of the arithmetic."""
        named = f"{self._lm.model.network.identity} {self._lm.bundle.digest}"
        if (adapter := self._telling.asked.adapter) is not None:
            named += f" {adapter.weights}"
        return f"fp_{hashlib.sha256(named.encode()).hexdigest()[:16]}"

    @property
    def prompt_tokens(self) -> int:
        """Tokens asked with."""
        return len(self._telling.request.prompt)

    async def __aiter__(self) -> AsyncIterator[Event]:
        """The events of all samples, as they come."""
        samples: dict[int, TokenSample] = {}
        try:
            pairs = zip(self._listeners, self._tickets, strict=True)
            async with aclosing(together([_followed(*pair, samples) for pair in pairs])) as told:
                async for events in told:
                    for event in events if not self._telling.searching else ():
                        yield event
        finally:
            if len(samples) < len(self._tickets):  # what one sample came to ends the others
                for ticket in self._tickets:
                    ticket.cancel()
        self._generation = made = self._telling.whole(
            [samples[i] for i in range(len(samples))],
            self._seconds_to_first(),
            time.perf_counter() - self._started,
        )
        # The first sample that read the prompt may have let the others know it.
        self._cached = min(sample.known for sample in samples.values())
        if self._telling.searching:
            for i, each in enumerate((made, *made.alternatives)):
                listener = Listener(self._lm, self._telling, i, self._ask)
                for event in listener.end(each.text, (), each.finish_reason):
                    yield event

    @property
    def outcome(self) -> Outcome:
        """What it took; of one that is not over, the tokens read and made up to its last step."""
        named = self._lm.bundle.digest, self._lm.model.network.identity
        if self._generation is None:
            heard = self._listeners
            return Outcome(
                max((each.read for each in heard), default=0),
                min((each.known for each in heard), default=0),
                sum(each.made for each in heard),
                self._seconds_to_first(),
                time.perf_counter() - self._started,
                *named,
            )
        usage = self._generation.usage
        return Outcome(
            usage.prompt_tokens,
            self._cached,
            usage.completion_tokens,
            usage.seconds_to_first_token,
            usage.seconds,
            *named,
        )

    def receipt(self) -> Receipt:
        """Enough to make the answer again, to the bit."""
        if self._generation is None:
            raise RuntimeError("an answer has no receipt before its events are over")
        return self._lm.receipt(self._generation)

    def _seconds_to_first(self) -> float | None:
        firsts = [each.first for each in self._listeners if each.first is not None]
        return min(firsts) - self._started if firsts else None


async def _followed(
    listener: Listener, ticket: Ticket[TokenSample], samples: dict[int, TokenSample]
) -> AsyncGenerator[list[Event], None]:
    """What is said of one sample, and the sample into ``samples``."""
    async for events in ticket:
        yield events
    samples[listener.index] = sample = await ticket
    yield listener.last(sample)


async def together(
    told: Sequence[AsyncGenerator[list[Event], None]],
) -> AsyncGenerator[list[Event], None]:
    """What all of ``told`` yield, as it comes; the first error is the last of all."""
    if len(told) == 1:
        async for events in told[0]:
            yield events
        return
    said: asyncio.Queue[list[Event] | Exception | None] = asyncio.Queue()

    async def follow(one: AsyncGenerator[list[Event], None]) -> None:
        try:
            async for events in one:
                said.put_nowait(events)
            said.put_nowait(None)
        except Exception as error:
            said.put_nowait(error)

    following = [asyncio.create_task(follow(one)) for one in told]
    try:
        left = len(following)
        while left:
            item = await said.get()
            if isinstance(item, Exception):
                raise item
            if item is None:
                left -= 1
            else:
                yield item
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


def scored(tokenizer: Tokenizer, choice: TokenChoice) -> Scored:
    """A choice with its tokens spelled."""
    own = spelled(tokenizer, choice.id, choice.log_prob)
    top = tuple(spelled(tokenizer, *pair) for pair in choice.top)
    return Scored(own.text, own.bytes, own.log_prob, top, id=choice.id)


def spelled(tokenizer: Tokenizer, id: int, log_prob: float) -> Spelled:
    """A token as text; a model's table may have more rows than its tokenizer has tokens."""
    if id >= tokenizer.vocab_size:
        return Spelled(f"<{id}>", None, log_prob, id=id)
    return Spelled(tokenizer.token_text(id), tokenizer.token_bytes(id), log_prob, id=id)
