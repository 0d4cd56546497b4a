from __future__ import annotations

import pytest

from studiolo.errors import InvalidRequestError
from studiolo.guard.checking import Ask, Context, checks_of, needs_embedder
from studiolo.guard.policy import Policy, policy_of
from tests.guard.samples import embedded

ALL = policy_of(
    b"""
name: all
words: {exact: [falcon], profanity: true, output: none}
personal:
  - {kinds: [EMAIL], output: none}
  - {kinds: [PIN], input: block}
expressions:
  - {name: ticket, pattern: 'TCK-[0-9]+', output: detect}
topics:
  - {name: money, definition: "Should I buy shares?", input: none}
content:
  insults: {input: high, output: none}
  prompt_attack: {input: low, output: none}
grounding: {grounding: 0.5, relevance: 0.5, action: detect}
contract: {json_schema: {type: object}}
""",
    "all",
)


def rules(policy: Policy, direction: str) -> list[str]:
    made = checks_of(policy, direction, embed=embedded, names=None)  # type: ignore[arg-type]
    return [each.rule for each in made]


def test_each_direction_has_its_own() -> None:
    assert rules(ALL, "input") == [
        "words.exact",
        "words.profanity",
        "expressions.ticket",
        "personal",
        "content",
    ]
    assert rules(ALL, "output") == [
        "expressions.ticket",
        "personal",
        "topics",
        "grounding",
        "contract",
    ]


@pytest.mark.parametrize(
    ("direction", "text", "expected"),
    [
        ("input", "a Falcon", {("words.exact", "Falcon", "block")}),
        ("input", "my PIN is 4821", {("personal.PIN", "4821", "block")}),
        ("input", "a@b.org", {("personal.EMAIL", "a@b.org", "mask")}),
        ("output", "a@b.org", {("contract", "a@b.org", "block")}),
        ("output", '{"a": "TCK-1"}', {("expressions.ticket", "TCK-1", "detect")}),
        (
            "output",
            "Should I buy shares?",
            {
                ("topics.money", "Should I buy shares?", "block"),
                ("contract", "Should I buy shares?", "block"),
            },
        ),
    ],
)
def test_what_is_found(direction: str, text: str, expected: set[tuple[str, str, str]]) -> None:
    made = checks_of(ALL, direction, embed=embedded, names=None)  # type: ignore[arg-type]
    hits = [hit for check in made for hit in check.find(Ask(text))]
    assert {(hit.rule, text[hit.start : hit.end], hit.action.value) for hit in hits} == expected


def test_grounding_where_there_is_something_to_be_grounded_in() -> None:
    (check,) = (
        each
        for each in checks_of(ALL, "output", embed=embedded, names=None)
        if each.rule == "grounding"
    )
    text = "The sky is green. Cats fly."
    assert list(check.find(Ask(text))) == []
    context = Context(("The sky is green today.",), "What colour has the sky?")
    found = {
        (each.rule, text[each.start : each.end]) for each in check.find(Ask(text, context=context))
    }
    assert ("grounding.grounding", "Cats fly.") in found
    assert ("grounding.grounding", "The sky is green.") not in found
    rules = {each.rule for each in check.find(Ask("Yes.", context=Context((), "Why?")))}
    assert rules == {"grounding.relevance"}


def test_what_compares_meanings_needs_an_embedder() -> None:
    assert needs_embedder(ALL)
    plain = Policy.model_validate({"name": "x", "content": {"prompt_attack": {}}})
    assert not needs_embedder(plain)
    assert rules(plain, "input") == ["content"]
    for direction in ("input", "output"):
        with pytest.raises(InvalidRequestError, match="no embedder is given"):
            checks_of(ALL, direction, embed=None, names=None)
