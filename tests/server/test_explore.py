"""An answer token by token, gone on from at any of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

import studiolo
from studiolo.record.receipt import Receipt
from studiolo.server.explore import said
from tests.server.examples import run_examples
from tests.server.serving import Served

SAID: list[Any] = [{"role": "user", "content": "the rain"}]


@pytest.fixture(scope="module")
def lm(tiny_home: Any) -> studiolo.LanguageModel:
    return studiolo.load("tiny", device="cpu")


def told(served: Served, **body: Any) -> list[dict[str, Any]]:
    """The events of an answer."""
    reply = served.http().post("/studiolo/v1/continue", json={"model": "tiny", **body})
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].startswith("text/event-stream")
    lines = [line for line in reply.text.split("\n\n") if line]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def refused(served: Served, **body: Any) -> tuple[int, str | None, str]:
    reply = served.http().post("/studiolo/v1/continue", json={"model": "tiny", **body})
    error = reply.json()["error"]
    return reply.status_code, error["param"], error["message"]


def tokens_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [token for each in events for token in each.get("tokens", ())]


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join([events[0]["begun"], *(each.get("text", "") for each in events)])


def test_every_token_is_told_with_its_alternatives(
    served: Served, lm: studiolo.LanguageModel
) -> None:
    events = told(served, messages=SAID, seed=4, max_tokens=12, log_probs=3)
    expected = lm.chat(SAID, seed=4, max_tokens=12, log_probs=3)
    tokens = tokens_of(events)
    assert [each["id"] for each in tokens] == list(expected.token_ids)
    assert text_of(events) == expected.text
    assert expected.log_probs is not None
    for token, choice in zip(tokens, expected.log_probs, strict=True):
        assert token["log_prob"] == choice.log_prob
        assert [(t["id"], t["log_prob"]) for t in token["top"]] == list(choice.top)
        assert token["text"] == lm.tokenizer.token_text(choice.id)
    first, last = events[0], events[-1]
    assert first["prompt_tokens"] == expected.usage.prompt_tokens
    assert first["model"] == "tiny"
    assert last["ended"] == expected.finish_reason
    assert last["usage"]["completion_tokens"] == len(tokens)
    receipt = Receipt.parse(last["receipt"].encode())
    assert receipt == lm.receipt(expected)
    assert receipt.to_bytes().decode() == last["receipt"]


@pytest.mark.parametrize("asked", [{"messages": SAID}, {"prompt": "after the rain"}])
def test_another_token_is_gone_on_from(
    served: Served, lm: studiolo.LanguageModel, asked: dict[str, Any]
) -> None:
    first = tokens_of(told(served, **asked, seed=4, max_tokens=8))
    other = next(each["id"] for each in first[3]["top"] if each["id"] != first[3]["id"])
    begun = [*(each["id"] for each in first[:3]), other]
    events = told(served, **asked, begun=begun, seed=5, max_tokens=6)
    before = lm.encode_chat(SAID) if "messages" in asked else lm.tokenizer.encode(asked["prompt"])
    expected = lm.generate([*before, *begun], seed=5, max_tokens=6)
    assert [each["id"] for each in tokens_of(events)] == list(expected.token_ids)
    assert events[0]["begun"] == said(lm.tokenizer, begun)
    assert text_of(events) == lm.tokenizer.decode([*begun, *expected.token_ids])
    assert Receipt.parse(events[-1]["receipt"].encode()).asked.prompt == (*before, *begun)


def test_what_ends_an_answer_is_marked(served: Served, lm: studiolo.LanguageModel) -> None:
    ends = lm.tokenizer.eos_ids
    end = min(ends)
    bias = {str(end): 100}
    (token,) = tokens_of(
        told(served, prompt="x", max_tokens=1, ignore_eos=True, logit_bias=bias, temperature=0)
    )
    assert token["id"] == end
    assert token["ends"] is True
    assert token["text"] == "<|eos|>"
    assert not any("ends" in each for each in token["top"] if each["id"] not in ends)
    ended = told(served, prompt="x", max_tokens=9, logit_bias=bias)
    assert ended[-1]["ended"] == "stop"
    assert tokens_of(ended) == []


def test_half_a_character_is_left_to_what_follows(lm: studiolo.LanguageModel) -> None:
    euro = lm.tokenizer.encode("€")
    assert len(euro) == 3
    assert said(lm.tokenizer, euro) == "€"
    assert said(lm.tokenizer, euro[:2]) == ""
    assert said(lm.tokenizer, [*euro, *lm.tokenizer.eos_ids, 10**6, *euro]) == "€€"


def test_what_is_wrong_is_named(served: Served) -> None:
    for body, field in (
        ({}, "messages"),
        ({"messages": SAID, "prompt": "x"}, "messages"),
        ({"prompt": "x", "begun": [10**6]}, "begun"),
        ({"prompt": "x", "begun": [-1]}, "begun"),
        ({"prompt": "x", "begun": ["a"]}, "begun.0"),
        ({"prompt": "x", "log_probs": 21}, "log_probs"),
        ({"prompt": "x", "temperature": -1}, "temperature"),
        ({"prompt": "x", "beams": 2}, "log_probs"),
        ({"prompt": "x", "n": 2}, "n"),
        ({"prompt": "x", "max_tokens": 10_000}, "max_tokens"),
    ):
        status, param, message = refused(served, **body)
        assert (status, param) == (400, field), message
    assert refused(served, model="nobody", prompt="x")[0] == 404
    assert "makes vectors" in refused(served, model="tiny-encoder", prompt="x")[2]


def test_it_is_in_the_records(served: Served) -> None:
    body = {"model": "tiny", "prompt": "the cat", "max_tokens": 3, "ignore_eos": True}
    reply = served.http().post("/studiolo/v1/continue", json=body)
    row = served.entry(reply.headers["x-request-id"])
    assert row.endpoint == "POST /studiolo/v1/continue"
    assert (row.model, row.status, row.completion_tokens) == ("tiny", 200, 3)


def test_the_example_of_the_docs_runs(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_examples("page.md", served)
    assert len(names["tokens"]) == 8
    told = capsys.readouterr().out.splitlines()
    assert all(line.endswith(" 10") for line in told[:8])
    assert len(told) > 8
