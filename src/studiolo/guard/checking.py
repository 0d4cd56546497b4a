"""The checks of a policy: each rule as a function from a text to what it finds.

A check says where and how surely, and what the policy wants done; it does nothing itself. What a
check needs from elsewhere (an embedder, the model of names) is handed in, and a policy that needs
what is not there is refused at once rather than enforced by half. Deliberately unknown here: time,
failure and consequences (``enforcing``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from studiolo.errors import InvalidRequestError
from studiolo.guard.content import PROTOTYPES, Categories
from studiolo.guard.contract import breaks, checked_schema
from studiolo.guard.expressions import compiled, spans
from studiolo.guard.finder import Finder
from studiolo.guard.grounding import support
from studiolo.guard.meaning import Embedder
from studiolo.guard.names import Names
from studiolo.guard.policy import Action, Policy, Strength
from studiolo.guard.topics import Topics
from studiolo.guard.trace import Hit
from studiolo.guard.words import WordList, profanities

Direction = Literal["input", "output"]


@dataclass(frozen=True)
class Context:
    """What an answer is held to: the passages it was given, and the question it is to meet."""

    sources: tuple[str, ...] = ()
    question: str | None = None


@dataclass(frozen=True)
class Ask:
    """A text to be checked; ``before``: what stood ahead of it, which has been checked."""

    text: str
    before: str = ""
    context: Context = Context()


class Find(Protocol):
    """Finds hits in a text."""

    def __call__(self, ask: Ask) -> Iterable[Hit]:
        """Each hit's span is in ``ask.text``."""
        ...


@dataclass(frozen=True)
class Check:
    """``whole``: it can say nothing of a part, as a contract of form cannot.

    ``exact``: it marks characters, which must not be cut in two when text comes in pieces.
    """

    rule: str
    find: Find
    whole: bool = False
    exact: bool = False


def checks_of(
    policy: Policy, direction: Direction, *, embed: Embedder | None, names: Names | None
) -> list[Check]:
    """All checks that ``policy`` wants in that direction.

    Raises :class:`InvalidRequestError` where ``embed`` is needed and not given, and
    :class:`~studiolo.errors.MissingExtraError` where a library is.
    """
    made = [
        *_words(policy, direction),
        *_expressions(policy, direction),
        *_personal(policy, direction, names),
        *_topics(policy, direction, embed),
        *_content(policy, direction, embed),
    ]
    if direction == "output":
        made += [*_grounding(policy, embed), *_contract(policy)]
    return made


def needs_embedder(policy: Policy) -> bool:
    """Whether anything in ``policy`` compares meanings."""
    strengths = [getattr(policy.content, name) for name in PROTOTYPES]
    rated = any(
        each is not None and {each.input, each.output} != {Strength.NONE} for each in strengths
    )
    return bool(policy.topics) or policy.grounding is not None or rated


def _needed(embed: Embedder | None, what: str) -> Embedder:
    if embed is None:
        raise InvalidRequestError(
            what,
            "compares meanings, and no embedder is given",
            remedy="Hand one in, such as studiolo.load_encoder().embed.",
        )
    return embed


def _marks(rule: str, action: Action, where: Callable[[str], list[tuple[int, int]]]) -> Check:
    def find(ask: Ask) -> Iterable[Hit]:
        return [Hit(a, b, rule, 1.0, action) for a, b in where(ask.text)]

    return Check(rule, find, exact=True)


def _words(policy: Policy, direction: Direction) -> Iterable[Check]:
    rule = policy.words
    if rule is None or (action := getattr(rule, direction)) is Action.NONE:
        return
    if rule.exact:
        yield _marks("words.exact", action, WordList(rule.exact).spans)
    if rule.profanity:
        yield _marks("words.profanity", action, WordList(profanities()).spans)


def _expressions(policy: Policy, direction: Direction) -> Iterable[Check]:
    for each in policy.expressions:
        action = getattr(each, direction)
        if action is not Action.NONE:
            expression = compiled(each.pattern)

            def where(text: str, expression: object = expression) -> list[tuple[int, int]]:
                return spans(expression, text)

            yield _marks(f"expressions.{each.name}", action, where)


def _personal(policy: Policy, direction: Direction, names: Names | None) -> Iterable[Check]:
    actions = {
        kind: getattr(each, direction)
        for each in policy.personal
        for kind in each.kinds
        if getattr(each, direction) is not Action.NONE
    }
    if not actions:
        return
    finder = Finder(actions, names)

    def find(ask: Ask) -> Iterable[Hit]:
        found = finder.find_in(ask.text, ask.before) if ask.before else finder.find(ask.text)
        return [
            Hit(each.start, each.end, f"personal.{each.kind}", each.score, actions[each.kind])
            for each in found
        ]

    yield Check("personal", find, exact=True)


def _topics(policy: Policy, direction: Direction, embed: Embedder | None) -> Iterable[Check]:
    wanted = [each for each in policy.topics if getattr(each, direction) is not Action.NONE]
    if not wanted:
        return
    topics = Topics(wanted, _needed(embed, "topics"))
    actions = {each.name: getattr(each, direction) for each in wanted}

    def find(ask: Ask) -> Iterable[Hit]:
        return [
            Hit(a, b, f"topics.{name}", score, actions[name])
            for a, b, name, score in topics.find(ask.text)
        ]

    yield Check("topics", find)


def _content(policy: Policy, direction: Direction, embed: Embedder | None) -> Iterable[Check]:
    strengths = {
        name: strength
        for name in type(policy.content).model_fields
        if (each := getattr(policy.content, name)) is not None
        and (strength := getattr(each, direction)) is not Strength.NONE
    }
    if not strengths:
        return
    if set(strengths) != {"prompt_attack"}:
        embed = _needed(embed, "content")
    categories = Categories(strengths, embed)

    def find(ask: Ask) -> Iterable[Hit]:
        return [
            Hit(a, b, f"content.{name}", score, Action.BLOCK)
            for a, b, name, score in categories.find(ask.text)
        ]

    yield Check("content", find)


def _grounding(policy: Policy, embed: Embedder | None) -> Iterable[Check]:
    rule = policy.grounding
    if rule is None or rule.action is Action.NONE:
        return
    embedder = _needed(embed, "grounding")

    def find(ask: Ask) -> Iterable[Hit]:
        sources, question = ask.context.sources, ask.context.question
        if not sources and question is None:
            return []
        told = support(ask.text, sources, question, embedder)
        found = []
        if rule.grounding is not None and sources:
            found += [
                Hit(a, b, "grounding.grounding", score, rule.action)
                for a, b, score in told.sentences
                if score < rule.grounding
            ]
        near = told.relevance
        if rule.relevance is not None and near is not None and near < rule.relevance:
            found.append(Hit(0, len(ask.text), "grounding.relevance", near, rule.action))
        return found

    yield Check("grounding", find, whole=True)


def _contract(policy: Policy) -> Iterable[Check]:
    if policy.contract is None:
        return
    validator = checked_schema(policy.contract.json_schema)

    def find(ask: Ask) -> Sequence[Hit]:
        if breaks(validator, ask.text):
            return [Hit(0, len(ask.text), "contract", 1.0, Action.BLOCK)]
        return []

    yield Check("contract", find, whole=True)
