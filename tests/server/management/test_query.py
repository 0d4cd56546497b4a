"""Queries: known names, each once, and times."""

from __future__ import annotations

import pytest
from fastapi import Request

from studiolo.errors import InvalidRequestError
from studiolo.server.management.query import moment, queried, queries


def request(query: str) -> Request:
    return Request({"type": "http", "query_string": query.encode()})


def test_names_are_known_and_stand_once() -> None:
    assert queried(request("by=a,b&since="), ("by", "since")) == {"by": "a,b", "since": ""}
    for query, field in (("by=a&by=b", "by"), ("colour=red", "colour")):
        with pytest.raises(InvalidRequestError) as caught:
            queried(request(query), ("by", "since"))
        assert caught.value.field == field


def test_moments() -> None:
    assert moment("since", None) is None
    assert moment("since", "1700000000") == 1_700_000_000
    assert moment("since", "1970-01-02") == 86_400
    for nonsense in ("", "yesterday", "1e9", "-5", "2026-13-01", "9" * 30, "٣"):
        with pytest.raises(InvalidRequestError, match="since: must be Unix seconds or a day"):
            moment("since", nonsense)


def test_they_are_described() -> None:
    (parameter,) = queries(by="What to group by.")["parameters"]
    assert (parameter["name"], parameter["in"]) == ("by", "query")
