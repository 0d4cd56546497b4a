from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.record.grant import PERIODS, SCOPES, Budget, Key, Limits


def key(**changes: Any) -> Key:
    values: dict[str, Any] = {
        "id": "abcdefghij12",
        "name": "editor",
        "owner": "team",
        "scopes": ("inference",),
        "models": ("*",),
        "limits": Limits(),
        "created": 100.0,
    }
    return Key(**{**values, **changes})


def seconds(*date: int) -> float:
    return datetime(*date, tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("per", "now", "start", "end"),
    [
        ("day", (2026, 2, 28, 23, 59, 59), (2026, 2, 28), (2026, 3, 1)),
        ("day", (2026, 3, 1), (2026, 3, 1), (2026, 3, 2)),
        ("month", (2026, 1, 31, 12), (2026, 1, 1), (2026, 2, 1)),
        ("month", (2024, 2, 29), (2024, 2, 1), (2024, 3, 1)),
        ("month", (2026, 12, 31, 23), (2026, 12, 1), (2027, 1, 1)),
    ],
)
def test_a_period_is_the_calendars_in_utc(
    per: Any, now: tuple[int, ...], start: tuple[int, ...], end: tuple[int, ...]
) -> None:
    assert Budget(1, per).period(seconds(*now)) == (seconds(*start), seconds(*end))


@given(st.sampled_from(PERIODS), st.floats(0, 4e9))
def test_now_is_in_its_period(per: Any, now: float) -> None:
    start, end = Budget(1, per).period(now)
    assert start <= now < end
    assert Budget(1, "total").period(now) == (0.0, math.inf)


def test_a_budget_is_read_as_it_is_written() -> None:
    for text in ("10/month", "0.5/day", "1e+06/total"):
        assert str(Budget.parse(text)) == text
    for text in ("", "10", "/day", "ten/day", "10/week", "0/day", "-1/day", "nan/day", "inf/day"):
        with pytest.raises(InvalidRequestError) as caught:
            Budget.parse(text)
        assert caught.value.field == "budget"


def test_a_key_may_do_what_its_scopes_say() -> None:
    for scope in SCOPES:
        assert key(scopes=(scope,)).allows(scope)
        assert key(scopes=("admin",)).allows(scope)
    assert not key(scopes=("usage", "batch")).allows("admin")
    assert not key(scopes=("models:read",)).allows("models:write")


def test_a_key_is_good_for_the_models_of_its_patterns() -> None:
    some = key(models=("smollm2-*", "org/exact"))
    assert some.allows_model("smollm2-135m-instruct")
    assert some.allows_model("org/exact")
    for name in ("SmolLM2-135m", "org/exactly", "", "x/smollm2-1"):
        assert not some.allows_model(name)
    assert key().allows_model("anything/at all")


def test_a_key_has_its_time() -> None:
    assert key().usable(math.inf)
    assert not key(revoked=150.0).usable(120)
    assert key(expires=200.0).usable(199.9)
    assert not key(expires=200.0).usable(200.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 201),
        ("name", "two\nlines"),
        ("name", "\0"),
        ("name", "\ud800"),
        ("owner", "a\x1b[31m"),
        ("scopes", ()),
        ("scopes", ("root",)),
        ("models", ()),
        ("models", ("",)),
        ("expires", 100.0),
        ("expires", math.inf),
        ("expires", math.nan),
    ],
)
def test_what_a_key_cannot_be_is_named(field: str, value: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        key(**{field: value})
    assert caught.value.field == field


@pytest.mark.parametrize("field", ["requests_per_minute", "tokens_per_minute"])
@pytest.mark.parametrize("value", [0, -1, 1 << 53])
def test_a_limit_is_one_or_more(field: str, value: int) -> None:
    with pytest.raises(InvalidRequestError, match=f"{field}: must be 1 or more"):
        Limits(**{field: value})  # type: ignore[arg-type]
