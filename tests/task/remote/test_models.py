"""Models elsewhere: fallbacks, vectors, deadlines."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from studiolo.errors import (
    InvalidRequestError,
    StudioloError,
    UpstreamError,
)
from studiolo.task.asking import TextAsk, collect
from studiolo.task.remote.models import RemoteModel, open_remotes
from tests.task.remote.upstreams import BROKEN, HELLO, Fake, Reply, said, sent, upstream

SAID: Any = [{"role": "user", "content": "hi"}]
OTHER = Reply(said("other"))


@asynccontextmanager
async def models(*replies: Reply, **options: Any) -> AsyncIterator[tuple[RemoteModel, list[Fake]]]:
    """The model ``m0`` with a fallback for each other reply."""
    async with AsyncExitStack() as held:
        fakes = [await held.enter_async_context(upstream(each)) for each in replies]
        names = [f"m{i}" for i in range(len(fakes))]
        remotes = {
            name: fake.remote(retries=0, fallbacks=[o for o in names if o != name], **options)
            for name, fake in zip(names, fakes, strict=True)
        }
        made = open_remotes(remotes)
        for each in made.values():
            held.push_async_callback(each.aclose)
        yield made["m0"], fakes


async def text(model: RemoteModel, **options: Any) -> str:
    ask = TextAsk("m0", messages=SAID, options=options)
    async with model.tell(ask, client="me") as answer:
        return (await collect(answer))[0].text


def test_who_fails_is_stood_in_for() -> None:
    async def main() -> None:
        async with models(HELLO, OTHER) as (model, fakes):
            assert await text(model) == "Hello"
            assert fakes[1].asked == []
        async with models(BROKEN, Reply(status=401), OTHER) as (model, fakes):
            assert await text(model) == "other"
            assert [len(fake.asked) for fake in fakes] == [1, 1, 1]
        async with models(BROKEN, Reply(status=401)) as (model, _):
            with pytest.raises(UpstreamError, match="m0, elsewhere, answered with an error"):
                await text(model)

    asyncio.run(main())


def test_a_bad_request_is_bad_everywhere(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        refused = Reply([b'{"error": {"message": "no"}}'], 400)
        async with models(refused, OTHER) as (model, fakes):
            with pytest.raises(InvalidRequestError, match="request: no"):
                await text(model)
            assert fakes[1].asked == []
        async with models(BROKEN, refused, OTHER) as (model, _):
            assert await text(model) == "other", "but who refuses to stand in is passed over"
        async with models(BROKEN, refused) as (model, _):
            with pytest.raises(UpstreamError, match="m0"):
                await text(model)

    asyncio.run(main())
    assert "does not stand in: InvalidRequestError" in caplog.text
    assert "no" not in caplog.text.split()


def vectors(*each: object, **more: Any) -> Reply:
    data = [{"index": i, "embedding": vector} for i, vector in enumerate(each)]
    body = {"data": data[::-1], "usage": {"prompt_tokens": 5}, **more}
    return Reply([sent(body)[0][6:]], kind="application/json")


def test_vectors_come_in_order() -> None:
    async def main() -> None:
        spelled = base64.b64encode(struct.pack("<2f", 3, 4)).decode()
        async with models(vectors([1, 2], spelled)) as (model, fakes):
            made, tokens = await model.embed(["a", "b"])
            assert [vector.tolist() for vector in made] == [[1, 2], [3, 4]]
            assert tokens == 5
            asked = fakes[0].asked[0]
            assert asked.path == "/v1/embeddings"
            assert asked.body == {
                "model": "theirs", "input": ["a", "b"], "encoding_format": "float",
            }  # fmt: skip

    asyncio.run(main())


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (vectors([1]), "1 for 2 texts"),
        (vectors([1], [1, 2]), "different widths"),
        (vectors([1], "%%"), "not in base64"),
        (vectors([1], "abc="), "not in base64"),
        (vectors([1], ["x"]), "cannot be read"),
        (Reply([b"<html>"]), "cannot be read"),
        (BROKEN, "answered with an error"),
    ],
)
def test_vectors_that_are_none(reply: Reply, reason: str) -> None:
    async def main() -> None:
        async with models(reply, vectors([1], [2])) as (model, fakes):
            with pytest.raises(UpstreamError, match=reason):
                await model.embed(["a", "b"])
            assert fakes[1].asked == [], "vectors of another model would say nothing"

    asyncio.run(main())


def test_what_cannot_be_embedded_is_said() -> None:
    async def main() -> None:
        async with models(vectors([1])) as (model, _):
            for texts, truncate, field in ((["a", [1]], False, "input"), (["a"], True, "truncate")):
                with pytest.raises(InvalidRequestError) as caught:
                    await model.embed(texts, truncate=truncate)  # type: ignore[arg-type]
                assert caught.value.field == field
        async with models(vectors([1]), accepts=["truncate"]) as (model, fakes):
            await model.embed(["a"], truncate=True)
            assert fakes[0].asked[0].body["truncate"] is True
        async with models(vectors([1]), dialect="anthropic") as (model, _):
            with pytest.raises(InvalidRequestError, match="makes no vectors"):
                await model.embed(["a"])

    asyncio.run(main())


def test_headers_are_asked_for_each_time_and_keys_must_be_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async with upstream(HELLO) as fake:
            counts = iter(range(9))
            made = open_remotes({"m0": fake.remote()}, lambda: {"x-count": str(next(counts))})
            await text(made["m0"])
            await text(made["m0"])
            assert [each.headers["x-count"] for each in fake.asked] == ["0", "1"]
            await made["m0"].aclose()
            with pytest.raises(StudioloError, match="NO_SUCH_KEY should hold the key of m0"):
                open_remotes({"m0": fake.remote(key_env="NO_SUCH_KEY")})

    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    asyncio.run(main())
