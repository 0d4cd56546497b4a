from __future__ import annotations

import json
import time
from typing import Any

import pytest

from studiolo.errors import InvalidRequestError, NotFoundError
from studiolo.record.contents import Contents, Policy
from studiolo.record.database import Database
from studiolo.record.feedback import MAX_COMMENT, MAX_CORRECTION, Feedback
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
    with pytest.raises(InvalidRequestError, match="correction: has 100,001 characters"):
        feedback.put("r-a", a, 1, correction="x" * (MAX_CORRECTION + 1))


def test_nobody_agrees_by_saying_nothing(made: tuple[Feedback, str, str]) -> None:
    feedback, a, _ = made
    assert not feedback.put("r-a", a, 1).consent
    agreed = feedback.put("r-a", a, -1, correction="so\0", consent=True)
    assert (agreed.correction, agreed.consent) == ("so\ufffd", True)
    assert feedback.list(a) == (agreed,)
    assert [each.rating for each in feedback.rated()] == [agreed]
    taken_back = feedback.put("r-a", a, -1, correction="")
    assert (taken_back.correction, taken_back.consent) == (None, False)
    assert feedback.list(a) == (taken_back,)


def test_what_was_rated_is_found_by_key_model_and_time(
    made: tuple[Feedback, str, str], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    feedback, a, b = made
    Contents(database, Policy(contents=True, keep_days=2)).put(
        "r-a", key=a, user="u", prompt={"prompt": "x"}, output={"choices": []}
    )
    first, second = feedback.put("r-a", a, 1), feedback.put("r-b", b, -1)

    def found(**which: Any) -> list[str]:
        return [each.rating.request for each in feedback.rated(**which)]

    assert found() == ["r-a", "r-b"]
    assert found(key=b) == found(since=second.created) == ["r-b"]
    assert found(model="m") == ["r-a", "r-b"]
    assert found(model="n") == found(key=b, model="n") == []
    (one,) = feedback.rated(key=a)
    assert (one.rating, one.model, one.weights) == (first, "m", "w")
    assert (one.prompt, one.output) == ({"prompt": "x"}, {"choices": []})
    monkeypatch.setattr(time, "time", lambda: first.created + 3 * 86_400)
    (late,) = feedback.rated(key=a)
    assert (late.rating, late.prompt, late.output) == (first, None, None)


def lines(feedback: Feedback, **which: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in feedback.export(**which)]


def test_a_copy_has_a_line_for_each(made: tuple[Feedback, str, str], database: Database) -> None:
    feedback, a, b = made
    Contents(database, Policy(contents=True)).put(
        "r-a", key=a, user="u", prompt=[{"content": "Zoë"}], output="so"
    )
    first = feedback.put("r-a", a, 1, "line\nend", correction="thus", consent=True)
    second = feedback.put("r-b", b, -1)
    common = {"model": "m", "weights": "w"}
    assert lines(feedback) == [
        {
            **common,
            "request": "r-a",
            "rating": 1.0,
            "comment": "line\nend",
            "correction": "thus",
            "consent": True,
            "created": first.created,
            "prompt": [{"content": "Zoë"}],
            "output": "so",
        },
        {
            **common,
            "request": "r-b",
            "rating": -1.0,
            "comment": "",
            "correction": None,
            "consent": False,
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
