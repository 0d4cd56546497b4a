"""Pulls for clients: what may be named, what is told, and that nobody's stops."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from studiolo.bundle import store
from studiolo.bundle.landing import Progress, PullEvent
from studiolo.errors import (
    BusyError,
    InvalidRequestError,
    LicenceNotAcceptedError,
    SourceError,
    UnknownModelError,
)
from studiolo.server.pulls import AT_ONCE, Pull, Pulls, pullable
from tests.bundle.serving import FILE, catalogue, closed_port, noise, serve, url_source


async def followed(what: str, pulls: Pulls) -> list[PullEvent]:
    return [event async for event in Pull(what, pulls)]


def test_a_model_arrives(home: Path) -> None:
    content, pulls = noise(3_000_000), Pulls()
    with serve({FILE: content}) as site:
        catalogue(home, {FILE: content}, url_source(site.address))
        events = asyncio.run(followed("toy", pulls))
    assert store.find("toy") is not None
    assert events[-1] == Progress("toy", len(content), len(content))
    assert pulls.under_way == 0
    assert asyncio.run(followed("toy", pulls)) == []


@pytest.mark.parametrize(
    "what",
    ["./toy", "/etc/toy.gguf", "toy.gguf", "~/toy", "file:toy", "a/b", "https://x.example/t.gguf"],
)
def test_places_are_refused(what: str) -> None:
    with pytest.raises(InvalidRequestError, match="neither a name of the catalogue nor hf:"):
        pullable(what, "model")


def test_names_are_not() -> None:
    assert pullable("toy", "model") == "toy"
    assert pullable("hf:owner/name", "model") == "hf:owner/name"


def test_what_goes_wrong_is_told(home: Path) -> None:
    with pytest.raises(UnknownModelError):
        asyncio.run(followed("nobody", Pulls()))
    catalogue(home, {FILE: b"x"}, url_source(f"http://127.0.0.1:{closed_port()}"))
    pulls = Pulls()
    with pytest.raises(SourceError, match="could not be fetched"):
        asyncio.run(followed("toy", pulls))
    assert pulls.under_way == 0
    terms = '[models.toy.terms]\nurl = "https://x.example"\nsummary = "Be kind."\n'
    catalogue(home, {FILE: b"x"}, url_source("http://127.0.0.1:1"), extra=terms)
    with pytest.raises(LicenceNotAcceptedError, match=r"Be kind\."):
        asyncio.run(followed("toy", pulls))


def test_one_that_nobody_waits_for_stops_and_keeps_what_it_has(home: Path) -> None:
    content = noise(4_000_000)

    async def leave(site_rate: int) -> Pulls:
        pulls = Pulls()
        pulling = Pull("toy", pulls)
        async for _ in pulling:
            break
        pulling.stop()
        while pulls.under_way:
            await asyncio.sleep(0.01)
        return pulls

    with serve({FILE: content}, rate=2_000_000) as site:
        catalogue(home, {FILE: content}, url_source(site.address))
        asyncio.run(leave(site.rate))
        assert store.find("toy") is None
        kept = (home / "downloads" / "toy" / f"{FILE}.part").stat().st_size
        assert 0 < kept < len(content)
        site.rate = 0
        asyncio.run(followed("toy", Pulls()))
    assert store.find("toy") is not None


def test_no_more_than_so_many_at_once(home: Path) -> None:
    async def many() -> None:
        pulls = Pulls()
        pulls.under_way = AT_ONCE
        with pytest.raises(BusyError, match="models are being pulled already"):
            Pull("toy", pulls)

    asyncio.run(many())
