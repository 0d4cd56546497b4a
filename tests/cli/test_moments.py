from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.cli.moments import MOST, duration, moment, stamp
from studiolo.errors import InvalidRequestError

NOW = 1_795_305_600.0  # 2026-11-22T00:00:00Z


def test_durations() -> None:
    assert duration("90m", "x") == 5400
    assert duration(" 12h", "x") == 43_200
    assert duration("30d", "x") == 30 * 86_400
    assert duration("2w", "x") == 14 * 86_400


def test_moments() -> None:
    assert moment("2026-11-22", "x", 0.0) == NOW
    assert moment("7d", "x", NOW) == NOW - 7 * 86_400
    assert stamp(NOW) == "2026-11-22T00:00:00Z"
    assert stamp(moment("1970-01-01", "x", NOW)) == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "text", ["", "d", "30", "-1d", "0d", "1.5d", "30 d", "30y", "999999999w", "٣d"]
)
def test_what_is_neither_is_named(text: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"--expires: .* is not like 90m") as caught:
        duration(text, "--expires")
    assert caught.value.field == "--expires"
    with pytest.raises(InvalidRequestError, match=r"--since: .* is neither a day"):
        moment(text, "--since", NOW)


@given(st.text() | st.from_regex(r"[0-9]{0,12}[mhdwy]?", fullmatch=True))
def test_any_text_is_a_time_or_a_named_error(text: str) -> None:
    with suppress(InvalidRequestError):
        assert 0 < duration(text, "x") <= MOST
    with suppress(InvalidRequestError):
        assert stamp(moment(text, "x", NOW)).endswith("Z")
