from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.guard.checking import Context
from studiolo.guard.enforcing import Guard
from studiolo.guard.guarded_stream import GuardedStream
from studiolo.guard.policy import Action, Policy, policy_of
from tests.guard.samples import embedded

GUARD = Guard(
    policy_of(
        b"""
name: x
words: {exact: [project falcon]}
personal: [{kinds: [EMAIL, CREDIT_DEBIT_CARD_NUMBER, PIN]}]
expressions: [{name: ticket, pattern: 'TCK-[0-9]+'}]
messages: {output: Stopped.}
""",
        "x",
    )
)
TEXT = "Write to a@example.org. TCK-12 is yours! Card 4111 1111 1111 1111, thanks. Bye"


def given_out(text: str, places: list[int], guard: Guard = GUARD) -> tuple[str, GuardedStream]:
    stream = GuardedStream(guard, "output")
    edges = [0, *sorted(min(each, len(text)) for each in places), len(text)]
    said = [stream.feed(text[a:b]) for a, b in pairwise(edges)]
    return "".join([*said, stream.finish()]), stream


def test_every_split_gives_what_the_whole_gives() -> None:
    whole = GUARD.judge(TEXT, "output")
    for place in range(len(TEXT)):
        said, stream = given_out(TEXT, [place])
        assert said == whole.text
        assert stream.outcome() == whole


PIECES = st.sampled_from(
    ["a@example.org ", "TCK-1", "4111 1111 1111 1111", ". ", "word ", "PIN 4821 ", "\n\n", "é"]
)


@settings(max_examples=25, deadline=None)
@given(st.lists(PIECES, max_size=15).map("".join), st.lists(st.integers(0, 200), max_size=5))
def test_any_split(text: str, places: list[int]) -> None:
    assert given_out(text, places)[0] == given_out(text, [])[0]


def test_what_is_blocked_ends_it_and_was_never_said() -> None:
    text = "It is well. Project Falcon is secret. And more. Much more."
    for place in range(len(text)):
        said, stream = given_out(text, [place])
        assert said == "It is well. Stopped."
        assert stream.blocked
        assert stream.outcome().action is Action.BLOCK
        assert stream.outcome().text == said
        assert stream.feed("x") == stream.finish() == ""
    (hit,) = stream.outcome().findings
    assert text[hit.start : hit.end] == "Project Falcon"


def test_what_can_be_said_of_the_whole_alone_holds_all_back() -> None:
    policy = Policy.model_validate({"name": "x", "contract": {"json_schema": {"type": "array"}}})
    guard = Guard(policy)
    stream = GuardedStream(guard, "output")
    assert stream.feed("[1, 2. ") + stream.feed("3]. ") == ""
    assert stream.finish() == policy.messages.output
    good = GuardedStream(guard, "output")
    assert good.feed("[1, 2]") == ""
    assert good.finish() == "[1, 2]"
    assert GuardedStream(guard, "input").feed("Hello. You") == "Hello. "


def test_grounding_of_a_stream() -> None:
    policy = Policy.model_validate({"name": "x", "grounding": {"grounding": 0.5}})
    guard = Guard(policy, embed=embedded)
    stream = GuardedStream(guard, "output", Context(("The sky is blue.",)))
    assert stream.feed("The sky is blue. ") == ""
    assert stream.feed("Elephants fly.") == ""
    assert stream.finish() == policy.messages.output


@pytest.mark.parametrize("text", ["", "\n", "x" * 9000])
def test_odd_texts(text: str) -> None:
    assert given_out(text, [1, 2])[0] == text
