from __future__ import annotations

import json
import time
from typing import Any

import pytest

from studiolo.errors import InvalidRequestError, NotFoundError
from studiolo.record.contents import Contents, Policy
from studiolo.record.database import Database
from studiolo.record.feedback import MAX_COMMENT, Feedback
from studiolo.record.keys import Keys
from studiolo.record.ledger import Entry, Ledger

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def made(database: Database) -> tuple[Feedback, str, str]:
    """Two keys, and a request of each and of nobody: ``r-a``, ``r-b``, ``r``."""
    keys, ledger = Keys(database), Ledger(database)
    a, b = (keys.create(name=name).key.id for name in "ab")
    for id, key, user in (("r-a", a, "u"), ("r-b", b, "v"), ("r", None, "u")):
        ledger.note(
            Entry(
                *(id, time.time(), 1.0, "openai", "/v1/completions", 200),
                key=key,
                user=user,
                model="m",
                weights="w",
            )
        )
    ledger.close()
    return Feedback(database), a, b


def test_a_rating_is_kept_and_replaced(made: tuple[Feedback, str, str]) -> None:
    feedback, a, _ = made
    first = feedback.put("r-a", a, 1, "good\0 \ud800")
    assert feedback.list(a) == (first,)
    assert first.comment == "good\ufffd ?"
    second = feedback.put("r-a", a, -0.25)
    assert feedback.list(a) == (second,)
    assert (second.rating, second.comment) == (-0.25, "")


def test_only_ones_own_requests_are_rated(made: tuple[Feedback, str, str]) -> None:
    feedback, a, b = made
    for request, key in (("r-b", a), ("r-a", b), ("r-a", None), ("r", a), ("no such", a)):
        with pytest.raises(NotFoundError, match="is no request of this key"):
            feedback.put(request, key, 1)
    assert feedback.list(None, admin=True) == ()
    ratings = [feedback.put(*each) for each in (("r-a", a, 1), ("r-b", b, 0.5), ("r", None, 0))]
    assert feedback.list(a) == (ratings[0],)
    assert feedback.list(None) == (ratings[2],)
    assert feedback.list(None, admin=True) == tuple(reversed(ratings))
    assert feedback.list(None, admin=True, limit=1, before="r") == (ratings[1],)


def test_what_is_no_rating_is_refused(made: tuple[Feedback, str, str]) -> None:
    feedback, a, _ = made
    for rating in (1.01, -2, float("nan"), float("inf")):
        with pytest.raises(InvalidRequestError, match="rating: must be from -1 to 1"):
            feedback.put("r-a", a, rating)
    with pytest.raises(InvalidRequestError, match="comment: has 10,001 characters"):
        feedback.put("r-a", a, 1, "x" * (MAX_COMMENT + 1))


def lines(feedback: Feedback, **which: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in feedback.export(**which)]


def test_training_gets_a_line_for_each(made: tuple[Feedback, str, str], database: Database) -> None:
    feedback, a, b = made
    Contents(database, Policy(contents=True)).put(
        "r-a", key=a, user="u", prompt=[{"content": "Zoë"}], output="so"
    )
    first, second = feedback.put("r-a", a, 1, "line\nend"), feedback.put("r-b", b, -1)
    common = {"model": "m", "weights": "w"}
    assert lines(feedback) == [
        {
            **common,
            "request": "r-a",
            "rating": 1.0,
            "comment": "line\nend",
            "created": first.created,
            "prompt": [{"content": "Zoë"}],
            "output": "so",
        },
        {
            **common,
            "request": "r-b",
            "rating": -1.0,
            "comment": "",
            "created": second.created,
            "prompt": None,
            "output": None,
        },
    ]
    assert all("\n" not in line for line in feedback.export())
    assert [each["request"] for each in lines(feedback, key=b)] == ["r-b"]
    assert [each["request"] for each in lines(feedback, since=second.created)] == ["r-b"]


def test_it_is_deleted_by_key_and_by_user(made: tuple[Feedback, str, str]) -> None:
    feedback, a, b = made

    def fill() -> None:
        for each in (("r-a", a, 1), ("r-b", b, 0.5), ("r", None, 0)):
            feedback.put(*each)

    for named, left in (
        ({"key": a}, {"r-b", "r"}),
        ({"user": "u"}, {"r-b"}),
        ({"key": a, "user": "v"}, {"r-a", "r-b", "r"}),
    ):
        fill()
        feedback.delete(**named)
        assert {each.request for each in feedback.list(None, admin=True)} == left
    with pytest.raises(InvalidRequestError, match="needs a key or a user"):
        feedback.delete()
