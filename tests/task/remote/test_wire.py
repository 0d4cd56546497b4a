"""What may be sent, and what is told of what came."""

from __future__ import annotations

import pytest

from studiolo.errors import InvalidRequestError, UpstreamError
from studiolo.task.remote.sse import ServerEvent
from studiolo.task.remote.wire import Told, sendable, told


def test_what_is_known_is_sent_and_the_rest_refused_by_name() -> None:
    given = {"temperature": 1.0, "seed": None, "beams": 1, "top_k": 0, "ignore_eos": False}
    assert sendable(given, {"temperature"}, "m") == {"temperature": 1.0}
    for name, value in (("beams", 4), ("regex", "a+"), ("grammar", ""), ("top_k", 1), ("n", 2)):
        with pytest.raises(InvalidRequestError, match="the model elsewhere, m, cannot") as caught:
            sendable({**given, name: value}, {"temperature"}, "m")
        assert caught.value.field == name


class Pair(Told):
    left: int
    right: int = 0


def test_what_is_needed_is_read_strictly_and_the_rest_passed_over() -> None:
    assert told(Pair, ServerEvent("", '{"left": 1, "more": []}')) == Pair(left=1)
    for data in ('{"left": "x"}', "{}", "[]", "nonsense", ""):
        with pytest.raises(UpstreamError, match="cannot be read"):
            told(Pair, ServerEvent("", data))
