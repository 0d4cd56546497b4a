"""A house of two tiny models: answers, loads, unloads, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import random
import shutil
import weakref
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import studiolo
from studiolo.errors import (
    DeadlineError,
    InvalidRequestError,
    UnknownModelError,
)
from studiolo.family.prefix import PrefixCache
from studiolo.guard.detector import examine
from studiolo.runtime.scheduler import Pace
from studiolo.sampler.watermark import Watermark
from studiolo.task.asking import Answer, Choice, Ended, Event, Outcome, Piece, TextAsk, collect
from studiolo.task.house import WINDOW, House
from studiolo.task.text import LanguageModel
from tests.adapters import for_directory
from tests.task.houses import LONG, answered, ask, is_empty, opened
from tests.task.openai.test_chat import Told

pytestmark = pytest.mark.usefixtures("at_home")


def test_many_asks_at_once_are_each_answered_as_alone(
    house: House, lm: studiolo.LanguageModel
) -> None:
    options: list[dict[str, Any]] = [
        {"prompt": f"the {'cat ' * (i % 7)}", "n": 1 + i % 3, "seed": i, "temperature": 1.5,
         "stop": ["e", "at"][: i % 3], "log_probs": 1 if i % 2 else None, "max_tokens": 5 + i}
        for i in range(24)
    ]  # fmt: skip
    options += [{"beams": 3, "n": 2}, {"regex": "(a|b)+"}, {"choices": ["yes", "no"]}]

    async def all_of_them() -> list[tuple[list[Choice], Outcome]]:
        return await asyncio.gather(*(answered(house, ask(**each)) for each in options))

    for given, (choices, outcome) in zip(options, asyncio.run(all_of_them()), strict=True):
        made = lm.generate(**{"prompt": "the cat", "seed": 1, "max_tokens": 9, **given})
        whole = (made, *made.alternatives)
        assert [choice.text for choice in choices] == [each.text for each in whole]
        for choice, each in zip(choices, whole, strict=True):
            known = each.log_probs or ()
            assert [score.log_prob for score in choice.scores] == [c.log_prob for c in known]
        assert outcome.completion_tokens == made.usage.completion_tokens
        assert outcome.seconds_to_first is not None
        assert 0 <= outcome.seconds_to_first <= outcome.seconds
    is_empty(house)


TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
]


@pytest.mark.parametrize(
    "asked",
    [
        ask(n=3, log_probs=2, stop=["e"]),
        ask(regex="(a|b){1,9}", log_probs=0),
        ask(beams=3, n=2, stop="e"),
        TextAsk("a", [{"role": "user", "content": "so"}], options={"max_tokens": 7}),
        TextAsk("a", prompt="the", begun=(70, 71), options={"ignore_eos": True, "max_tokens": 9}),
    ],
    ids=["samples", "constraint", "beams", "chat", "begun"],
)
def test_receipts_of_answers_are_made_again(
    house: House, asked: TextAsk, tmp_path: Path, tiny: str
) -> None:
    async def receipt() -> Any:
        async with house.tell(asked, client="somebody") as answer:
            await collect(answer)
            return answer.receipt()

    made = asyncio.run(receipt())
    file = tmp_path / "receipt.json"
    file.write_bytes(made.to_bytes())
    assert studiolo.replay(file).agrees


def test_a_model_s_name_may_be_followed_by_an_adapter_s(
    house: House, lm: studiolo.LanguageModel, models: Path, tmp_path: Path, tiny: str
) -> None:
    """Beside each other and the plain model; what they make has receipts and marks of its own."""
    shelf = [for_directory(tiny, models / "adapters" / n, i) for i, n in enumerate(("poet", "b.1"))]
    names = ["a", "a+poet", "a+b.1"]
    wearing = dict(zip(names, (None, *shelf), strict=True))

    async def told(name: str, seed: int) -> tuple[str, str, Any]:
        asked = ask("the cat sat", name, seed=seed, log_probs=1)
        async with house.tell(asked, client="somebody") as answer:
            choices = await collect(answer)
            return choices[0].text, answer.fingerprint, answer.receipt()

    async def every() -> list[tuple[str, str, Any]]:
        return await asyncio.gather(*(told(name, seed) for seed in range(4) for name in names))

    found = asyncio.run(every())
    for i, (text, _, receipt) in enumerate(found):
        name = names[i % 3]
        made = lm.generate(
            "the cat sat", seed=i // 3, max_tokens=9, log_probs=1, adapter=wearing[name]
        )
        assert text == made.text
        assert lm.receipt(made).outputs == receipt.outputs
        (tmp_path / "receipt.json").write_bytes(receipt.to_bytes())
        assert studiolo.replay(tmp_path / "receipt.json").agrees
    assert len({fingerprint for _, fingerprint, _ in found}) == 3
    assert list(house.engine.models.loaded) == ["a"]
    is_empty(house)


def test_adapters_are_named_and_never_places(house: House, models: Path, tiny: str) -> None:
    poet = for_directory(tiny, models / "adapters" / "poet")
    house.elsewhere["far"] = None  # type: ignore[assignment]
    for name, error, words in (
        (f"a+{poet}", UnknownModelError, "no model is called"),
        ("a+../adapters/poet", UnknownModelError, "no model is called"),
        ("a+pout", UnknownModelError, r"Did you mean a\+poet"),
        ("nobody+poet", UnknownModelError, "no model is called 'nobody'"),
        ("far+poet", InvalidRequestError, "far answers elsewhere, and takes no adapter"),
        ("vectors+poet", InvalidRequestError, "vectors makes vectors, not texts"),
    ):
        with pytest.raises(error, match=words):
            asyncio.run(answered(house, ask(model=name)))
    is_empty(house)


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("choice", ["auto", "required", "now"])
def test_receipts_of_calls_are_made_again(
    models: Path, tmp_path: Path, choice: str, parallel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    roomy = shutil.copytree(models / "models" / "a", tmp_path / "roomy")
    (roomy / "bundle.json").unlink()
    config = (roomy / "config.json").read_text()
    (roomy / "config.json").write_text(config.replace(": 128", ": 2048"))
    asked = TextAsk(
        str(roomy), [{"role": "user", "content": "so"}], tools=TOOLS, tool_choice=choice,
        parallel=parallel, options={"max_tokens": 300, "seed": 3, "ignore_eos": choice == "auto"},
    )  # fmt: skip

    async def receipt(house: House) -> Any:
        async with house.tell(asked) as answer:
            choices = await collect(answer)
            assert choice == "auto" or choices[0].calls
            return answer.receipt()

    with opened() as house:
        house.admit(str(roomy))
        file = tmp_path / "receipt.json"
        file.write_bytes(asyncio.run(receipt(house)).to_bytes())
    assert studiolo.replay(file, model=roomy).agrees


def test_vectors_are_the_encoders_however_many(house: House, tiny_encoder: str) -> None:
    texts: list[Any] = ["a cat", [3, 4], *(f"text {i}" for i in range(3 * WINDOW))]
    encoder = studiolo.load_encoder(tiny_encoder, device="cpu")
    with opened(pace=Pace(live=8, waiting=4)) as cramped:
        for each in (house, cramped):
            vectors, tokens = asyncio.run(each.embed("vectors", texts))
            assert tokens == sum(map(len, encoder.encode(texts)))
            for vector, expected in zip(vectors, encoder.embed(texts), strict=True):
                assert vector.equal(expected)
            is_empty(each)


def test_what_is_wrong_is_told_and_leaves_nothing(house: House) -> None:
    async def fails(work: Awaitable[object], error: type[Exception], words: str) -> None:
        with pytest.raises(error, match=words):
            await work

    async def every() -> None:
        await fails(answered(house, ask(model="vectors")), InvalidRequestError, "not texts")
        await fails(house.embed("a", ["x"]), InvalidRequestError, "not vectors")
        await fails(house.embed("vectors", ["x" * 99]), InvalidRequestError, "context holds")
        await fails(answered(house, ask(model="aa")), UnknownModelError, "Did you mean a")
        await fails(answered(house, ask(top_p=7)), InvalidRequestError, "top_p")
        await fails(answered(house, ask(max_tokens=900)), InvalidRequestError, "holds 128")
        await fails(answered(house, ask(regex="(")), InvalidRequestError, "regex")
        late = answered(house, ask(**LONG, n=64), timeout=0.0)
        await fails(late, DeadlineError, "time ran out")

    asyncio.run(every())
    is_empty(house)


def test_requests_name_models_and_not_places(house: House, tiny: str, models: Path) -> None:
    places = [tiny, f"file:{tiny}", str(models / "models" / "a"), "../a", "hf:a", "./a", "~"]
    for place in places:
        with pytest.raises(UnknownModelError):
            asyncio.run(answered(house, ask(model=place)))
    house.admit(tiny)
    asyncio.run(answered(house, ask(model=tiny)))
    house.unload(tiny)
    asyncio.run(answered(house, ask(model=tiny)))
    house.load(f"file:{tiny}")
    assert set(house.engine.models.loaded) == {tiny, f"file:{tiny}"}


def test_leaving_at_any_moment_leaves_nothing_behind(house: House) -> None:
    rng = random.Random(7)
    kinds: list[dict[str, Any]] = [
        LONG, {**LONG, "n": 5, "log_probs": 1}, {"beams": 4, **LONG, "temperature": 1.0},
        {"regex": "(a|b)+", **LONG}, {"n": 9, "stop": "e"},
    ]  # fmt: skip

    async def leave(i: int) -> None:
        house_events = 0
        async with house.tell(ask(**{"seed": i, **kinds[i % len(kinds)]})) as answer:
            if i % 3 == 0:
                return
            async for _ in answer:
                house_events += 1
                if house_events > i % 11:
                    break

    async def work() -> None:
        tasks = [asyncio.create_task(leave(i)) for i in range(150)]
        for _ in range(len(tasks)):
            await asyncio.sleep(rng.choice([0, 0, 0, 0.002]))
            if rng.random() < 0.7:
                rng.choice(tasks).cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        vectors = asyncio.create_task(house.embed("vectors", ["x"] * 600))
        await asyncio.sleep(0.02)
        vectors.cancel()
        await asyncio.gather(vectors, return_exceptions=True)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(work())
    is_empty(house)
    choices, _ = asyncio.run(answered(house, ask()))
    assert choices[0].text
    house.unload("a")


def test_what_prompts_begin_with_is_shared_by_one_client_alone() -> None:
    prompt = "the cat sat on the mat " * 12  # 84 tokens or so

    async def cached(house: House, *clients: str, **options: Any) -> list[int]:
        known = []
        for client in clients:
            _, outcome = await answered(house, ask(prompt, **options), client=client)
            known.append(outcome.cached_tokens)
        return known

    with opened(prefix_memory=10_000_000) as house:
        length = len(house_lm(house).tokenizer.encode(prompt))
        pages = (length - 1) // 32 * 32
        assert pages >= 32
        assert asyncio.run(cached(house, "x", "x", "y", "", "y")) == [0, pages, 0, 0, pages]
        # Of several samples, what the first has read is not known beforehand.
        assert asyncio.run(cached(house, "z", "z", n=4)) == [0, pages]
        assert asyncio.run(cached(house, "w", "w", beams=2)) == [0, pages]
        prefix = house_lm(house).model.prefix
        assert isinstance(prefix, PrefixCache)
        assert 0 < prefix.nbytes <= 10_000_000
        kept = weakref.ref(prefix)
        del prefix
        house.unload("a")
        gc.collect()
        assert kept() is None
    with opened() as house:
        assert asyncio.run(cached(house, "x", "x")) == [0, 0]


def house_lm(house: House) -> LanguageModel:
    house.load("a")
    found = house._opened["a"]
    assert isinstance(found, LanguageModel)
    return found


def test_a_house_with_a_watermark_marks_what_is_drawn(models: Path) -> None:
    mark = Watermark(bytes(range(32)))
    drawn: dict[str, Any] = {"max_tokens": 60, "ignore_eos": True, "temperature": 1.0}
    with opened(watermark=mark) as marking, opened() as plain:
        for house, marked in ((marking, True), (plain, False)):
            asyncio.run(answered(house, ask(**drawn)))
            lm = house._opened["a"]
            assert isinstance(lm, LanguageModel)
            made = lm.generate("the cat", seed=1, **drawn)
            assert (made.asked.watermark == mark.digest) == marked
            assert (examine(made.token_ids, mark).log10_p < -6) == marked
            # What is not drawn is not refused; it has no mark.
            choices, _ = asyncio.run(answered(house, ask(temperature=0.0)))
            assert choices[0].reason
            greedy = lm.generate("the cat", temperature=0.0, max_tokens=3)
            assert greedy.asked.watermark is None


class Far:
    """A model elsewhere that says who asks."""

    @asynccontextmanager
    async def tell(self, ask: TextAsk, *, client: str) -> AsyncIterator[Answer]:
        events: list[Event] = [Piece(0, f"{client} asks {ask.prompt!r}"), Ended(0, "stop")]
        yield Told(events)


def test_a_model_elsewhere_is_asked_and_listed(models: Path) -> None:
    with opened(elsewhere={"far": Far(), "b": Far()}) as house:
        choices, _ = asyncio.run(answered(house, ask(model="far"), client="me"))
        assert choices[0].text == "me asks 'the cat'"
        known = house.known()
        assert [(name, owner) for name, _, owner in known] == [
            ("a", "studiolo"), ("b", "elsewhere"), ("far", "elsewhere"), ("vectors", "studiolo"),
        ]  # fmt: skip
        assert known[0][1] == int((models / "models" / "a").stat().st_mtime)
        choices, _ = asyncio.run(answered(house, ask(model="b"), client="me"))
        assert choices[0].text == "me asks 'the cat'"
        assert house.engine.models.loaded == {}
        with pytest.raises(InvalidRequestError, match="far answers elsewhere"):
            asyncio.run(house.embed("far", ["x"]))
        with pytest.raises(UnknownModelError, match="Did you mean far"):
            asyncio.run(answered(house, ask(model="fer")))
