"""Models elsewhere behind our door: another Studiolo in this process, in both dialects."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from studiolo.server.prices import prices_of
from studiolo.task.remote.models import open_remotes
from studiolo.task.remote.settings import EXTENSIONS, Remote
from tests.server.held import held
from tests.server.serving import Served, serving

SAID: Any = [{"role": "user", "content": "the rain"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Paris", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def back(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The server that answers, which wants a key."""
    with serving(tmp_path_factory.mktemp("back") / "records.db") as running:
        yield running


@pytest.fixture(scope="module")
def front(back: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The server that is asked. Its models: ``far``, ``vectors``, ``claude``, ``gone``."""
    made = back.studio.records.keys.create(name="front")
    extensions = [each for each in EXTENSIONS if each != "max_completion_tokens"]
    base = {"url": f"{back.url}/v1", "key_env": "BACK_KEY", "retries": 0}
    prices = {"prompt": 1e6, "completion": 1e6}
    models: dict[str, dict[str, Any]] = {
        "far": {"dialect": "openai", "model": "tiny", "accepts": extensions, "prices": prices},
        "vectors": {"dialect": "openai", "model": "tiny-encoder", "accepts": ["truncate"]},
        "claude": {"dialect": "anthropic", "model": "tiny"},
        "gone": {"dialect": "openai", "model": "nobody", "fallbacks": ["far"]},
        "lost": {"dialect": "openai", "model": "nobody"},
    }
    remotes = {name: Remote.model_validate({**base, **each}) for name, each in models.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BACK_KEY", made.secret)
        elsewhere = open_remotes(remotes)
    records = tmp_path_factory.mktemp("front") / "records.db"
    with serving(
        records, house={"elsewhere": elsewhere}, prices=prices_of({}, remotes), model="far"
    ) as running:
        yield running


@pytest.fixture
def client(front: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture
def direct(back: Served) -> Iterator[openai.OpenAI]:
    """A client of the server behind."""
    made = back.studio.records.keys.create(name="direct")
    with openai.OpenAI(base_url=f"{back.url}/v1", api_key=made.secret, max_retries=0) as client:
        yield client


def test_an_answer_is_the_upstream_s_to_the_last_number(
    client: openai.OpenAI, direct: openai.OpenAI, front: Served
) -> None:
    options: Any = {
        "messages": SAID, "max_tokens": 9, "seed": 8, "logprobs": True, "top_logprobs": 2, "n": 2,
        "temperature": 0.7, "stop": ["zz"], "extra_body": {"top_k": 50, "ignore_eos": True},
    }  # fmt: skip
    ours = client.chat.completions.create(model="far", **options)
    theirs = direct.chat.completions.create(model="tiny", **options)
    assert ours.model == "far"
    assert ours.choices == theirs.choices
    assert ours.system_fingerprint == theirs.system_fingerprint
    assert ours.usage is not None
    assert theirs.usage is not None
    assert ours.usage.completion_tokens == theirs.usage.completion_tokens == 18
    row = front.entries()[0]
    assert (row.model, row.status, row.weights, row.joules) == ("far", 200, None, 0)
    assert row.cost == row.prompt_tokens + 18
    assert row.seconds_to_first is not None


def test_several_prompts_are_each_asked_of_the_upstream(
    client: openai.OpenAI, direct: openai.OpenAI
) -> None:
    options: Any = {"prompt": ["the cat", "a"], "max_tokens": 5, "seed": 3, "n": 2, "echo": True}
    ours = client.completions.create(model="far", **options)
    theirs = direct.completions.create(model="tiny", **options)
    assert [each.text for each in ours.choices] == [each.text for each in theirs.choices]
    assert ours.usage is not None
    assert theirs.usage is not None
    assert ours.usage.total_tokens == theirs.usage.total_tokens
    with pytest.raises(openai.BadRequestError, match="echo: with logprobs is not known of far"):
        client.completions.create(model="far", **{**options, "logprobs": 1})


def test_streams_completions_and_default_models(
    client: openai.OpenAI, direct: openai.OpenAI
) -> None:
    options: Any = {"prompt": "the cat", "max_tokens": 12, "seed": 3, "logprobs": 1}
    theirs = direct.completions.create(model="tiny", **options).choices[0]
    pieces = list(client.completions.create(model="far", **options, stream=True))
    assert "".join(piece.choices[0].text for piece in pieces) == theirs.text
    whole = client.completions.create(model="far", **options).choices[0]
    assert (whole.text, whole.finish_reason) == (theirs.text, theirs.finish_reason)
    assert whole.logprobs is not None
    assert theirs.logprobs is not None
    assert whole.logprobs.token_logprobs == theirs.logprobs.token_logprobs


@pytest.mark.parametrize("model", ["far", "claude"])
def test_tools_are_called_and_answered_in_both_dialects(client: openai.OpenAI, model: str) -> None:
    choice: Any = {"type": "function", "function": {"name": "weather"}}
    # Only one of the dialects knows seeds, and the tiny model talks on without an end.
    made = client.chat.completions.create(
        model=model, messages=SAID, tools=[WEATHER], tool_choice=choice, max_tokens=400,
        temperature=0,
    ).choices[0]  # fmt: skip
    assert made.finish_reason == "tool_calls"
    (call,) = made.message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "weather"
    back: Any = [
        *SAID,
        made.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "wet"},
    ]
    again = client.chat.completions.create(
        model=model, messages=back, tools=[WEATHER], max_tokens=5, temperature=0
    )
    assert again.usage is not None
    assert again.usage.completion_tokens <= 5


def test_a_conversation_through_the_other_dialect(client: openai.OpenAI, front: Served) -> None:
    options: Any = {"messages": SAID, "max_tokens": 8, "temperature": 0}
    far = client.chat.completions.create(model="far", **options)
    claude = client.chat.completions.create(model="claude", **options)
    assert claude.choices[0].message.content == far.choices[0].message.content
    assert claude.usage == far.usage
    cold = {"temperature": 0}
    with anthropic.Anthropic(base_url=front.url, api_key="none", max_retries=0) as asking:
        made = asking.messages.create(model="claude", max_tokens=8, messages=SAID, extra_body=cold)
    (block,) = made.content
    assert block.type == "text"
    assert block.text == far.choices[0].message.content


def test_vectors(client: openai.OpenAI, direct: openai.OpenAI) -> None:
    ours = client.embeddings.create(model="vectors", input=["a", "b"])
    theirs = direct.embeddings.create(model="tiny-encoder", input=["a", "b"])
    assert ours.data == theirs.data
    assert ours.usage == theirs.usage
    cut = client.embeddings.create(model="vectors", input="a" * 99, extra_body={"truncate": True})
    assert len(cut.data) == 1


def test_who_fails_is_stood_in_for(client: openai.OpenAI) -> None:
    made = client.chat.completions.create(model="gone", messages=SAID, max_tokens=3)
    assert made.model == "gone"
    with pytest.raises(openai.InternalServerError, match="lost, elsewhere, could not be asked"):
        client.chat.completions.create(model="lost", messages=SAID)


def test_faults_of_the_request_come_back_and_secrets_do_not(
    client: openai.OpenAI, back: Served
) -> None:
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model="far", messages=SAID, max_tokens=10_000)
    assert wrong.value.param == "max_tokens"
    assert "4,096" in str(wrong.value)
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model="claude", messages=SAID, seed=1)
    assert wrong.value.param == "seed"
    with pytest.raises(openai.BadRequestError) as wrong:
        client.embeddings.create(model="far", input="x")
    assert back.url.removeprefix("http://") not in str(wrong.value)
    assert {model.id for model in client.models.list()} >= {"far", "claude", "tiny"}


def test_leaving_stops_the_upstream(front: Served, back: Served) -> None:
    body = {"model": "far", "messages": SAID, "max_tokens": 4}
    with held(back.studio.house):
        asking = http.client.HTTPConnection(front.url.removeprefix("http://"))
        asking.request("POST", "/v1/chat/completions", json.dumps(body))
        while not back.studio.room.count:
            time.sleep(0.01)
        asking.close()
        while back.studio.room.count:
            time.sleep(0.01)
    newest = back.entries()[0]
    assert (newest.endpoint, newest.error) == ("POST /v1/chat/completions", "ClientDisconnect")
