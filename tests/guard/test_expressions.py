from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.guard.expressions import compiled, spans


@given(
    st.text(st.sampled_from("abé12 𝄞"), max_size=40),
    st.sampled_from([r"a+b?", r"\d\d", "é", "[𝄞a]+", "x*"]),
)
def test_as_python_where_both_can(text: str, pattern: str) -> None:
    expected = [each.span() for each in re.finditer(pattern, text) if each.end() > each.start()]
    assert spans(compiled(pattern), text) == expected


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*)*x", "(a{0,30}){0,30}b"])
def test_none_hangs(pattern: str) -> None:
    start = time.process_time()
    spans(compiled(pattern), "a" * 50_000 + "!")
    assert time.process_time() - start < 2


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\1", "a{1001}", "(?<!a)b", "(" * 2000])
def test_what_re2_has_not_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidRequestError, match="is no expression of RE2"):
        compiled(pattern)


def test_a_lone_surrogate_is_one_character() -> None:
    assert spans(compiled("b"), "a\ud800b") == [(2, 3)]
