from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError, MalformedFileError
from studiolo.guard.finding import Kind
from studiolo.guard.policy import Action, Policy, Strength, policy_of, read_policy

GOOD = """
name: support
version: 2
words: {exact: [falcon], profanity: true, output: mask}
personal:
  - kinds: [EMAIL, PHONE]
    output: pseudonymise
  - kinds: [PIN]
    input: block
expressions:
  - name: ticket
    pattern: 'TCK-\\d{6}'
topics:
  - name: advice
    definition: Advice on money.
content:
  hate: {input: high}
grounding: {grounding: 0.5}
contract: {json_schema: {type: object}}
"""


def test_a_policy_is_read() -> None:
    policy = policy_of(GOOD.encode(), "x")
    assert (policy.name, policy.version, policy.mode) == ("support", 2, "enforce")
    assert policy.words is not None
    assert (policy.words.input, policy.words.output) == (Action.BLOCK, Action.MASK)
    assert policy.personal[0].kinds == (Kind.EMAIL, Kind.PHONE)
    assert policy.content.hate is not None
    assert (policy.content.hate.input, policy.content.hate.output) == (
        Strength.HIGH,
        Strength.MEDIUM,
    )
    assert len(Policy(name="x", personal=({},)).personal[0].kinds) == 31


def test_the_digest_is_of_what_is_meant() -> None:
    one = policy_of(GOOD.encode(), "x").digest
    assert (
        policy_of(b"# a note\n" + GOOD.replace("[falcon]", '["falcon"]').encode(), "y").digest
        == one
    )
    assert policy_of(GOOD.replace("falcon", "falcons").encode(), "x").digest != one
    assert policy_of(b"name: x", "x").digest == DIGEST


DIGEST = "0b57345bb5588a96e6252839d01afa3c2227bd73f2f0190457a796d89ef564ea"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("name: support", "name: ../x"), "name: "),
        (("version: 2", "version: 0"), "version: "),
        (("version: 2", "version: two"), "version: "),
        (("falcon]", "falcon"), "line "),
        (("profanity", "profanities"), "words.profanities: Extra inputs"),
        (("[PIN]", "[PINS]"), "personal.1.kinds.0: "),
        (("[PIN]", "[EMAIL]"), "kind EMAIL is given twice"),
        (("TCK-\\d{6}", "(TCK"), "expressions.0.pattern: Value error, '(TCK' is no expression"),
        (("TCK-\\d{6}", "(?=x)"), "is no expression of RE2"),
        (("input: block", "input: burn"), "personal.1.input"),
        (("output: mask", "output: pseudonymise"), "pseudonymise cannot be done here"),
        (("type: object", "type: objects"), "is no JSON schema"),
        (("grounding: 0.5", "grounding: 1.5"), "less than or equal to 1"),
        (("grounding: 0.5", "grounding: .nan"), "grounding.grounding"),
        (("hate:", "love:"), "content.love"),
        (("exact: [falcon]", "exact: &a [falcon]"), ""),
    ],
)
def test_what_is_wrong_is_named(change: tuple[str, str], why: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(GOOD.replace(*change), encoding="utf-8")
    if not why:
        assert read_policy(path).words is not None
        return
    with pytest.raises(MalformedFileError) as caught:
        read_policy(path)
    assert why in caught.value.message
    assert str(path) in caught.value.message


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xff", "not UTF-8"),
        (b"", "must be a mapping"),
        (b"- a", "must be a mapping"),
        (b"a: &x [1]\nb: *x", "aliases"),
        (b"[" * 100_000, "nested too deeply"),
        (b"name: " + b"x" * (1 << 20), "larger than"),
        (b"name: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        (b"name: x\nversion: " + b"9" * 5000, ""),
    ],
)
def test_files_that_are_no_policy(data: bytes, why: str) -> None:
    with pytest.raises(MalformedFileError) as caught:
        policy_of(data, "here")
    assert why in caught.value.message


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        read_policy(tmp_path / "none.yaml")


PIECES = st.sampled_from(
    [*(line + "\n" for line in GOOD.splitlines()), "{", "]", ": ", "- ", "&a", "*a", "1e9", "~"]
)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.lists(PIECES).map("".join).map(str.encode), st.binary(max_size=200)))
def test_any_file_gives_a_policy_or_a_named_error(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.yaml"
        path.write_bytes(data)
        try:
            why = "" if read_policy(path).name else "no name"
        except MalformedFileError as error:
            why = error.message.removeprefix(f"{path}: ")
            assert why != error.message  # noqa: PT017 - either is well
        assert why != "no name"
