from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.sampler.lark import MAX_CHARACTERS, MAX_LEVELS, prepare

SUM = """
// a comment with <angle> "brackets" and @signs
start: sum
sum: term (("+" | "-") term)*   # left to right
term: NUMBER
    | "(" sum ")"
NUMBER: /[0-9]+/
%ignore / +/
"""

FINE = {
    "sum": SUM,
    "strings that look like more": 'start: "<x>" "@y" "%json" "stop=" /<\\/[a-z]+>/',
    "optional": 'start: "a" [b] b? b* b~0..3 b{0,2} "c"\nb: "b" start?',
    "left recursion": 'start: start "a" | "a"',
    "import": "%import common.INT\nstart: INT",
    "lazy": 'start: head "."\nhead[lazy]: /.*b/',
    "no regular language": 'start: "(" start ")" | "x"',
}


@pytest.mark.parametrize("name", FINE)
def test_a_grammar_passes_as_it_is(name: str) -> None:
    assert prepare(FINE[name]) == FINE[name]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("start: <|im_start|>", "'<|im_start|>': control tokens"),
        ('start: "a" <[5]>', "'<[5]>': control tokens"),
        ("start: <[*]>", "control tokens"),
        ("start: @other", "'@other': other grammars"),
        ('start: @{ start: "a" @}', "other grammars"),
        ('%llguidance {"no_forcing": true}\nstart: "a"', "'%llguidance': the engine's settings"),
        ("%declare A\nstart: A", "'%declare'"),
        ('start: a\na[stop="x"]: /.*/', "the option 'stop'"),
        ("start: a\na[max_tokens=3]: /.*/", "the option 'max_tokens'"),
        ("start: a\na[temperature=0.1]: /.*/", "the option 'temperature'"),
        ('start: %json {"not": {}}', "the keyword 'not'"),
        ('start: %json {"x-guidance": {"lenient": true}}', "the keyword 'x-guidance'"),
        ("start: %json {", "what follows %json is not JSON"),
        ("start: %regex", "what follows %regex is not JSON"),
        ('start: "a" start', "no text ever completes 'start'"),
        ('start: a | "c"\na: "x" a', "no text ever completes 'a'"),
        ('start: "x" (a | b)\na: b\nb: a+', "no text ever completes"),
        ('start: a~2..3 | "x"\na: "b" a', "no text ever completes 'a'"),
    ],
)
def test_what_is_refused_is_named(source: str, message: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        prepare(source)
    assert message in str(caught.value)
    assert caught.value.field == "grammar"


def test_a_schema_within_is_prepared_as_any_schema() -> None:
    prepared = prepare('start: %json {"type": "integer"} "."')
    assert "x-guidance" in prepared
    assert prepared.endswith('"."')


def test_what_would_overflow_a_stack_or_take_long_is_refused() -> None:
    def chain(links: int, brackets: int = 0) -> str:
        rules = [f"r{i}: {'(' * brackets}r{i + 1}{')' * brackets}\n" for i in range(links)]
        return f'start: r0\n{"".join(rules)}r{links}: "a"'

    prepare(chain(MAX_LEVELS - 2))
    for source in (chain(MAX_LEVELS), chain(5_000), chain(60, 20), f"start: {'(' * 10_000}"):
        with pytest.raises(InvalidRequestError, match="levels"):
            prepare(source)
    with pytest.raises(InvalidRequestError, match="characters"):
        prepare(f'start: "{"a" * MAX_CHARACTERS}"')


PIECES = [
    *("start: ", "a: ", "B: ", "a", "B", '"x"', "/y+/", "|", "(", ")", "[", "]", "*", "?", "+"),
    *("~", "{0,2}", "~1..2", "\n", "\n    | ", " ", "%json ", '{"type":"null"}', "%ignore ", "<s>"),
    *(
        "@g",
        "&",
        ".",
        ",",
        "->",
        "=",
        ":",
        "{",
        "}",
        '"',
        "/",
        "\\",
        "#",
        "//",
        "%regex ",
        "é",
        "\0",
    ),
]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(max_size=40))
def test_whatever_is_given_it_is_prepared_or_refused(source: str) -> None:
    begun = time.monotonic()
    with contextlib.suppress(InvalidRequestError):
        assert prepare(source).replace(" ", "")[:5] == source.replace(" ", "")[:5]
    assert time.monotonic() - begun < 1
