"""Lines of a batch: they stand back, they wait for their key's limits, they are in the records."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from studiolo.errors import BusyError, RequestCancelledError
from studiolo.record.contents import Policy
from studiolo.record.grant import Budget, Key, Limits
from studiolo.record.records import Records
from studiolo.server import lines as module
from studiolo.server.lines import Lines
from studiolo.server.settings import Price, Settings
from studiolo.server.studio import Studio
from studiolo.task.house import House
from studiolo.task.openai import COMPLETIONS, EMBEDDINGS
from tests.server.serving import MEMORY

BODY = {"prompt": "the rain", "max_tokens": 3, "user": "me"}


@pytest.fixture(scope="module")
def house(tiny_home: Path) -> Iterator[House]:
    with House(device="cpu", model_memory=MEMORY, request_memory=MEMORY) as opened:
        yield opened


@pytest.fixture
def studio(house: House, tmp_path: Path) -> Iterator[Studio]:
    settings = Settings("tiny", "tiny-encoder", prices={"tiny": Price(2e6, 1e6)})
    policy = Policy(contents=True, receipts=True)
    records = Records.open(str(tmp_path / "records.db"), policy)
    yield Studio.of(settings, house, records)
    records.close()


class Others:
    """How many others there are."""

    count = 0

    def __call__(self) -> int:
        return self.count


def made(studio: Studio, others: Others | None = None) -> Lines:
    parts = studio.settings, studio.house, studio.records, studio.limiter
    return Lines(*parts, others or Others())


async def answer(lines: Lines, key: Key | None = None, *, id: str = "a" * 24, **more: Any) -> Any:
    url = more.pop("url", COMPLETIONS)
    return await lines.answer(key, url, more.pop("body", BODY), id=id, seed=1, created=5)


def test_a_line_is_a_request_like_any_other(studio: Studio) -> None:
    key = studio.records.keys.create(name="a").key
    lines = made(studio)
    for _ in range(2):  # again, after a kill
        status, body = asyncio.run(answer(lines, key))
    assert status == 200
    studio.records.ledger.flush()
    (entry,) = studio.records.ledger.requests(key.id)
    assert (entry.id, entry.endpoint, entry.status) == (
        "req_" + "a" * 24,
        f"POST {COMPLETIONS}",
        200,
    )
    assert (entry.model, entry.user) == ("tiny", "me")
    assert entry.cost == 2 * entry.prompt_tokens + entry.completion_tokens > 0
    assert entry.completion_tokens == body["usage"]["completion_tokens"]
    kept = studio.records.contents.content(entry.id, key.id)
    assert kept is not None
    assert kept.prompt == {"prompt": "the rain"}
    assert kept.output["choices"][0]["text"] == body["choices"][0]["text"]
    assert studio.records.contents.receipt(entry.id, key.id)


def test_what_is_wrong_is_in_the_records_too(studio: Studio) -> None:
    status, _ = asyncio.run(answer(made(studio), body={"prompt": "x", "top_p": 7}))
    assert status == 400
    studio.records.ledger.flush()
    (entry,) = studio.records.ledger.requests(None)
    assert (entry.status, entry.error, entry.user) == (400, "InvalidRequestError", None)


def test_a_fault_of_ours_is_logged_without_its_words(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any, **options: Any) -> Any:
        raise ZeroDivisionError("the rain")

    monkeypatch.setattr(studio.house, "tell", broken)
    status, body = asyncio.run(answer(made(studio)))
    assert status == 500
    assert "ZeroDivisionError" in caplog.text
    assert "the rain" not in f"{caplog.text} {body}"


def test_vectors_are_counted(studio: Studio) -> None:
    status, body = asyncio.run(answer(made(studio), url=EMBEDDINGS, body={"input": "cat"}))
    assert status == 200
    studio.records.ledger.flush()
    (entry,) = studio.records.ledger.requests(None)
    assert (entry.model, entry.prompt_tokens) == ("tiny-encoder", body["usage"]["total_tokens"])


def test_one_line_at_a_time_while_others_wait(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.001)
    others = Others()
    lines = made(studio, others)
    most: list[int] = []

    async def run() -> None:
        tell = lines._tell

        def counted(*args: Any) -> Any:
            most.append(lines._count)
            return tell(*args)

        monkeypatch.setattr(lines, "_tell", counted)
        others.count = 1
        asked = [asyncio.create_task(answer(lines, id=f"{i:024x}")) for i in range(6)]
        await asked[2]
        assert max(most) == 1
        others.count = 0
        await asyncio.gather(*asked)

    asyncio.run(run())
    assert len(most) == 6
    assert max(most) > 1


def test_a_line_waits_for_its_keys_limits(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(requests_per_minute=60)
    key = studio.records.keys.create(name="slow", limits=limits).key
    now, waited = [0.0], []
    monkeypatch.setattr(studio.limiter, "_clock", lambda: now[0])
    lines = made(studio)

    async def run() -> None:
        sleep = asyncio.sleep

        async def pass_by(seconds: float) -> None:
            if seconds > 0.5:
                waited.append(seconds)
                now[0] += seconds
            await sleep(0)

        monkeypatch.setattr(asyncio, "sleep", pass_by)
        for i in range(62):
            assert (await answer(lines, key, id=f"{i:024x}"))[0] == 200

    asyncio.run(run())
    assert waited == [pytest.approx(1.0)] * 2


def test_a_line_waits_for_its_keys_budget(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(budget=Budget(1.0, "day"))
    key = studio.records.keys.create(name="poor", limits=limits).key
    lines = made(studio)

    async def run() -> None:
        assert (await answer(lines, key))[0] == 200
        studio.records.ledger.flush()
        waiting = asyncio.create_task(answer(lines, key, id="b" * 24))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        waiting.cancel()

    asyncio.run(run())


def test_a_model_that_the_key_is_not_for(studio: Studio) -> None:
    key = studio.records.keys.create(name="narrow", models=("other",)).key
    for url, body in ((COMPLETIONS, BODY), (EMBEDDINGS, {"input": "x"})):
        assert asyncio.run(answer(made(studio), key, url=url, body=body))[0] == 403


def test_records_that_are_away_are_no_fault_of_the_line(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: Any, **options: Any) -> bool:
        raise BusyError("the records are busy")

    monkeypatch.setattr(studio.records.contents, "put", away)
    with pytest.raises(RequestCancelledError, match="busy"):
        asyncio.run(answer(made(studio)))
