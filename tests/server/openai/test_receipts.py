"""Receipts by id and in answers, replayed; ratings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai
import pytest

from studiolo.cli import main
from studiolo.record.receipt import Receipt
from studiolo.task.replay import replay
from studiolo.training.feedback import feedback_lines
from tests.server.serving import Served

SAID: list[Any] = [{"role": "user", "content": "the rain"}]


def authorised(client: openai.OpenAI) -> dict[str, str]:
    return {"authorization": f"Bearer {client.api_key}"}


def asked(client: openai.OpenAI, kind: str, stream: bool) -> dict[str, Any]:
    """The body, or the last chunk or event, of an answer that brings its receipt."""
    options: Any = {"model": "tiny", "extra_body": {"receipt": True, "seed": 5}, "stream": stream}
    if kind == "chat":
        made: Any = client.chat.completions.create(messages=SAID, max_tokens=8, n=2, **options)
    elif kind == "completion":
        made = client.completions.create(prompt="the rain", max_tokens=8, logprobs=2, **options)
    else:
        made = client.responses.create(input="the rain", max_output_tokens=8, **options)
    last = list(made)[-1] if stream else made
    found: dict[str, Any] = last.to_dict()
    response: dict[str, Any] = found.get("response", found)
    return response


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["chat", "completion", "response"])
def test_an_answer_brings_its_receipt_and_it_is_replayed(
    client: openai.OpenAI, kind: str, stream: bool, tmp_path: Path
) -> None:
    made = asked(client, kind, stream)
    path = tmp_path / "receipt.json"
    path.write_text(json.dumps(made["receipt"], indent=1))
    receipt = Receipt.read(path)
    assert receipt.asked.seed == 5
    assert receipt.asked.max_tokens == 8
    assert replay(path).agrees
    with pytest.raises(SystemExit) as ended:
        main(["replay", str(path)])
    assert ended.value.code == 0


def test_who_asks_for_none_gets_none(client: openai.OpenAI) -> None:
    made = client.chat.completions.create(model="tiny", messages=SAID, max_tokens=2)
    assert "receipt" not in made.to_dict()
    chunks = client.chat.completions.create(
        model="tiny", messages=SAID, max_tokens=2, stream=True,
        stream_options={"include_usage": True}, extra_body={"receipt": True},
    )  # fmt: skip
    last = list(chunks)[-1].to_dict()
    assert last["usage"]
    assert last["receipt"]


def test_a_receipt_is_here_by_id(
    one: openai.OpenAI, two: openai.OpenAI, keeper: Served, tmp_path: Path
) -> None:
    made = one.chat.completions.create(
        model="tiny", messages=SAID, max_tokens=6, extra_body={"receipt": True}
    )
    http = keeper.http()
    assert made._request_id is not None
    for id in (made.id, made._request_id):
        found = http.get(f"/v1/receipts/{id}", headers=authorised(one))
        assert found.status_code == 200
        assert found.headers["content-type"] == "application/json"
        assert found.json() == made.to_dict()["receipt"]
        assert Receipt.parse(found.content).to_bytes() == found.content
        (tmp_path / "receipt.json").write_bytes(found.content)
        assert replay(tmp_path / "receipt.json").agrees
        assert http.get(f"/v1/receipts/{id}", headers=authorised(two)).status_code == 404
    for id in ("x", "..%2f", "req_" + "0" * 24, "%00"):
        missing = http.get(f"/v1/receipts/{id}", headers=authorised(one))
        assert missing.status_code == 404


def test_a_stream_has_its_receipt_by_the_time_it_ends(one: openai.OpenAI, keeper: Served) -> None:
    chunks = list(
        one.chat.completions.create(model="tiny", messages=SAID, max_tokens=4, stream=True)
    )
    found = keeper.http().get(f"/v1/receipts/{chunks[0].id}", headers=authorised(one))
    assert found.status_code == 200


def test_where_none_are_kept_it_says_so(served: Served, client: openai.OpenAI) -> None:
    made = client.chat.completions.create(model="tiny", messages=SAID, max_tokens=2)
    answer = served.http().get(f"/v1/receipts/{made.id}")
    assert answer.status_code == 404
    assert "receipt: true" in answer.json()["error"]["message"]


def test_an_answer_is_rated_by_who_asked(
    one: openai.OpenAI, two: openai.OpenAI, keeper: Served
) -> None:
    made = one.chat.completions.create(model="tiny", messages=SAID, max_tokens=2)
    http = keeper.http()
    body = {"request_id": made.id, "rating": 1, "comment": "Good."}
    answer = http.post("/v1/feedback", json=body, headers=authorised(one))
    assert answer.status_code == 200
    assert answer.json()["request_id"] == made._request_id
    assert answer.json()["rating"] == 1
    body = {"request_id": made._request_id, "rating": -0.5}
    assert http.post("/v1/feedback", json=body, headers=authorised(one)).status_code == 200
    (rating,) = [
        each
        for each in keeper.studio.records.feedback.list(None, admin=True)
        if each.request == made._request_id
    ]
    assert (rating.rating, rating.comment) == (-0.5, "")
    assert http.post("/v1/feedback", json=body, headers=authorised(two)).status_code == 404
    exported = [json.loads(line) for line in keeper.studio.records.feedback.export()]
    (mine,) = [each for each in exported if each["request"] == made._request_id]
    assert mine["prompt"] == {"messages": SAID}
    assert mine["output"]["choices"][0]["text"] == made.choices[0].message.content


def test_what_was_agreed_to_becomes_data(
    one: openai.OpenAI, two: openai.OpenAI, keeper: Served
) -> None:
    """Of chats, of completions and of responses, as training reads them; and nothing else."""
    chat = one.chat.completions.create(model="tiny", messages=SAID, max_tokens=3)
    plain = one.completions.create(model="tiny", prompt="the rain", max_tokens=3)
    reply = one.responses.create(model="tiny", input="the cat", max_output_tokens=16)
    other = two.completions.create(model="tiny", prompt="the rain", max_tokens=3)
    http = keeper.http()
    said: dict[str, Any] = {"rating": -1, "correction": "fell", "consent": True}
    for client, id, more in (
        *((one, chat.id, {}), (one, plain.id, {}), (one, reply.id, {})),
        (two, other.id, {"consent": False}),
    ):
        body = {"request_id": id, **said, **more}
        answer = http.post("/v1/feedback", json=body, headers=authorised(client))
        assert answer.status_code == 200
        assert answer.json()["correction"] == "fell"
        assert answer.json()["consent"] == body["consent"]
    rated = [
        each
        for each in keeper.studio.records.feedback.rated(model="tiny")
        if each.rating.correction == "fell"
    ]
    assert len(rated) == 4
    lines, counts = feedback_lines(rated, "preferences")
    assert lines == [
        {"prompt": prompt, "chosen": "fell", "rejected": rejected}
        for prompt, rejected in (
            (SAID, chat.choices[0].message.content),
            ("the rain", plain.choices[0].text),
            ([{"role": "user", "content": "the cat"}], reply.output_text),
        )
        if rejected
    ]
    assert counts.without_consent == 1


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"request_id": "req_" + "0" * 24, "rating": 2}, 400, "rating"),
        ({"request_id": "req_" + "0" * 24, "rating": True}, 400, "rating"),
        ({"request_id": "req_" + "0" * 24, "rating": 1, "comment": "x" * 10_001}, 400, "comment"),
        ({"request_id": "req_" + "0" * 24}, 400, "rating"),
        ({"request_id": "req_" + "0" * 24, "rating": 1, "correction": ""}, 400, "correction"),
        ({"request_id": "req_" + "0" * 24, "rating": 1, "consent": "yes"}, 400, "consent"),
        ({"request_id": "req_" + "0" * 24, "rating": 1}, 404, None),
        ({"request_id": "x\0", "rating": 1}, 404, None),
    ],
)
def test_a_wrong_rating_is_refused(
    served: Served, body: dict[str, Any], status: int, param: str | None
) -> None:
    answer = served.http().post("/v1/feedback", json=body)
    assert answer.status_code == status
    assert answer.json()["error"]["param"] == param
