from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from studiolo.cli.conversation import COMMANDS, HELP, Conversation, read_message
from studiolo.errors import InvalidRequestError


def lines(*given: str) -> Callable[[str], str]:
    rest = list(given)

    def ask(prompt: str) -> str:
        assert prompt in ("you> ", "...> ")
        if not rest:
            raise EOFError
        return rest.pop(0)

    return ask


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["hello"], "hello"),
        (["one \\", "two\\", "three"], "one \ntwo\nthree"),
        (['"""', "one", "", "two", '"""'], "one\n\ntwo"),
        (['"""one', 'two"""'], "one\ntwo"),
        (['"""all on one line"""'], "all on one line"),
    ],
)
def test_messages_of_one_line_and_of_several(typed: list[str], message: str) -> None:
    assert read_message(lines(*typed)) == message


def test_the_end_of_input_is_the_end() -> None:
    with pytest.raises(EOFError):
        read_message(lines('"""', "never closed"))


def test_the_model_is_handed_the_system_message_and_every_turn() -> None:
    talk = Conversation("m", system="be brief")
    talk.add("a", "b")
    assert [(m["role"], m["content"]) for m in talk.request("c")] == [
        ("system", "be brief"),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
    ]
    assert len(talk.messages) == 2, "what is only asked is not yet remembered"


def test_reset_keeps_the_system_message_and_a_dash_forgets_it() -> None:
    talk = Conversation("m")
    assert talk.command("/system") == "there is no system message"
    talk.command("/system  you are a cat ")
    talk.add("a", "b")
    talk.command("/reset")
    assert [m["content"] for m in talk.request("c")] == ["you are a cat", "c"]
    talk.command("/system -")
    assert [m["content"] for m in talk.request("c")] == ["c"]


def test_saving_writes_json_and_never_over_what_it_did_not_write(tmp_path: Path) -> None:
    talk = Conversation("m", system="é")
    talk.add("a", "b")
    target = tmp_path / "talk.json"
    for _ in range(2):  # its own file may be written again as the conversation goes on
        assert str(target) in talk.command(f"/save {target}")
    saved = json.loads(target.read_text(encoding="utf-8"))
    assert saved == {"model": "m", "system": "é", "messages": talk.messages}
    with pytest.raises(InvalidRequestError, match="exists"):
        Conversation("m").save(str(target))
    with pytest.raises(InvalidRequestError, match="needs a file name"):
        talk.command("/save")
    with pytest.raises(InvalidRequestError, match="cannot be written"):
        talk.save(str(tmp_path / "nowhere" / "x.json"))


def test_help_names_every_command_and_a_slip_gets_the_nearest() -> None:
    talk = Conversation("m")
    assert talk.command("/help") == HELP
    assert all(name in HELP for name in COMMANDS)
    assert "did you mean /reset?" in talk.command("/rest")
    assert talk.command("/model") == "m"
