"""Which replica gets a request: the one that has read its beginning, unless it is busy."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from studiolo.server.affinity import BEGINNING, BUSIER, beginning, ranked, token_of

LONG = {"role": "system", "content": "You are a very thorough assistant. " * 40}


def said(*texts: str, system: dict[str, Any] | None = None, **more: Any) -> bytes:
    roles = ("user", "assistant")
    turns = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
    return json.dumps(
        {"model": "m", "messages": [system, *turns] if system else turns, **more}
    ).encode()


def token(body: bytes, key: bytes = b"Bearer a") -> str:
    return token_of([(b"authorization", key)], body)


def test_turns_of_one_conversation_go_together() -> None:
    first = token(said("hello"))
    assert token(said("hello", "hi", "how are you?", max_tokens=3)) == first
    assert token(said("good day")) != first
    assert token(said("hello"), b"Bearer b") != first, "another key"
    assert token(said("hello", model="n")) != first


def test_conversations_under_one_long_system_prompt_go_together() -> None:
    assert token(said("hello", system=LONG)) == token(said("other", system=LONG))
    short = {"role": "system", "content": "Be brief."}
    assert token(said("hello", system=short)) != token(said("other", system=short))
    assert len(beginning(said("hello", system=LONG))) == BEGINNING


def test_every_dialect_s_prompt_is_found() -> None:
    bodies = [
        {"prompt": "once upon"},
        {"input": "once upon"},
        {"inputText": "once upon"},
        {"input": [{"role": "user", "content": "once upon"}]},
        {"system": "once upon", "messages": [{"role": "user", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"text": "once upon"}]}]},
        {"instructions": "once upon", "input": "x"},
    ]
    assert all("once upon" in beginning(json.dumps(body).encode()) for body in bodies)


@given(
    st.binary()
    | st.recursive(st.none() | st.text(), st.lists, max_leaves=4).map(repr).map(str.encode)
)
def test_no_body_breaks_it(body: bytes) -> None:
    assert len(token(body)) == 64


def test_nonsense_has_an_empty_beginning() -> None:
    for body in (b"", b"{", b"[1]", b"3", b"[" * 9999, b"x" * (2 << 20)):
        assert beginning(body) == ""


@given(st.text(), st.dictionaries(st.text(), st.integers(0, BUSIER), min_size=1))
def test_all_agree_on_an_order_and_all_are_in_it(token: str, loads: dict[str, int]) -> None:
    order = ranked(token, loads)
    assert sorted(order) == sorted(loads)
    assert ranked(token, dict(reversed(loads.items()))) == order


def test_the_favourite_is_passed_over_only_when_it_is_clearly_busier() -> None:
    idle = {"a": 0, "b": 0, "c": 0}
    first, second, _ = ranked("t", idle)
    assert ranked("t", {**idle, first: BUSIER})[0] == first
    assert ranked("t", {**idle, first: BUSIER + 1})[0] == second
    assert ranked("t", {**idle, first: BUSIER + 1})[-1] == first
    assert ranked("t", {}) == []


def test_tokens_spread_evenly_and_few_move_when_one_comes() -> None:
    tokens = [str(i) for i in range(3000)]
    before = {each: ranked(each, dict.fromkeys("abc", 0))[0] for each in tokens}
    assert all(800 < count < 1200 for count in Counter(before.values()).values())
    after = {each: ranked(each, dict.fromkeys("abcd", 0))[0] for each in tokens}
    moved = [each for each in tokens if after[each] != before[each]]
    assert all(after[each] == "d" for each in moved)
    assert len(moved) < 1000
