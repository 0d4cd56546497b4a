"""Constraints at the Python door, on the tiny model and on the starter."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch

import studiolo
from studiolo.errors import InvalidRequestError
from studiolo.family.autoregressive import TokenRequest, TokenSample
from studiolo.modality.text.tools import read_calls
from studiolo.sampler.constraint import Constraint
from studiolo.sampler.guide import CompiledConstraint, Guides
from studiolo.sampler.settings import Decoding
from tests.sampler.schemas import SCHEMAS
from tests.sampler.walks import ARITHMETIC, is_arithmetic

PROMPT = "the cat sat on the"
WET: dict[str, Any] = {"choices": ["wet", "dry", "wet and dry"]}


@pytest.fixture(scope="module")
def talker(starter: Path) -> studiolo.LanguageModel:
    return studiolo.load(starter, device="cpu")


def compiled(lm: studiolo.LanguageModel, **asked: Any) -> CompiledConstraint:
    constraint = Constraint.asked(**asked)
    assert constraint is not None
    return Guides(lm.tokenizer).compile(constraint)


def together(
    lm: studiolo.LanguageModel, requests: Sequence[TokenRequest], seeds: Sequence[int]
) -> list[TokenSample | Exception]:
    """All of the requests in one batch, step by step."""
    model = lm.model
    progresses = [
        model.begin(request, torch.Generator().manual_seed(seed))
        for request, seed in zip(requests, seeds, strict=True)
    ]
    failed: dict[int, Exception] = {}
    while True:
        live = [i for i, p in enumerate(progresses) if not p.done and i not in failed]
        if not live:
            break
        grants = [progresses[i].demand for i in live]
        for at, error in model.advance([progresses[i] for i in live], grants).items():
            failed[live[at]] = error
    return [failed.get(i) or model.finish(p) for i, p in enumerate(progresses)]


def request(lm: studiolo.LanguageModel, text: str, **more: Any) -> TokenRequest:
    return TokenRequest(
        tuple(lm.tokenizer.encode(text)),
        more.pop("max_tokens", 40),
        Decoding.checked(**more.pop("decoding", {})),
        stop_ids=lm.tokenizer.eos_ids,
        **more,
    )


@pytest.mark.parametrize(
    "decoding", [{"temperature": 0.0}, {"temperature": 100.0}, {"top_k": 1}, {"beams": 3}]
)
def test_any_strategy_obeys(lm: studiolo.LanguageModel, decoding: dict[str, Any]) -> None:
    found = lm.generate(PROMPT, **WET, **decoding)
    assert found.text in WET["choices"]
    assert found.finish_reason == "stop"
    number = lm.generate(PROMPT, regex="-?[1-9][0-9]{0,3}", **decoding).text
    assert re.fullmatch("-?[1-9][0-9]{0,3}", number)
    value = lm.generate(PROMPT, json_schema=SCHEMAS["enum"], max_tokens=60, **decoding).text
    assert json.loads(value) in SCHEMAS["enum"]["enum"]


def test_all_doors_take_a_constraint(lm: studiolo.LanguageModel) -> None:
    messages = [{"role": "user", "content": PROMPT}]
    assert lm.chat(messages, **WET).text in WET["choices"]
    assert "".join(lm.stream(PROMPT, seed=1, **WET)) in WET["choices"]
    assert "".join(lm.stream_chat(messages, seed=1, **WET)) in WET["choices"]
    several = lm.generate(PROMPT, n=4, seed=1, **WET)
    assert {each.text for each in (several, *several.alternatives)} <= set(WET["choices"])
    beams = lm.generate(PROMPT, n=3, beams=4, **WET)
    assert {each.text for each in (beams, *beams.alternatives)} <= set(WET["choices"])
    assert len(beams.alternatives) == 2


def test_the_best_of_a_beam_search_is_the_likeliest_choice(lm: studiolo.LanguageModel) -> None:
    """Scores are the model's own: they are not shared out again among what is allowed."""

    def log_prob(choice: str) -> float:
        ids = lm.tokenizer.encode(PROMPT) + lm.tokenizer.encode(choice)
        scored = [p for _, _, p in lm.score(ids).tokens[len(lm.tokenizer.encode(PROMPT)) :]]
        return sum(p or 0 for p in scored)

    choices = ["the", "mat", "rain", "street", "cat"]
    spelled = {choice: lm.tokenizer.encode(choice) for choice in choices}
    found = lm.generate(PROMPT, choices=choices, beams=32, length_penalty=0.0)
    if list(found.token_ids) == spelled[found.text]:
        end = lm.model.next_log_probs([*lm.tokenizer.encode(PROMPT), *found.token_ids])
        ends = max(float(end[i]) for i in lm.tokenizer.eos_ids)
        assert found.score == pytest.approx(log_prob(found.text) + ends, abs=1e-3)


def test_the_request_ends_where_only_the_end_can_follow(lm: studiolo.LanguageModel) -> None:
    """With exactly as many tokens as the text has, and past the end token too."""
    options: list[dict[str, Any]] = [{}, {"ignore_eos": True}]
    for more in options:
        found = lm.generate(PROMPT, choices=["the cat"], seed=1, **more)
        assert (found.text, found.finish_reason) == ("the cat", "stop")
        exact = lm.generate(PROMPT, choices=["the cat"], max_tokens=len(found.token_ids), **more)
        assert (exact.text, exact.finish_reason) == ("the cat", "stop")


def test_the_limit_cuts_a_text_short_and_says_so(lm: studiolo.LanguageModel) -> None:
    found = lm.generate(PROMPT, choices=["the cat sat on the mat"], max_tokens=2)
    assert found.finish_reason == "length"
    assert "the cat sat on the mat".startswith(found.text)


def test_past_the_end_token_it_goes_on_while_it_can(lm: studiolo.LanguageModel) -> None:
    found = lm.generate(PROMPT, regex="(ab)+", ignore_eos=True, max_tokens=9, seed=1)
    assert found.finish_reason == "length"
    assert set(found.text) == {"a", "b"}
    with pytest.raises(InvalidRequestError, match="need an end token"):
        lm.generate(PROMPT, regex="(ab)+", ignore_eos=True, beams=2)


def test_a_stop_string_ends_a_constrained_text(lm: studiolo.LanguageModel) -> None:
    found = lm.generate(PROMPT, regex="a+b+c+", stop="b", seed=1, max_tokens=100)
    assert set(found.text) == {"a"}
    assert found.finish_reason == "stop"


def test_bias_and_penalties_choose_only_among_what_is_allowed(lm: studiolo.LanguageModel) -> None:
    (a,), (b,), (x,) = (lm.tokenizer.encode(letter) for letter in "abx")
    bias = {a: -100.0, b: 100.0, x: 100.0}
    assert lm.generate(PROMPT, regex="[abc]", logit_bias=bias, seed=1).text == "b"
    dials: list[dict[str, Any]] = [{"repetition_penalty": 2.0}, {"frequency_penalty": 2.0}]
    for dial in dials:
        assert lm.generate(PROMPT, regex="[ab]{8}", **dial).text.strip("ab") == ""


def test_log_probabilities_are_those_of_the_free_model(lm: studiolo.LanguageModel) -> None:
    found = lm.generate(PROMPT, choices=["zzz"], log_probs=2, seed=1)
    ids = lm.tokenizer.encode(PROMPT)
    assert found.log_probs is not None
    for choice in found.log_probs:
        free = lm.model.next_log_probs(ids)
        assert choice.log_prob == pytest.approx(float(free[choice.id]), abs=1e-4)
        assert choice.top[0][0] == int(free.argmax())
        ids.append(choice.id)


def test_free_requests_beside_constrained_ones_get_the_same_tokens(
    lm: studiolo.LanguageModel,
) -> None:
    asked: list[dict[str, Any]] = [
        {},
        {"constraint": compiled(lm, **WET)},
        {"decoding": {"top_p": 0.9}},
        {"constraint": compiled(lm, regex="[ab]{3,30}")},
        {"decoding": {"beams": 3}},
        {"constraint": compiled(lm, json_schema=SCHEMAS["object"]), "decoding": {"beams": 2}},
        {"log_probs": 1},
    ]
    requests = [request(lm, PROMPT, **more) for more in asked]
    seeds = range(len(requests))
    alone = [together(lm, [one], [seed])[0] for one, seed in zip(requests, seeds, strict=True)]
    for one, other in zip(alone, together(lm, requests, seeds), strict=True):
        assert isinstance(one, TokenSample)
        assert isinstance(other, TokenSample)
        assert (other.tokens, other.finish_reason) == (one.tokens, one.finish_reason)


def test_what_cannot_go_on_fails_alone(lm: studiolo.LanguageModel) -> None:
    many = {"type": "object", "properties": {f"p{i}": {"type": "null"} for i in range(400)}}
    stuck = compiled(lm, json_schema={"anyOf": [many, {**many, "required": ["p1"]}, many] * 2})
    free = request(lm, PROMPT)
    failed, sample = together(lm, [request(lm, PROMPT, constraint=stuck), free], [1, 2])
    assert isinstance(failed, InvalidRequestError)
    assert "items; max is 4000" in str(failed)
    (alone,) = together(lm, [free], [2])
    assert isinstance(alone, TokenSample)
    assert isinstance(sample, TokenSample)
    assert sample.tokens == alone.tokens


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"json_schema": {"not": {}}}, "json_schema"),
        ({"regex": "("}, "regex"),
        ({"grammar": "start:"}, "grammar"),
        ({"choices": []}, "choices"),
        ({"choices": ["a"], "regex": "a"}, "choices"),
        ({"regx": "a"}, "regx"),
    ],
)
def test_what_is_wrong_is_refused_by_name(
    lm: studiolo.LanguageModel, asked: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        lm.stream(PROMPT, **asked)
    assert caught.value.field == field


def test_a_slip_in_the_name_is_helped(lm: studiolo.LanguageModel) -> None:
    with pytest.raises(InvalidRequestError, match="Did you mean json_schema"):
        lm.generate(PROMPT, json_shema={})


REGEXES = [r"[A-Z][a-z]{2,9} [A-Z][a-z]{2,9}", r"\d{4}-\d{2}", r"(yes|no)[.!]{1,3}"]


def valid(schema: dict[str, Any]) -> Callable[[str], bool]:
    validator = jsonschema.Draft202012Validator(schema)
    return lambda text: bool(validator.is_valid(json.loads(text)))


TOOL = {
    "name": "look_up",
    "parameters": {
        "type": "object",
        "properties": {"word": {"type": "string", "maxLength": 12}},
        "required": ["word"],
        "additionalProperties": False,
    },
}


def test_a_chat_may_be_made_to_call_a_tool(talker: studiolo.LanguageModel) -> None:
    for choice in ("required", "look_up"):
        found = talker.chat(ASK, tools=[TOOL], tool_choice=choice, seed=1, temperature=1.0)
        shown, (call, *_) = read_calls(found.text, talker.tool_format, ["look_up"])
        assert shown == "" or found.finish_reason == "length"
        assert list(call.arguments) == ["word"]
    free = talker.chat(ASK, tools=[TOOL], seed=1, max_tokens=5)
    assert (
        talker.chat(ASK, tools=[TOOL], tool_choice="auto", seed=1, max_tokens=5).text == free.text
    )


@pytest.mark.parametrize(
    ("tool", "options", "field"),
    [
        ({**TOOL, "parameters": {"type": "object", "not": {}}}, {}, "tools"),
        (TOOL, {"tool_choice": "nothing"}, "tool_choice"),
        (TOOL, {"grammar": 'start: "a"'}, "tool_choice"),
        (TOOL, {"regex": "a"}, "tool_choice"),
    ],
)
def test_tools_that_cannot_be_called_are_refused(
    lm: studiolo.LanguageModel, tool: Any, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        lm.chat(ASK, tools=[tool], **{"tool_choice": "required", **options})
    assert caught.value.field == field


ASK = [{"role": "user", "content": "Tell me about a person. Answer in JSON."}]


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_the_starter_writes_what_it_is_asked_for(
    talker: studiolo.LanguageModel, proof: Callable[..., int]
) -> None:
    """The starter under schemas, expressions, a grammar and choices, hot and cold: all conform."""
    asked: list[tuple[dict[str, Any], Callable[[str], object]]] = [
        *(({"json_schema": schema}, valid(schema)) for schema in SCHEMAS.values()),
        *(({"regex": regex}, re.compile(regex).fullmatch) for regex in REGEXES),
        ({"grammar": ARITHMETIC}, is_arithmetic),
        (WET, WET["choices"].__contains__),
    ]
    count = proof("constrained-starter", short=18, full=1_400)
    ended = 0
    for seed in range(count):
        constraint, conforms = asked[seed * 11 % len(asked)]
        temperature = (1.0, 0.7, 2.0, 5.0)[seed // len(asked) % 4]
        found = talker.chat(
            ASK, **constraint, seed=seed, temperature=temperature, max_tokens=120, top_p=1.0
        )
        if found.finish_reason == "stop":
            ended += 1
            assert conforms(found.text), (constraint, found.text)
    assert ended > 0.8 * count
