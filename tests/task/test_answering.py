"""Many requests answered together equal each answered alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

import studiolo
from studiolo.errors import RequestCancelledError
from studiolo.task.answering import Answerer, Answers
from studiolo.task.asking import Answer, Ended, Piece, TextAsk
from studiolo.task.embedding import Text
from studiolo.task.openai import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, Url
from tests.task.openai.test_chat import Told

MEMORY = 500_000_000
SAID = [{"role": "user", "content": "the rain"}]


@pytest.fixture
def answerer(tiny: str, tiny_encoder: str) -> Iterator[Answerer]:
    with Answerer(
        model=tiny, encoder=tiny_encoder, device="cpu", model_memory=MEMORY, request_memory=MEMORY
    ) as made:
        yield made


def ask(answerer: Answerer, *requests: tuple[Url, dict[str, Any]]) -> list[tuple[int, Any]]:
    async def all_of_them() -> list[tuple[int, Any]]:
        waiting = [answerer.answer(u, body, id="7", seed=3, created=5) for u, body in requests]
        return list(await asyncio.gather(*waiting))

    return asyncio.run(all_of_them())


def test_an_answer_is_what_the_model_says(answerer: Answerer, lm: studiolo.LanguageModel) -> None:
    plain, chat, beams = ask(
        answerer,
        (COMPLETIONS, {"prompt": "the cat", "max_tokens": 9, "n": 2, "stop": "e", "logprobs": 1}),
        (CHAT, {"messages": SAID, "max_tokens": 9, "seed": 8}),
        (COMPLETIONS, {"prompt": "the cat", "max_tokens": 9, "beams": 3, "n": 2, "stop": "e"}),
    )
    made = lm.generate("the cat", max_tokens=9, n=2, stop="e", log_probs=1, seed=3)
    assert made.log_probs is not None
    assert plain[0] == 200
    assert [c["text"] for c in plain[1]["choices"]] == [made.text, made.alternatives[0].text]
    recorded = plain[1]["choices"][0]["logprobs"]["token_logprobs"]
    assert recorded == [each.log_prob for each in made.log_probs]
    answer = lm.chat(SAID, max_tokens=9, seed=8)
    assert chat[1]["choices"][0]["message"]["content"] == answer.text
    found = lm.generate("the cat", max_tokens=9, beams=3, n=2, stop="e")
    assert [c["text"] for c in beams[1]["choices"]] == [found.text, found.alternatives[0].text]


def test_a_response_and_receipts(answerer: Answerer, lm: studiolo.LanguageModel) -> None:
    body = {"input": "the rain", "max_output_tokens": 9, "receipt": True}
    (status, made), (_, chat) = ask(
        answerer, (RESPONSES, body), (CHAT, {"messages": SAID, "max_tokens": 9, "receipt": True})
    )
    expected = lm.chat(SAID, max_tokens=9, seed=3)
    assert status == 200
    assert made["output"][0]["content"][0]["text"] == expected.text
    receipt = lm.receipt(expected).model_dump(mode="json", exclude_none=True)
    assert made["receipt"] == chat["receipt"] == receipt
    assert (made["id"], made["created_at"], made["store"]) == ("resp_7", 5, False)
    for field, value in (("previous_response_id", "resp_1"), ("store", True), ("stream", True)):
        ((status, wrong),) = ask(answerer, (RESPONSES, {"input": "x", field: value}))
        assert (status, wrong["error"]["param"]) == (400, field)


def test_a_vector_is_the_encoders(answerer: Answerer, tiny_encoder: str) -> None:
    ((status, body),) = ask(answerer, (EMBEDDINGS, {"input": ["a cat", [3, 4]]}))
    expected = studiolo.load_encoder(tiny_encoder, device="cpu").embed(["a cat", [3, 4]])
    assert status == 200
    for i, vector in enumerate(expected.tolist()):
        assert body["data"][i]["embedding"] == pytest.approx(vector, abs=1e-6)
    assert body["usage"]["total_tokens"] == 9


def test_company_changes_nothing(answerer: Answerer) -> None:
    requests: list[tuple[Url, dict[str, Any]]] = [
        (COMPLETIONS, {"prompt": f"the {i}", "max_tokens": 3 + i, "logprobs": 2, "n": 1 + i % 3})
        for i in range(20)
    ]
    together = ask(answerer, *requests)
    assert together == [ask(answerer, each)[0] for each in requests]


@pytest.mark.parametrize(
    ("url", "body", "status", "words"),
    [
        (COMPLETIONS, {"prompt": "x", "top_p": 5}, 400, "top_p: should be less than or equal to 1"),
        (COMPLETIONS, {"prompt": "x", "max_tokens": 900}, 400, "the model's context holds 128"),
        (CHAT, {"messages": SAID, "max_completion_tokens": 900}, 400, "max_completion_tokens: 9"),
        (RESPONSES, {"input": "x", "max_output_tokens": 900}, 400, "max_output_tokens: 9"),
        (COMPLETIONS, {"prompt": "x", "logprobs": 1, "beams": 2}, 400, "logprobs: are not"),
        (COMPLETIONS, {"prompt": "x", "regex": "("}, 400, "regex: it cannot be enforced"),
        (COMPLETIONS, {"prompt": "x", "logit_bias": {"a": 1}}, 400, "logit_bias"),
        (COMPLETIONS, {"prompt": "x", "logit_bias": {"99999": 1}}, 400, "token id 99999"),
        (COMPLETIONS, {"prompt": [99999]}, 400, "token 99999 is outside the vocabulary"),
        (COMPLETIONS, {"prompt": "x", "n": True}, 400, "n: should be a valid integer"),
        (COMPLETIONS, {"prompt": "x", "stop": "\ud800"}, 400, "stop: holds half a character"),
        (CHAT, {"messages": [{"role": 5}]}, 400, "messages"),
        (EMBEDDINGS, {"input": "a" * 100}, 400, "input: 102 tokens"),
        (COMPLETIONS, {"prompt": "x", "model": "nobody"}, 404, "no model is called 'nobody'"),
    ],
)
def test_what_is_wrong_has_a_status(
    answerer: Answerer, url: Url, body: dict[str, Any], status: int, words: str
) -> None:
    bad, good = ask(answerer, (url, body), (COMPLETIONS, {"prompt": "x", "max_tokens": 2}))
    assert bad[0] == status
    assert words in bad[1]["error"]["message"]
    assert json.dumps(bad[1])
    assert good[0] == 200


def test_a_model_of_another_kind_is_refused(
    answerer: Answerer, tiny: str, tiny_encoder: str
) -> None:
    wrong = ask(
        answerer,
        (EMBEDDINGS, {"input": "x", "model": tiny}),
        (COMPLETIONS, {"prompt": "x", "model": tiny_encoder}),
    )
    assert [status for status, _ in wrong] == [400, 400]
    assert "makes texts, not vectors" in wrong[0][1]["error"]["message"]
    assert "makes vectors, not texts" in wrong[1][1]["error"]["message"]


def test_a_full_queue_is_waited_for(answerer: Answerer) -> None:
    request: tuple[Url, dict[str, Any]] = (
        COMPLETIONS,
        {"prompt": "x", "max_tokens": 1, "n": 128},
    )
    answers = ask(answerer, *[request] * 12)  # 1,536 sequences, and 1,024 may wait
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 200


def test_models_beyond_the_memory_are_refused_with_the_sum(tiny: str) -> None:
    with Answerer(
        model=tiny, encoder=tiny, device="cpu", model_memory=1000, request_memory=MEMORY
    ) as answerer:
        for _ in range(2):
            ((status, body),) = ask(answerer, (COMPLETIONS, {"prompt": "x"}))
            assert status == 400
            assert "all models together may take 0.0 MB" in body["error"]["message"]


def test_a_model_elsewhere_gets_no_seed_that_nobody_asked_for() -> None:
    asked: list[Mapping[str, Any]] = []

    @asynccontextmanager
    async def tell(given: TextAsk) -> AsyncIterator[Answer]:
        asked.append(given.options)
        yield Told([Piece(0, "x"), Ended(0, "stop")])

    async def embed(name: str, texts: Sequence[Text], truncate: bool) -> Any:
        pytest.fail("nobody asks for vectors")

    answers = Answers(model="near", encoder="e", tell=tell, embed=embed, elsewhere={"far"})

    async def ask_both() -> None:
        for more in ({}, {"model": "far"}, {"model": "far", "seed": 8}):
            body = {"messages": SAID, **more}
            status, _ = await answers.answer(CHAT, body, id="7", seed=3, created=5)
            assert status == 200

    asyncio.run(ask_both())
    assert [each.get("seed") for each in asked] == [3, None, 8]


def test_nothing_is_answered_after_the_end(answerer: Answerer) -> None:
    answerer.close()
    with pytest.raises(RequestCancelledError):
        ask(answerer, (COMPLETIONS, {"prompt": "x"}))
