from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest

from studiolo.errors import InvalidRequestError
from studiolo.guard.enforcing import Guard
from studiolo.guard.policy import Action, Policy, policy_of
from studiolo.guard.pseudonyms import Pseudonyms
from studiolo.guard.trace import Hit
from tests.guard.samples import embedded

RULES = b"""
name: support
words: {exact: [falcon]}
personal:
  - {kinds: [EMAIL], input: mask, output: pseudonymise}
  - {kinds: [PIN], input: detect}
expressions:
  - {name: ticket, pattern: 'TCK-[0-9]+'}
messages: {input: Not so., output: Not that.}
"""
KEY = Pseudonyms(b"k" * 32)
GUARD = Guard(policy_of(RULES, "x"), pseudonyms=KEY)


def test_nothing_found_nothing_done() -> None:
    outcome = GUARD.judge("The sky is blue.", "input")
    assert (outcome.action, outcome.text, outcome.findings) == (
        Action.NONE,
        "The sky is blue.",
        (),
    )
    assert outcome.policy == GUARD.policy.digest


def test_masks_and_pseudonyms() -> None:
    text = "Write to a@example.org about TCK-12; my PIN is 4821."
    given = GUARD.judge(text, "input")
    assert given.action is Action.MASK
    assert given.text == "Write to {EMAIL} about {ticket}; my PIN is 4821."
    assert [(each.rule, each.action) for each in given.findings] == [
        ("personal.EMAIL", Action.MASK),
        ("expressions.ticket", Action.MASK),
        ("personal.PIN", Action.DETECT),
    ]
    made = GUARD.judge(text, "output")
    assert "{EMAIL:" in made.text
    assert KEY.undo(made.text) == "Write to a@example.org about {ticket}; my PIN is {PIN}."


def test_one_block_blocks_all() -> None:
    outcome = GUARD.judge("Falcon, write to a@example.org", "output")
    assert (outcome.action, outcome.text) == (Action.BLOCK, "Not that.")
    assert {each.rule for each in outcome.findings} == {"words.exact", "personal.EMAIL"}
    assert "example" not in str(outcome.as_json())


def test_where_two_lap_over_both_are_hidden() -> None:
    hits = [
        Hit(0, 6, "personal.NAME", 0.7, Action.MASK),
        Hit(4, 9, "expressions.x", 1, Action.MASK),
        Hit(5, 6, "words.exact", 1, Action.MASK),
        Hit(9, 11, "words.exact", 1, Action.MASK),
    ]
    assert GUARD.masked("abcdefghijklm", hits) == "{NAME}{x}{WORD}lm"


TOPIC = {"name": "x", "topics": [{"name": "t", "definition": "d"}], "seconds": 0.3}


def failing(error: type[Exception] | None, policy: dict[str, Any] = TOPIC) -> Guard:
    """Its embedder works once, for the examples, and then fails, or hangs."""
    calls: list[int] = []

    def embed(texts: Sequence[str]) -> object:
        calls.append(1)
        if len(calls) <= 2:
            return embedded(texts)
        if error is not None:
            raise error(f"cannot read {texts[0]}")
        time.sleep(5)
        return embedded(texts)

    return Guard(Policy.model_validate(policy), embed=embed)


@pytest.mark.parametrize(
    ("error", "name"),
    [(ValueError, "ValueError"), (MemoryError, "MemoryError"), (None, "TimeoutError")],
)
def test_a_check_that_fails_blocks_says_so_and_is_counted(
    error: type[Exception] | None, name: str
) -> None:
    guard = failing(error)
    start = time.monotonic()
    outcome = guard.judge("my secret is 4821", "input")
    assert time.monotonic() - start < 3
    assert outcome.action is Action.BLOCK
    assert outcome.text == guard.policy.messages.input
    assert [(each.rule, each.failed) for each in outcome.findings] == [("topics", name)]
    assert guard.failures == {f"topics: {name}": 1}
    assert "4821" not in str(outcome.as_json())
    guard.judge("again", "input")
    assert guard.failures[f"topics: {name}"] == 2


def test_detect_only_does_nothing_and_tells_all() -> None:
    policy = policy_of(RULES + b"mode: detect\n", "x")
    guard = Guard(policy, pseudonyms=KEY)
    text = "Falcon: a@example.org"
    outcome = guard.judge(text, "output")
    assert (outcome.action, outcome.text) == (Action.NONE, text)
    assert {(each.rule, each.action) for each in outcome.findings} == {
        ("words.exact", Action.DETECT),
        ("personal.EMAIL", Action.DETECT),
    }
    broken = failing(ValueError, {**TOPIC, "mode": "detect"})
    told = broken.judge("x", "input")
    assert (told.action, told.text) == (Action.NONE, "x")
    assert told.findings[0].failed == "ValueError"
    assert broken.failures == {"topics: ValueError": 1}


def test_a_policy_that_cannot_be_kept_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="there is no key"):
        Guard(policy_of(RULES, "x"))
    with pytest.raises(InvalidRequestError, match="no embedder"):
        Guard(Policy.model_validate(TOPIC))
