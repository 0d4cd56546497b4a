from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studiolo.cli.constraining import constraint_arguments
from tests.cli.conftest import Run

SCHEMA = '{"type": "array", "items": {"type": "boolean"}, "maxItems": 3}'
ASK = ("generate", "the cat", "--seed", "3", "--max-tokens", "60", "--temperature", "1")


def test_a_schema_may_be_a_file_or_stand_there(run: Run, tiny: str, tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text(SCHEMA, encoding="utf-8")
    inline = run(*ASK, "-m", tiny, "--json-schema", SCHEMA, "--json").json
    assert inline["finish_reason"] == "stop"
    assert all(type(each) is bool for each in json.loads(inline["text"]))
    again = run(*ASK, "-m", tiny, "--json-schema", str(file))
    assert again.out == inline["text"] + "\n"


def test_an_expression_a_grammar_and_choices(run: Run, tiny: str, tmp_path: Path) -> None:
    file = tmp_path / "sum.lark"
    file.write_text('start: N "+" N\nN: /[0-9]{1,2}/\n', encoding="utf-8")
    assert run(*ASK, "-m", tiny, "--regex", "[ab]{4}").out.strip("ab") == "\n"
    left, right = run(*ASK, "-m", tiny, "--grammar", str(file)).out.split("+")
    assert 0 <= int(left) + int(right) < 200
    assert run(*ASK, "-m", tiny, "--choice", "wet", "--choice", "dry").out in ("wet\n", "dry\n")


def test_chat_is_constrained_too(run: Run, tiny: str) -> None:
    ended = run(
        "chat",
        "-m",
        tiny,
        "--max-tokens",
        "9",
        "--choice",
        "wet",
        "--choice",
        "dry",
        stdin="hello\nagain\n",
    )
    assert set(ended.out.split()) <= {"wet", "dry"}
    assert len(ended.out.split()) == 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--regex", "("), "error: regex: it cannot be enforced"),
        (("--regex", "a", "--choice", "b"), "error: choices: a text has one constraint"),
        (("--choice", ""), "error: choices: one of them is empty"),
        (("--json-schema", "{"), "error: json_schema: it is not JSON"),
        (("--json-schema", '{"not": {}}'), "error: json_schema: the keyword 'not'"),
        (("--json-schema", "false"), "error: json_schema: `false` allows no text"),
        (("--json-schema", "/no/such"), "error: --json-schema: there is no file '/no/such'"),
        (("--grammar", "/no/such"), "error: --grammar: there is no file '/no/such'"),
    ],
)
def test_what_cannot_be_is_said(run: Run, tiny: str, args: tuple[str, ...], message: str) -> None:
    ended = run("generate", "the cat", "-m", tiny, *args)
    assert ended.code == 2
    assert message in ended.err
    assert ended.out == ""


@pytest.mark.parametrize("given", [(None, None, None, None), (None, None, None, [])])
def test_nothing_asked_is_nothing_passed_on(given: Any) -> None:
    assert constraint_arguments(*given) == {}
