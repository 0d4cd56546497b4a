"""Pages of lists, and ids that could be anything's."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from studiolo.errors import InvalidRequestError
from studiolo.server.openai.paging import Page, asked, check, is_id, request_of, word, written


def request(query: str) -> Request:
    return Request({"type": "http", "query_string": query.encode(), "headers": []})


def test_a_page_is_asked_for() -> None:
    found = asked(request("limit=3&after=file-1"), default=20, most=100)
    assert found == Page(3, "file-1", False)
    orders = ("desc", "asc")
    assert asked(request(""), default=20, most=100, orders=orders) == Page(20, None, False)
    assert asked(request("order=asc"), default=20, most=100, orders=orders).rising


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("order=asc", "order"),
        ("after=a/b", "after"),
        ("after=", "after"),
    ],
)
def test_what_is_wrong_is_named(query: str, field: str) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        asked(request(query), default=20, most=100)
    assert wrong.value.field == field


def test_a_parameter_that_nobody_reads_is_refused() -> None:
    check(request("limit=1"), "limit")
    with pytest.raises(InvalidRequestError, match=r"colour: .*\nThere are limit\."):
        check(request("colour=red"), "limit")
    with pytest.raises(InvalidRequestError, match="Leave it out"):
        check(request("colour=red"))


def test_a_list_says_whether_there_is_more() -> None:
    items: list[dict[str, Any]] = [{"id": "a"}, {"id": "b"}, {"id": "c"}]
    page = Page(2, None, False)
    assert written(items, page) == {
        "object": "list", "data": items[:2], "first_id": "a", "last_id": "b", "has_more": True,
    }  # fmt: skip
    assert not written(items[:2], page)["has_more"]
    assert written([], page)["first_id"] is None


def test_answers_are_named_after_their_requests() -> None:
    for prefix in ("req_", "chatcmpl-", "cmpl-", "resp_", "msg_"):
        assert request_of(f"{prefix}{'0a' * 12}") == f"req_{'0a' * 12}"
    for wrong in ("", "req_", "req_" + "0A" * 12, "req_" + "0a" * 13, "0a" * 12, "req_" + "é" * 24):
        assert request_of(wrong) is None


def test_an_id_is_a_word() -> None:
    assert is_id("file-abc_1")
    assert not any(map(is_id, ["", "a/b", "..", "a\0", "é", "x" * 81, "a\n"]))
    assert word(request("purpose=batch"), "purpose") == "batch"
