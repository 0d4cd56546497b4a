"""What is kept of an answer, in the same words whatever was spoken."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from studiolo.errors import RequestCancelledError
from studiolo.modality.text.tools import ToolCall
from studiolo.record.contents import Content, Contents, Policy
from studiolo.record.database import Database
from studiolo.record.entry import Entry
from studiolo.record.fingerprint import of_text
from studiolo.server.context import Context
from studiolo.server.keeping import keep, prompt_of, written
from studiolo.task.asking import Called, Choice, TextAsk

pytestmark = pytest.mark.usefixtures("home")
SAID = [{"role": "user", "content": "the rain"}]
CHOICE = Choice(0, "wet", reason="length")


class Receipt:
    digest = "d" * 64

    def to_bytes(self) -> bytes:
        return b"receipt"


class Answer:
    """An answer that is over. ``asked``: how often its receipt was."""

    def __init__(self, receipt: Receipt | None) -> None:
        self._receipt, self.asked = receipt, 0

    def receipt(self) -> Receipt | None:
        self.asked += 1
        return self._receipt


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(str(tmp_path / "records.db"))
    yield opened
    opened.close()


def kept(
    database: Database, policy: Policy, *, receipt: Receipt | None, **notes: Any
) -> tuple[Content | None, bytes | None, int]:
    context = Context("POST /x", "openai", user="me")
    contents, answer = Contents(database, policy), Answer(receipt)
    made: Any = answer
    with contents.log:
        asyncio.run(keep(contents, context, TextAsk("tiny", SAID), [CHOICE], made, notes))
    found = contents.content(context.id, None)
    return found, contents.receipt(context.id, None), answer.asked


def test_by_default_nothing_is_kept_nor_made(database: Database) -> None:
    assert kept(database, Policy(), receipt=Receipt()) == (None, None, 0)


def test_contents_alone(database: Database) -> None:
    found, receipt, asked = kept(
        database, Policy(contents=True), receipt=Receipt(), response={"id": "r"}
    )
    assert found is not None
    assert found.user == "me"
    assert found.prompt == {"messages": SAID}
    assert found.output == {"choices": [written(CHOICE)], "response": {"id": "r"}}
    assert (receipt, asked) == (None, 0)


def test_receipts_alone(database: Database) -> None:
    assert kept(database, Policy(receipts=True), receipt=Receipt()) == (None, b"receipt", 1)


def test_a_receipt_is_in_the_log_and_by_its_text(database: Database, home: Path) -> None:
    kept(database, Policy(contents=True), receipt=Receipt())
    assert not (home / "log").exists()
    kept(database, Policy(receipts=True), receipt=Receipt())
    line = (home / "log" / "entries.jsonl").read_bytes().splitlines()[-1]
    entry = Entry.parse(line, "it")
    assert (entry.number, entry.receipt, entry.outputs) == (1, "d" * 64, (of_text("wet"),))


def test_a_model_elsewhere_gives_no_receipt(database: Database) -> None:
    found, receipt, _ = kept(database, Policy(contents=True, receipts=True), receipt=None)
    assert found is not None
    assert receipt is None


def test_what_cannot_be_kept_is_an_error(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: Any, **options: Any) -> bool:
        raise RequestCancelledError("away")

    monkeypatch.setattr(Contents, "put", away)
    with pytest.raises(RequestCancelledError):
        kept(database, Policy(contents=True), receipt=None)


def test_what_was_asked_in_openais_words() -> None:
    tools: Any = [{"type": "function", "function": {"name": "f"}}]
    assert prompt_of(TextAsk("m", SAID, tools=tools)) == {"messages": SAID, "tools": tools}
    assert prompt_of(TextAsk("m", prompt="a", suffix="b")) == {"prompt": "a", "suffix": "b"}
    assert prompt_of(TextAsk("m", prompt=(1, 2))) == {"prompt": [1, 2]}
    several = TextAsk("m", prompt="a", others=[(1, 2), "b"])
    assert prompt_of(several) == {"prompt": ["a", [1, 2], "b"]}
    assert prompt_of(TextAsk("m", prompt="a", begun=(1, 2))) == {"prompt": "a", "begun": [1, 2]}
    begun = TextAsk("m", SAID, begun=(1, 2), begun_text="It ")
    assert prompt_of(begun) == {"messages": SAID, "begun": "It "}


def test_an_answer_with_its_calls() -> None:
    called = Called(0, 0, "call_1", ToolCall("f", {"a": 1}))
    assert written(Choice(1, "so", calls=[called], reason="tool_calls")) == {
        "index": 1,
        "text": "so",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
        ],
        "finish_reason": "tool_calls",
    }
