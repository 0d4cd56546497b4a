from __future__ import annotations

import contextlib
import json
import math
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import llguidance
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studiolo.bundle.gguf import GGUFFile
from studiolo.errors import InvalidRequestError
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.sampler.constraint import Constraint
from studiolo.sampler.guide import CompiledConstraint, Guides
from tests.modality.text import small
from tests.sampler.schemas import IMPOSSIBLE, SCHEMAS, UNSUPPORTED
from tests.sampler.test_json_schema import JSON
from tests.sampler.test_lark import PIECES
from tests.sampler.walks import ARITHMETIC, is_arithmetic, walk

REGEXES = [
    r"\d{3}-\d{4}",
    r"[A-Z][a-z]{2,8}( [A-Z][a-z]{2,8}){0,2}",
    r"(?i)(yes|no|maybe)",
    r"a|b|ab|é日本|🎉{2}",
    r"^(https?)://[a-z]{1,10}\.(com|org)/?$",
    r"[^a-z]{4}",
    r"(\+|-)?[0-9]+(\.[0-9]{1,3})?",
    r"\w{1,6}[\d.]\D{1,6}[^\W_]",
    r'"(\\.|[^"\\]){0,5}"',
    r"(?:x(?:yz?){2}){1,3}",
    r"[\x00-\x1f]{2}",
]
CHOICES = ["yes", "no", "yes, and", "a.b*c", "tab\tand\nline", "é日本", "🎉", " a b", "/", "\\"]


def starter_tokenizer(starter: Path) -> Tokenizer:
    return Tokenizer.from_gguf(GGUFFile.open(next(starter.glob("*.gguf"))).metadata)


@pytest.fixture(scope="module", params=["byte-level", "pieces", "pieces, prefixed", "starter"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    if request.param == "starter":
        return starter_tokenizer(request.getfixturevalue("starter"))
    if request.param == "byte-level":
        return Tokenizer.from_gguf(small.byte_level())
    return Tokenizer.from_gguf(small.sentence_pieces(prefix=request.param.endswith("prefixed")))


@pytest.fixture(scope="module")
def guides(tokenizer: Tokenizer) -> Guides:
    return Guides(tokenizer)


@pytest.fixture(scope="module")
def few() -> Guides:
    return Guides(Tokenizer.from_gguf(small.byte_level()))


def compiled(guides: Guides, **asked: Any) -> CompiledConstraint:
    constraint = Constraint.asked(**asked)
    assert constraint is not None
    return guides.compile(constraint)


def texts(
    guides: Guides, tokenizer: Tokenizer, count: int, haste: float = 0.0, **asked: Any
) -> list[str]:
    """The texts of ``count`` walks, most of which come to an end."""
    ready = compiled(guides, **asked)
    found = [walk(ready, tokenizer, seed, haste=haste) for seed in range(count)]
    ended = [text for text in found if text is not None]
    assert len(ended) > count * 0.8
    return ended


@pytest.mark.proof
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SCHEMAS)
def test_every_text_is_a_value_of_its_schema(
    name: str, tokenizer: Tokenizer, guides: Guides, proof: Callable[..., int]
) -> None:
    """Random walks through 30 schemas and four vocabularies: each text is a valid value."""
    schema = SCHEMAS[name]
    validator = jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    for text in texts(
        guides, tokenizer, proof("constraints", short=6, full=200), json_schema=schema
    ):
        validator.validate(json.loads(text))


@pytest.mark.parametrize("regex", REGEXES)
def test_every_text_is_matched_whole(regex: str, tokenizer: Tokenizer, guides: Guides) -> None:
    for text in texts(guides, tokenizer, 12, regex=regex, haste=0.2):
        # Letters are those of Unicode in both, \d and \w here those of ASCII.
        assert re.fullmatch(regex, text, 0 if "(?i)" in regex else re.ASCII)


def test_every_text_is_one_of_the_choices(tokenizer: Tokenizer, guides: Guides) -> None:
    found = texts(guides, tokenizer, 80, choices=CHOICES)
    assert set(found) <= set(CHOICES)
    assert len(set(found)) > 5


def test_every_text_is_a_sentence_of_the_grammar(tokenizer: Tokenizer, guides: Guides) -> None:
    found = texts(guides, tokenizer, 60, grammar=ARITHMETIC, haste=0.5)
    assert all(map(is_arithmetic, found))
    assert any("(" in text and "*" in text for text in found)


@pytest.mark.parametrize("name", [*UNSUPPORTED, *IMPOSSIBLE])
def test_what_cannot_be_enforced_is_refused_and_soon(name: str, few: Guides) -> None:
    begun = time.process_time()
    with pytest.raises(InvalidRequestError) as caught:
        compiled(few, json_schema={**UNSUPPORTED, **IMPOSSIBLE}[name])
    assert caught.value.field == "json_schema"
    assert "\n" not in caught.value.message
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"regex": "("}, "unclosed group"),
        ({"regex": r"\bword"}, "lookarounds not supported"),
        ({"regex": r"(a)\1"}, "backreferences are not supported"),
        ({"regex": "(?!a)b"}, "look-ahead"),
        ({"regex": "\\"}, "it cannot be enforced"),
        ({"regex": r"[^\x00-\U0010ffff]"}, "no text that this model can write satisfies it"),
        ({"regex": r"abc[^\x00-\U0010ffff]"}, "no text that this model can write satisfies it"),
        ({"regex": "a{0}"}, "only the empty text satisfies it"),
        ({"grammar": "start: nowhere"}, "unknown name"),
        ({"grammar": 'other: "a"'}, "it cannot be enforced"),
        ({"grammar": "start: /(/"}, "unclosed group"),
        ({"grammar": 'start: ""'}, "only the empty text satisfies it"),
        ({"grammar": "start: A\nA: /[ab]+/ & /[cd]+/"}, "no text that this model can write"),
        ({"grammar": 'start: A\nA: "a" A'}, "every way through it leads back"),
        ({"grammar": '{"grammars": []}'}, "it cannot be enforced"),
        ({"grammar": 'start: "a" ('}, "it cannot be enforced"),
    ],
)
def test_what_is_wrong_is_said(few: Guides, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        compiled(few, **asked)
    assert caught.value.field in asked
    assert message in caught.value.message


def test_only_text_and_the_ends_asked_for_are_allowed(few: Guides) -> None:
    tokenizer = Tokenizer.from_gguf(small.byte_level())
    size = tokenizer.vocab_size
    anything = compiled(few, regex="(?s:.*)")
    for head in (size + 7, size, 40):
        free, bound = anything.begin(head, {2}), anything.begin(head, frozenset())
        textual = [i for i in range(min(head, size)) if tokenizer.token_bytes(i)]
        # The first byte of a character may stand there alone; one of its inside may not.
        expected = {
            i
            for i in textual
            if i not in tokenizer.control_ids
            and not 0x80 <= tokenizer.token_bytes(i)[0] < 0xC2
            and tokenizer.token_bytes(i)[0] < 0xF5
        }
        assert set(np.flatnonzero(bound.allowed)) == expected
        assert set(np.flatnonzero(free.allowed)) == expected | {2}


def test_the_end_is_offered_only_where_the_text_may_end(few: Guides) -> None:
    tokenizer = Tokenizer.from_gguf(small.byte_level())
    guide = compiled(few, choices=["h", "he"]).begin(tokenizer.vocab_size, tokenizer.eos_ids)
    h, e = (tokenizer.encode(letter)[0] for letter in "he")
    assert not guide.allowed[2]
    guide.take(h)
    assert set(np.flatnonzero(guide.allowed)) == {e} | set(tokenizer.eos_ids)
    guide.take(e)
    assert guide.done
    assert set(np.flatnonzero(guide.allowed)) == set(tokenizer.eos_ids)


def test_logits_keep_their_values_where_allowed(few: Guides) -> None:
    guide = compiled(few, regex="[a-f]+").begin(300, {2})
    logits = torch.linspace(-5, 5, 300, dtype=torch.bfloat16)
    found = guide.restrict(logits)
    assert found.dtype == torch.float32
    for i, value in enumerate(found.tolist()):
        assert value == (float(logits[i]) if guide.allowed[i] else -math.inf)


def test_a_fork_goes_its_own_way(few: Guides) -> None:
    tokenizer = Tokenizer.from_gguf(small.byte_level())
    a, b = (tokenizer.encode(letter)[0] for letter in "ab")
    guide = compiled(few, regex="(ab)*a?").begin(tokenizer.vocab_size, {2})
    fork = guide.fork(a)
    assert guide.allowed[a]
    assert not fork.allowed[a]
    assert fork.allowed[b]
    guide.take(a)
    assert (guide.allowed == fork.allowed).all()


def test_what_one_request_does_changes_nothing_for_another(few: Guides) -> None:
    """The allowed tokens of a walk are those it has alone, whoever walks beside it."""
    tokenizer = Tokenizer.from_gguf(small.byte_level())

    def masks(ready: CompiledConstraint, seed: int) -> list[bytes]:
        rng = np.random.default_rng(seed)
        guide = ready.begin(tokenizer.vocab_size, frozenset())
        seen: list[bytes] = []
        while not guide.done and len(seen) < 60:
            seen.append(guide.allowed.tobytes())
            guide.take(int(rng.choice(np.flatnonzero(guide.allowed))))
        return seen

    schema = SCHEMAS["object"]
    fresh = Guides(tokenizer)
    alone = [masks(compiled(Guides(tokenizer), json_schema=schema), seed) for seed in range(4)]
    found: dict[int, list[bytes]] = {}

    def run(seed: int) -> None:
        found[seed] = masks(compiled(fresh, json_schema=schema), seed % 4)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[seed] == alone[seed % 4] for seed in range(16))


def test_the_latest_are_kept() -> None:
    guides = Guides(Tokenizer.from_gguf(small.byte_level()), kept=2)
    first = compiled(guides, regex="a")
    assert compiled(guides, regex="a") is first
    compiled(guides, regex="b")
    assert compiled(guides, regex="a") is first
    compiled(guides, regex="c")
    assert compiled(guides, regex="a") is first
    compiled(guides, regex="b")
    compiled(guides, regex="c")
    assert compiled(guides, regex="a") is not first


def test_what_the_vocabulary_cannot_spell_is_an_error() -> None:
    tokenizer = Tokenizer.from_gguf(small.byte_level())
    guides = Guides(tokenizer)
    ready = compiled(guides, regex="abcd")
    a, b = (tokenizer.encode(letter)[0] for letter in "ab")
    with pytest.raises(InvalidRequestError, match="after 1 tokens nothing more can be written"):
        ready.begin(b, {2}).take(a)  # a head that ends before "b"
    with pytest.raises(InvalidRequestError, match="after 0 tokens"):
        ready.begin(a, {2})


def test_a_token_that_is_not_allowed_is_an_error(few: Guides) -> None:
    guide = compiled(few, regex="a+").begin(300, {2})
    with pytest.raises(InvalidRequestError, match="nothing more can be written"):
        guide.take(Tokenizer.from_gguf(small.byte_level()).encode("b")[0])


def test_too_much_work_for_one_token_is_an_error_and_no_end(few: Guides) -> None:
    """The library would allow the end token where it gives up."""
    many = {"type": "object", "properties": {f"p{i}": {"type": "null"} for i in range(400)}}
    with pytest.raises(InvalidRequestError, match="items; max is 4000"):
        walk(
            compiled(few, json_schema={"anyOf": [many, {**many, "required": ["p1"]}, many] * 2}),
            Tokenizer.from_gguf(small.byte_level()),
            seed=1,
        )


@pytest.mark.parametrize("kind", ["PanicException", "ValueError"])
def test_what_the_library_raises_becomes_an_error(
    monkeypatch: pytest.MonkeyPatch, few: Guides, kind: str
) -> None:
    raised = type(kind, (BaseException if kind == "PanicException" else ValueError,), {})

    def broken(*args: object, **options: object) -> None:
        raise raised("a fault within")

    monkeypatch.setattr(llguidance, "LLMatcher", broken)
    with pytest.raises(InvalidRequestError, match="a fault within"):
        compiled(few, regex="never compiled before")


REGEX_PIECES = [
    *(
        "a",
        "b",
        "é",
        ".",
        "\\d",
        "\\w",
        "\\",
        "[",
        "]",
        "[^a]",
        "(",
        ")",
        "(?:",
        "(?i)",
        "(?=",
        "|",
    ),
    *("*", "+", "?", "{2}", "{0,300}", "{,2}", "{1000000}", "^", "$", "/", "\\b", "\\x", "\\p{L}"),
    *("&", "~", "&&", "#", " ", "\n", "\0", "(?x)", "(?s:.)", "-", "\\1", "\\Q", "🎉"),
]
FUZZ = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def only_refused(guides: Guides, **asked: Any) -> None:
    """Compile and walk a little: at worst our own error, and soon."""
    begun = time.process_time()
    with contextlib.suppress(InvalidRequestError):
        ready = compiled(guides, **asked)
        walk(ready, Tokenizer.from_gguf(small.byte_level()), seed=3, limit=12)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    "grammar",
    [
        'start: /a+/ "a"',
        "start: A A\nA: /a+/",
        'start: "x" | "y" /a+/ /a+/',
        "start: /y+//y+/{0,2}",
    ],
)
def test_a_grammar_that_never_comes_to_its_end_takes_no_time(few: Guides, grammar: str) -> None:
    only_refused(few, grammar=grammar)


@FUZZ
@given(JSON)
def test_any_schema_is_enforced_or_refused(few: Guides, value: Any) -> None:
    if value is not None:
        only_refused(few, json_schema=value)


@FUZZ
@given(st.lists(st.sampled_from(REGEX_PIECES), max_size=12).map("".join) | st.text(max_size=20))
def test_any_expression_is_enforced_or_refused(few: Guides, regex: str) -> None:
    only_refused(few, regex=regex)


@FUZZ
@given(st.lists(st.sampled_from(PIECES), max_size=30).map(lambda parts: "start: " + "".join(parts)))
def test_any_grammar_is_enforced_or_refused(few: Guides, grammar: str) -> None:
    only_refused(few, grammar=grammar)


@FUZZ
@given(st.lists(st.text(max_size=8), max_size=6))
def test_any_choices_are_enforced_or_refused(few: Guides, choices: list[str]) -> None:
    only_refused(few, choices=choices)
