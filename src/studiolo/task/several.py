"""Several prompts of one request, each answered as if it had been asked alone.

Their samples are numbered on: those of the first prompt, then those of the second, and so on. Does
not know what answers.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace

from studiolo.record.receipt import Receipt
from studiolo.task.asking import Answer, Event, Outcome, TextAsk
from studiolo.task.telling import together
from studiolo.task.wording import worded

Tell = Callable[[TextAsk, bool], AbstractAsyncContextManager[Answer]]
"""An answer to one prompt, and whether to wait for room."""


@asynccontextmanager
async def several(ask: TextAsk, tell: Tell) -> AsyncIterator[Answer]:
    """One answer to all prompts of ``ask``; as ``tell``, whose errors then name the prompt.

    Only the first may find no room: the others wait, however many they are.
    """
    async with AsyncExitStack() as held:
        answers = []
        for i, prompt in enumerate((ask.prompt, *ask.others)):
            with worded({"prompt": f"prompt.{i}"}):
                one = replace(ask, prompt=prompt, others=())
                answers.append(await held.enter_async_context(tell(one, i > 0)))
        yield Several(answers, ask.options.get("n") or 1)


class Several:
    """As :class:`studiolo.task.asking.Answer`. ``count``: samples of each of ``answers``."""

    def __init__(self, answers: Sequence[Answer], count: int) -> None:
        self._answers, self._count = answers, count

    @property
    def fingerprint(self) -> str:
        """That of each."""
        return self._answers[0].fingerprint

    @property
    def prompt_tokens(self) -> int:
        """Of all together."""
        return sum(each.prompt_tokens for each in self._answers)

    async def __aiter__(self) -> AsyncIterator[Event]:
        """The events of all, as they come."""
        numbered = [self._numbered(i, each) for i, each in enumerate(self._answers)]
        async with aclosing(together(numbered)) as told:
            async for events in told:
                for event in events:
                    yield event

    @property
    def outcome(self) -> Outcome:
        """What all took together."""
        took = [each.outcome for each in self._answers]
        firsts = [each.seconds_to_first for each in took if each.seconds_to_first is not None]
        return replace(
            took[0],
            prompt_tokens=sum(each.prompt_tokens for each in took),
            cached_tokens=sum(each.cached_tokens for each in took),
            completion_tokens=sum(each.completion_tokens for each in took),
            seconds_to_first=min(firsts, default=None),
            seconds=max(each.seconds for each in took),
        )

    def receipt(self) -> Receipt | None:
        """None: a receipt is of one prompt."""

    async def _numbered(self, place: int, answer: Answer) -> AsyncGenerator[list[Event], None]:
        async for event in answer:
            yield [replace(event, index=place * self._count + event.index)]
