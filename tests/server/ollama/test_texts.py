"""Texts and chats, asked by Ollama's own client."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import ollama
import pytest
from pydantic import BaseModel

import studiolo
from studiolo.modality.text.tools import ToolCall
from studiolo.task.asking import Called, Ended, Event, Outcome, Piece
from tests.server.scripted import Scripted
from tests.server.serving import Served, serving

SAID: list[Any] = [{"role": "user", "content": "the rain"}]
OUTCOME = Outcome(7, 0, 5, 0.25, 1.0)


def options(seed: int, count: int = 9, **more: Any) -> dict[str, Any]:
    return {"seed": seed, "num_predict": count, **more}


def test_a_prompt_goes_through_the_template(
    client: ollama.Client, lm: studiolo.LanguageModel
) -> None:
    made = client.generate("tiny", "the cat", system="sat", options=options(5))
    expected = lm.chat(
        [{"role": "system", "content": "sat"}, {"role": "user", "content": "the cat"}],
        max_tokens=9,
        seed=5,
    )
    assert made.response == expected.text
    assert (made.model, made.done, made.done_reason) == ("tiny", True, "length")
    assert made.prompt_eval_count == expected.usage.prompt_tokens
    assert made.eval_count == expected.usage.completion_tokens


def test_a_raw_prompt_is_gone_on_from(client: ollama.Client, lm: studiolo.LanguageModel) -> None:
    dials: Any = {
        "temperature": 0.7,
        "top_k": 30,
        "top_p": 0.9,
        "min_p": 0.01,
        "typical_p": 0.95,
        "repeat_penalty": 1.1,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.5,
    }
    made = client.generate("tiny:latest", "the cat", raw=True, options=options(5, **dials))
    dials["repetition_penalty"] = dials.pop("repeat_penalty")
    expected = lm.generate("the cat", max_tokens=9, seed=5, **dials)
    assert made.response == expected.text
    assert made.model == "tiny:latest"


def test_a_stop_ends_a_text(client: ollama.Client, lm: studiolo.LanguageModel) -> None:
    told = lm.generate("the cat", max_tokens=40, seed=3).text
    made = client.generate("tiny", "the cat", raw=True, options=options(3, 40, stop=[told[3:5]]))
    assert told.startswith(f"{made.response}{told[3:5]}")
    assert made.done_reason == "stop"


def test_a_chat_is_answered(client: ollama.Client, lm: studiolo.LanguageModel) -> None:
    made = client.chat("tiny", SAID, options=options(8), logprobs=True, top_logprobs=2)
    expected = lm.chat(SAID, max_tokens=9, seed=8, log_probs=2)
    assert (made.message.role, made.message.content) == ("assistant", expected.text)
    assert expected.log_probs is not None
    assert made.logprobs is not None
    assert [each.logprob for each in made.logprobs] == [e.log_prob for e in expected.log_probs]
    assert all(len(each.top_logprobs or ()) == 2 for each in made.logprobs)


def test_times_add_up(client: ollama.Client) -> None:
    made = client.chat("tiny", SAID, options=options(8))
    parts = made.load_duration, made.prompt_eval_duration, made.eval_duration
    assert all(each is not None and each > 0 for each in parts)
    assert made.total_duration is not None
    assert sum(each or 0 for each in parts) <= made.total_duration


@pytest.mark.parametrize("logprobs", [False, True])
def test_streams_are_the_same_in_pieces(client: ollama.Client, logprobs: bool) -> None:
    asked: Any = {"options": options(8, 30), "logprobs": logprobs}
    whole = client.chat("tiny", SAID, **asked)
    parts = list(client.chat("tiny", SAID, **asked, stream=True))
    assert "".join(part.message.content or "" for part in parts) == whole.message.content
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert len(parts) > 2
    assert parts[-1].done_reason == whole.done_reason
    assert parts[-1].eval_count == whole.eval_count
    scores = [score for part in parts for score in part.logprobs or ()]
    assert scores == list(whole.logprobs or ())
    told = client.generate("tiny", "the rain", **asked)
    pieces = list(client.generate("tiny", "the rain", **asked, stream=True))
    assert "".join(piece.response or "" for piece in pieces) == told.response


def test_a_stream_is_what_is_given_unasked(served: Served) -> None:
    body = {"model": "tiny", "messages": SAID, "options": options(8)}
    reply = served.http().post("/api/chat", json=body)
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert len(reply.text.splitlines()) > 1


def test_how_long_an_answer_gets(client: ollama.Client, lm: studiolo.LanguageModel) -> None:
    asked: Any = {"raw": True}
    dials = {"seed": 1, "ignore_eos": True}
    told = client.generate("tiny", "the cat", **asked, options={**dials, "num_ctx": 50})
    read = len(lm.tokenizer.encode("the cat"))
    assert (told.prompt_eval_count, told.eval_count) == (read, 50 - read)
    for wanted in (-1, -2):
        limited = {**dials, "num_ctx": 20, "num_predict": wanted}
        assert client.generate("tiny", "the cat", **asked, options=limited).eval_count == 20 - read


class Answer(BaseModel, extra="forbid"):
    wet: bool


def test_structured_output(client: ollama.Client) -> None:
    schema = Answer.model_json_schema()
    made = client.chat("tiny", SAID, format=schema, options=options(1, 100))
    assert isinstance(Answer.model_validate_json(made.message.content or ""), Answer)
    told = client.generate("tiny", "the rain", format="json", options=options(1, 3))
    assert (told.response or "").lstrip().startswith("{")


def test_an_answer_that_is_begun_goes_on(client: ollama.Client, lm: studiolo.LanguageModel) -> None:
    begun = {"role": "assistant", "content": "the str"}
    made = client.chat("tiny", [*SAID, begun], options=options(7))
    ids = lm.encode_chat(SAID) + lm.tokenizer.encode("the str", add_special=False)
    assert made.message.content == lm.generate(ids, max_tokens=9, seed=7).text


def test_tools_are_called_and_their_results_are_read(tmp_path: Path) -> None:
    def weather(city: str) -> str:
        """The weather of a city.

        Args:
          city: Its name.
        """
        return f"wet in {city}"

    called = Called(0, 0, "call_1", ToolCall("weather", {"city": "Rome"}))
    calling: list[Event] = [Piece(0, "so "), called, Ended(0, "tool_calls")]
    telling: list[Event] = [Piece(0, "it is wet"), Ended(0, "stop")]
    model = Scripted(calling, telling, calling, outcome=OUTCOME)
    with (
        serving(tmp_path / "records.db", house={"elsewhere": {"far": model}}) as served,
        ollama.Client(host=served.url) as client,
    ):
        turns: list[Any] = list(SAID)
        made = client.chat("far", turns, tools=[weather])
        assert made.message.content == "so "
        (call,) = made.message.tool_calls or []
        assert (call.function.name, call.function.arguments) == ("weather", {"city": "Rome"})
        assert made.done_reason == "stop"
        turns += [
            made.message,
            {"role": "tool", "tool_name": "weather", "content": weather(**call.function.arguments)},
        ]
        assert client.chat("far", turns, tools=[weather]).message.content == "it is wet"
        parts = list(client.chat("far", SAID, tools=[weather], stream=True))
    first, second, _ = model.asked
    assert first.tools[0]["function"]["name"] == "weather"  # type: ignore[index]
    assert list(second.messages or ())[1:] == [
        {
            "role": "assistant",
            "content": "so ",
            "tool_calls": [
                {
                    "type": "function",
                    "function": {"name": "weather", "arguments": {"city": "Rome"}},
                }
            ],
        },
        {"role": "tool", "content": "wet in Rome", "name": "weather"},
    ]
    assert [bool(part.message.tool_calls) for part in parts] == [False, True, False]


def test_a_model_elsewhere_sees_to_its_own_length(tmp_path: Path) -> None:
    said: list[Event] = [Piece(0, "wet"), Ended(0, "stop")]
    model = Scripted(said, said, outcome=OUTCOME)
    with (
        serving(tmp_path / "records.db", house={"elsewhere": {"far": model}}) as served,
        ollama.Client(host=served.url) as client,
    ):
        assert client.generate("far", "x").response == "wet"
        made = client.generate("far", "x", options={"num_predict": 3})
        assert [ask.options.get("max_tokens") for ask in model.asked] == [None, 3]
        assert (made.load_duration, made.prompt_eval_duration) == (None, 250_000_000)
        assert made.eval_duration == 750_000_000
        assert client.generate("far").done_reason == "load"
        with pytest.raises(ollama.ResponseError, match=r"options\.num_ctx"):
            client.generate("far", "x", options={"num_ctx": 3})
        with pytest.raises(ollama.ResponseError, match="answers elsewhere"):
            client.chat("far", [*SAID, {"role": "assistant", "content": "a"}])


def test_asynchronously(served: Served, lm: studiolo.LanguageModel) -> None:
    async def ask() -> tuple[str | None, str, str]:
        async with ollama.AsyncClient(host=served.url) as client:
            made = await client.chat("tiny", SAID, options=options(8))
            stream = await client.chat("tiny", SAID, options=options(8), stream=True)
            pieces = [part.message.content or "" async for part in stream]
            told = await client.generate("tiny", "the rain", options=options(8))
            return made.message.content, "".join(pieces), told.response or ""

    expected = lm.chat(SAID, max_tokens=9, seed=8).text
    assert asyncio.run(ask()) == (expected, expected, expected)


def test_what_is_wrong_is_told(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="no model is called 'nobody'") as wrong:
        client.chat("nobody", SAID)
    assert wrong.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match=r"options\.num_predict: 10,00") as wrong:
        client.chat("tiny", SAID, options=options(1, 10_000))
    assert wrong.value.status_code == 400
    with pytest.raises(ollama.ResponseError, match=r"options\.temperature"):
        list(client.chat("tiny", SAID, options={"temperature": -1}, stream=True))
    with pytest.raises(ollama.ResponseError, match="makes vectors, not texts"):
        client.chat("tiny-encoder", SAID)


def test_a_server_with_too_much_to_do_says_so(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "records.db", requests=0) as served,
        ollama.Client(host=served.url) as client,
        pytest.raises(ollama.ResponseError, match="may be") as busy,
    ):
        client.chat("tiny", SAID)
    assert busy.value.status_code == 429


def test_a_stream_that_fails_ends_in_an_error(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "records.db", timeout=1e-6) as served,
        ollama.Client(host=served.url) as client,
        pytest.raises(ollama.ResponseError, match="time"),
    ):
        list(client.generate("tiny", "x", options=options(1, 3000), stream=True))
