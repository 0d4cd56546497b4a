"""A request for text, whoever asked in whatever words, and what is told of its answer.

Every dialect is turned into a :class:`TextAsk` and written from these events; every model, here or
elsewhere, answers in them. A conversation stands in OpenAI's form, which chat templates know.
Plain values: this module knows neither models nor HTTP.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from studiolo.modality.text.tools import ToolCall
from studiolo.record.receipt import Receipt

Message = Mapping[str, object]
Reason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True)
class TextAsk:
    """Text asked for: after ``messages``, or after ``prompt`` and, if given, before ``suffix``.

    ``begun``: token ids that the answer begins with already; what is told goes on from there.
    ``begun_text``: what they say, where a client gave them as text. ``others``: further prompts,
    each answered as if alone; their samples are numbered on. ``echo``: what is told begins with the
    prompt, its tokens scored if ``log_probs`` are asked for; ``max_tokens`` may then be 0.
    ``tools`` in OpenAI's form; ``tool_choice``: ``auto``, ``none``, ``required`` or a tool's name;
    ``parallel``: whether more than one call may be made. ``options`` are those of
    :meth:`LanguageModel.prepare`, ``seed`` among them if one was given.
    """

    model: str
    messages: Sequence[Message] | None = None
    prompt: str | Sequence[int] | None = None
    suffix: str | None = None
    begun: Sequence[int] = ()
    begun_text: str | None = None
    others: Sequence[str | Sequence[int]] = ()
    echo: bool = False
    tools: Sequence[Message] = ()
    tool_choice: str = "auto"
    parallel: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Spelled:
    """A token as text and as bytes (None for one that is no text), and its log-probability.

    ``id``: in its model's vocabulary; None of a model elsewhere, which does not tell.
    """

    text: str
    bytes: bytes | None
    log_prob: float
    id: int | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Scored(Spelled):
    """A chosen token and the likeliest in its place, best first."""

    top: tuple[Spelled, ...] = ()


@dataclass(frozen=True)
class Piece:
    """New text of the sample ``index``; ``scores`` of the tokens drawn for it, if asked for.

    Either may be empty: text is held back while it could be part of something else.
    """

    index: int
    text: str
    scores: tuple[Scored, ...] = ()


@dataclass(frozen=True)
class Echoed:
    """The prompt, before all else of the sample ``index``; ``scores`` of its tokens, if asked for.

    The first token has none, since nothing stands before it: its log-probability is not a number.
    ``offsets``: where in ``text`` each token begins.
    """

    index: int
    text: str
    scores: tuple[Scored, ...] = ()
    offsets: tuple[int, ...] = ()


@dataclass(frozen=True)
class Called:
    """A whole call of a tool by the sample ``index``, its ``place``-th; ``id`` names it."""

    index: int
    place: int
    id: str
    call: ToolCall


@dataclass(frozen=True)
class Ended:
    """The sample ``index`` is complete. ``stop``: the stop string that ended it."""

    index: int
    reason: Reason
    stop: str | None = None


Event = Piece | Called | Ended | Echoed


@dataclass(frozen=True)
class Outcome:
    """What an answer took, or has taken so far; times in seconds.

    ``cached_tokens``: those of the prompt that were known already. ``weights``: the model's digest,
    ``engine``: what computed it; both are empty for a model elsewhere.
    """

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    seconds_to_first: float | None
    seconds: float
    weights: str = ""
    engine: str = ""


class Answer(Protocol):
    """An answer under way. Iterate once for its events."""

    def __aiter__(self) -> AsyncIterator[Event]:
        """The events, as they come."""

    @property
    def fingerprint(self) -> str:
        """What the answer depends on beside the request: equal ones mean equal bits."""

    @property
    def prompt_tokens(self) -> int:
        """Tokens asked with."""

    @property
    def outcome(self) -> Outcome:
        """What it took; while events are left, or if they broke off, what it took so far."""

    def receipt(self) -> Receipt | None:
        """Once its events are over, enough to make the answer again, to the bit.

        None of a model elsewhere.
        """


class Relay:
    """Another answer, handed on: a subclass says what becomes of its events."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    @property
    def fingerprint(self) -> str:
        """As :attr:`Answer.fingerprint`."""
        return self._answer.fingerprint

    @property
    def prompt_tokens(self) -> int:
        """As :attr:`Answer.prompt_tokens`."""
        return self._answer.prompt_tokens

    @property
    def outcome(self) -> Outcome:
        """As :attr:`Answer.outcome`."""
        return self._answer.outcome

    def receipt(self) -> Receipt | None:
        """As :meth:`Answer.receipt`."""
        return self._answer.receipt()


@dataclass
class Choice:
    """One sample, whole; ``echo``: the prompt before it, if that was to be told."""

    index: int
    text: str = ""
    calls: list[Called] = field(default_factory=list)
    scores: list[Scored] = field(default_factory=list)
    reason: Reason = "stop"
    stop: str | None = None
    echo: Echoed | None = None


class Choices:
    """The samples of an answer as its events come."""

    def __init__(self) -> None:
        self._by_index: dict[int, Choice] = {}

    def hear(self, event: Event) -> None:
        """Take up what ``event`` adds."""
        choice = self._by_index.setdefault(event.index, Choice(event.index))
        if isinstance(event, Piece):
            choice.text += event.text
            choice.scores += event.scores
        elif isinstance(event, Called):
            choice.calls.append(event)
        elif isinstance(event, Echoed):
            choice.echo = event
        else:
            choice.reason, choice.stop = event.reason, event.stop

    @property
    def made(self) -> list[Choice]:
        """All so far, in order."""
        return [self._by_index[index] for index in sorted(self._by_index)]


async def collect(answer: Answer) -> list[Choice]:
    """All samples of ``answer``, whole, in order."""
    choices = Choices()
    async for event in answer:
        choices.hear(event)
    return choices.made
