"""Prompts told again are scored as the model scores them, in any company."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

import studiolo
from studiolo.errors import ContextOverflowError, InterruptedStepError, InvalidRequestError
from studiolo.family.autoregressive import TokenRequest
from studiolo.runtime.scheduler import Pace
from studiolo.sampler.decoding import generator
from studiolo.sampler.settings import Decoding
from studiolo.task.asking import Answer, Choice, Outcome, TextAsk, collect
from studiolo.task.house import House
from studiolo.task.scoring import ScoreRequest, TextModel

MEMORY = 500_000_000
TEXT = "the cat sat on the mat, and the rain fell on the old roofs of the town"


@pytest.fixture
def house(tiny: str) -> Iterator[House]:
    pace = Pace(budget=8, long=8)
    with House(device="cpu", model_memory=MEMORY, request_memory=MEMORY, pace=pace) as made:
        made.admit(tiny)
        yield made


def answered(house: House, *asks: TextAsk) -> list[tuple[list[Choice], Outcome, Any]]:
    async def one(ask: TextAsk) -> tuple[list[Choice], Outcome, Any]:
        async with house.tell(ask) as answer:
            return await collect(answer), answer.outcome, answer.receipt()

    async def every() -> list[tuple[list[Choice], Outcome, Any]]:
        return await asyncio.gather(*(one(ask) for ask in asks))

    return asyncio.run(every())


def echoed(tiny: str, prompt: Any = TEXT, **options: Any) -> TextAsk:
    return TextAsk(tiny, prompt=prompt, echo=True, options={"seed": 1, "log_probs": 0, **options})


def log_probs(choice: Choice) -> list[float]:
    assert choice.echo is not None
    first, *rest = [score.log_prob for score in choice.echo.scores]
    assert math.isnan(first)
    return rest


def test_a_prompt_is_scored_as_the_model_scores_it(
    house: House, tiny: str, lm: studiolo.LanguageModel
) -> None:
    expected = [p for _, _, p in lm.score(TEXT).tokens if p is not None]
    company = [TextAsk(tiny, prompt="the", options={"seed": i, "max_tokens": 20}) for i in range(5)]
    (alone, took, receipt), (going, _, made), *others = answered(
        house,
        echoed(tiny, max_tokens=0, n=2),
        echoed(tiny, max_tokens=9, log_probs=3),
        echoed(tiny, lm.tokenizer.encode(TEXT), max_tokens=0),
        *company,
    )
    assert [choice.reason for choice in alone] == ["length"] * 2
    for choice in (*alone, *going, *others[0][0]):
        assert log_probs(choice) == expected
        assert choice.echo is not None
        assert choice.echo.text == TEXT
        pieces = zip(choice.echo.offsets, choice.echo.scores, strict=True)
        assert all(TEXT[at:].startswith(score.text) for at, score in pieces)
    assert (took.prompt_tokens, took.completion_tokens) == (len(expected) + 1, 0)
    assert took.weights
    assert receipt is None
    plain = lm.generate(TEXT, max_tokens=9, seed=1, log_probs=3)
    assert (going[0].text, made) == (plain.text, lm.receipt(plain))
    tops = [score.top for score in going[0].echo.scores] if going[0].echo else []
    assert [len(top) for top in tops] == [0, *[3] * len(expected)]
    for (choices, _, _), ask in zip(others[1:], company, strict=True):
        assert choices[0].text == lm.generate("the", **ask.options).text


def test_alternatives_are_those_of_the_next_token(
    house: House, tiny: str, lm: studiolo.LanguageModel
) -> None:
    ids = lm.tokenizer.encode("the cat sat")
    ((choice,), _, _), = answered(house, echoed(tiny, ids, log_probs=4, max_tokens=0))  # fmt: skip
    assert choice.echo is not None
    for at, score in enumerate(choice.echo.scores[1:], start=1):
        best = lm.next_log_probs(ids[:at]).topk(4)
        assert [each.id for each in score.top] == best.indices.tolist()
        assert [each.log_prob for each in score.top] == best.values.tolist()


def test_one_token_has_no_score_and_without_any_wish_for_scores_there_are_none(
    house: House, tiny: str
) -> None:
    ids = [TextAsk(tiny, prompt=[5, 6], echo=True, options={"max_tokens": n}) for n in (0, 2)]
    (one, took, _), (quiet, _, _), (going, _, _) = answered(
        house, echoed(tiny, [5], max_tokens=0), *ids
    )
    assert log_probs(one[0]) == []
    assert took.prompt_tokens == 1
    for (choice,) in (quiet, going):
        assert choice.echo is not None
        assert (choice.echo.scores, choice.echo.offsets) == ((), ())
        assert choice.echo.text
    assert (quiet[0].text, going[0].reason) == ("", "length")


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        (TextAsk("", prompt="a", suffix="b", echo=True), "echo"),
        (TextAsk("", prompt="a", begun=(5,), echo=True), "echo"),
        (TextAsk("", messages=[{"role": "user", "content": "a"}], echo=True), "echo"),
        (TextAsk("", prompt="a", options={"max_tokens": 0}), "max_tokens"),
        (TextAsk("", prompt="", echo=True, options={"log_probs": 0, "max_tokens": 0}), "prompt"),
        (TextAsk("", prompt=[99999], echo=True, options={"log_probs": 0}), "prompt"),
        (TextAsk("", prompt=[5] * 129, echo=True, options={"log_probs": 0}), "prompt"),
    ],
)
def test_what_is_wrong_is_named(house: House, tiny: str, ask: TextAsk, field: str) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        answered(house, replace(ask, model=tiny))
    assert wrong.value.field == field


def test_a_prompt_may_fill_the_context(house: House, tiny: str) -> None:
    ((choice,), _, _), = answered(house, echoed(tiny, [5] * 128, max_tokens=0))  # fmt: skip
    assert len(log_probs(choice)) == 127


def test_leaving_early_cancels_the_scores(house: House, tiny: str) -> None:
    taken, go = threading.Event(), threading.Event()

    async def leave() -> Answer:
        async with house.use(tiny) as lm:
            assert isinstance(lm, studiolo.LanguageModel)
            step = lm.model.network.step

            def slow(pieces: Sequence[Any]) -> Any:
                taken.set()
                go.wait(60)
                return step(pieces)

            lm.model.network.step = slow  # type: ignore[method-assign]
            async with house.tell(echoed(tiny, [5, 6] * 60, max_tokens=0)) as answer:
                await asyncio.to_thread(taken.wait, 60)
                assert answer.outcome.prompt_tokens == 0
            go.set()
        return answer

    answer = asyncio.run(leave())
    with pytest.raises(studiolo.StudioloError):
        asyncio.run(collect(answer))
    assert answer.outcome.prompt_tokens == 8  # the step that was being taken


def test_what_is_broken_off_counts_once(lm: studiolo.LanguageModel) -> None:
    model = TextModel(lm.model)
    ids = tuple(lm.tokenizer.encode(TEXT))
    scoring = model.begin(ScoreRequest(ids, 0), generator(0))
    sample = model.begin(TokenRequest(ids, 4, Decoding()), generator(0))
    network: Any = lm.model.network
    step, fails = network.step, [False, True, False]

    def broken(pieces: Any) -> Any:
        if fails and fails.pop(0):
            raise InterruptedStepError("broken off")
        return step(pieces)

    network.step = broken
    try:
        assert model.advance([sample, scoring], [3, 5]) == {}
        assert (len(scoring.choices), sample.demand) == (5, len(ids) - 3)
        fails[:] = [True]
        with pytest.raises(InterruptedStepError):
            model.advance([sample, scoring], [3, 5])
        assert (len(scoring.choices), sample.demand) == (5, len(ids) - 3)
    finally:
        del network.step
    while not (scoring.done and sample.done):
        live = [each for each in (scoring, sample) if not each.done]
        model.advance(live, [each.demand for each in live])
    known = [p for _, _, p in lm.score(TEXT).tokens if p is not None]
    assert [each.log_prob for each in model.finish(scoring)] == known
    expected = lm.generate(TEXT, max_tokens=4, temperature=1.0, top_p=1.0, seed=0)
    assert model.finish(sample).tokens == expected.token_ids


def test_what_fails_beside_scores_fails_alone(lm: studiolo.LanguageModel) -> None:
    model = TextModel(lm.model)
    scoring = model.begin(ScoreRequest((5, 6, 7), 0), generator(0))
    sample = model.begin(TokenRequest((5, 6), 4, Decoding()), generator(0))

    def broken(*_: object) -> Mapping[int, Exception]:
        raise ZeroDivisionError

    lm.model.advance = broken  # type: ignore[method-assign,assignment]
    try:
        failed = model.advance([scoring, sample], [2, 2])
    finally:
        del lm.model.advance
    assert {i: type(error) for i, error in failed.items()} == {1: ZeroDivisionError}
    assert scoring.done


def test_a_request_is_weighed_as_its_prompt(lm: studiolo.LanguageModel) -> None:
    model = TextModel(lm.model)
    assert model.weigh(ScoreRequest((5,) * 64, 3)) == lm.model.network.cache_bytes(64)
    with pytest.raises(ContextOverflowError, match="129 tokens are needed"):
        model.weigh(ScoreRequest((5,) * 129, 0))
