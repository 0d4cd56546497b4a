"""The router puts replicas into the order that :func:`ranked` has them in, busy ones last."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from studiolo.server.affinity import BUSIER, ranked

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Ray Serve is not for it"),
    # Ray Serve still says `Field(..., update_type=)`.
    pytest.mark.filterwarnings(
        "ignore:Using extra keyword arguments:pydantic.warnings.PydanticDeprecatedSince20"
    ),
]
NAMES = ("a", "b", "c")


def order(args: list[Any] | None, loads: dict[str, int]) -> list[list[str]]:
    """How replicas with these loads, of which some may not be known, are tried."""
    from studiolo.server.routing import AffinityRouter

    class Router(AffinityRouter):
        replica_queue_len_cache = loads  # Ray's has a `get` too

        def __init__(self) -> None:
            """Ray's wants a cluster."""

    replicas: list[Any] = [SimpleNamespace(replica_id=Id(name)) for name in NAMES]
    asked: Any = None
    if args is not None:
        asked = SimpleNamespace(args=args, routing_context=SimpleNamespace(should_backoff=False))
    chosen = asyncio.run(Router().choose_replicas(replicas, asked))
    if args:
        assert asked.routing_context.should_backoff, "or it would never pause"
    return [[each.replica_id.unique_id for each in group] for group in chosen]


class Id(str):
    """As Ray has it."""

    __slots__ = ()

    @property
    def unique_id(self) -> str:
        return str(self)


def test_they_are_tried_one_by_one_in_the_order_of_the_token() -> None:
    for token in ("x", "y", "z"):
        assert order([token, {}, b""], {}) == [[x] for x in ranked(token, dict.fromkeys(NAMES, 0))]


def test_one_with_clearly_more_to_do_comes_last() -> None:
    first = ranked("x", dict.fromkeys(NAMES, 0))[0]
    assert order(["x"], {first: BUSIER})[0] == [first]
    assert order(["x"], {first: BUSIER + 1})[-1] == [first]


def test_without_a_token_any_will_do() -> None:
    assert order(None, {}) == [list(NAMES)]
    assert order([], {}) == [list(NAMES)]
