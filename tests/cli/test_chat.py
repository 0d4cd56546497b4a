from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Run

STUDIOLO = [sys.executable, "-c", "from studiolo.cli import main; main()"]
ASK = ("--max-tokens", "6", "--seed", "5", "--temperature", "0")


def test_piped_lines_are_answered_in_order_and_the_conversation_is_kept(
    run: Run, tiny: str, tmp_path: Path
) -> None:
    file = tmp_path / "talk.json"
    ended = run("chat", "-m", tiny, *ASK, stdin=f"the cat\n\n//mat\n/save {file}\n/exit\nnever\n")
    assert ended.code == 0
    saved = json.loads(file.read_text(encoding="utf-8"))
    asked = [m["content"] for m in saved["messages"] if m["role"] == "user"]
    answers = [m["content"] for m in saved["messages"] if m["role"] == "assistant"]
    assert asked == ["the cat", "/mat"]
    assert ended.out == "".join(answer + "\n" for answer in answers)


def test_what_was_said_reaches_the_model_again_until_reset(run: Run, tiny: str) -> None:
    alone = run("chat", "-m", tiny, *ASK, stdin="the cat\n").out
    after_reset = run("chat", "-m", tiny, *ASK, stdin="the mat\n/reset\nthe cat\n")
    assert after_reset.out.endswith(alone)
    assert "everything said is forgotten" in after_reset.err


def test_the_system_message_may_come_as_an_option_or_as_a_command(
    run: Run, tiny: str, tmp_path: Path
) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    run("chat", "-m", tiny, *ASK, "--system", "wet streets", stdin=f"the cat\n/save {one}\n")
    run("chat", "-m", tiny, *ASK, stdin=f"/system wet streets\nthe cat\n/save {other}\n")
    assert json.loads(one.read_text(encoding="utf-8"))["system"] == "wet streets"
    assert one.read_bytes() == other.read_bytes()


def test_another_model_goes_on_and_a_wrong_name_changes_nothing(run: Run, tiny: str) -> None:
    ended = run(
        "chat", "-m", tiny, *ASK, stdin=f"/model smollm2-135m-instrct\n/model {tiny}\n/model\n"
    )
    assert ended.code == 0
    assert "Did you mean smollm2-135m-instruct" in ended.err
    assert ended.err.splitlines()[-2:] == ["tiny", "tiny"]


def test_an_error_of_one_turn_does_not_end_the_conversation(run: Run, tiny: str) -> None:
    ended = run("chat", "-m", tiny, *ASK, stdin="the cat " * 200 + "\nthe cat\n")
    assert ended.code == 0
    assert "the model's context holds 128" in ended.err
    assert ended.out == run("chat", "-m", tiny, *ASK, stdin="the cat\n").out


class Terminal:
    """A pseudo-terminal with ``studiolo chat`` in it."""

    def __init__(self, *args: str) -> None:
        self.screen = ""
        self.leader, follower = pty.openpty()
        environment = {**os.environ, "TERM": "dumb"}
        self.process = subprocess.Popen(
            [*STUDIOLO, "chat", *args],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=environment,
            start_new_session=True,
        )
        os.close(follower)

    def until(self, met: Callable[[str], bool]) -> str:
        """Read until the screen is as wanted; what came since the last time."""
        since, deadline = len(self.screen), time.monotonic() + 120
        while not met(self.screen[since:]):
            assert time.monotonic() < deadline, self.screen
            self.screen += os.read(self.leader, 4096).decode("utf-8", "replace")
        return self.screen[since:]

    def type(self, text: str) -> None:
        os.write(self.leader, text.encode())

    def leave(self) -> int:
        self.type("\x04")
        code = self.process.wait(60)
        os.close(self.leader)
        return code


def test_in_a_terminal_ctrl_c_stops_the_answer_and_ctrl_d_leaves(starter: Path) -> None:
    terminal = Terminal("-m", str(starter), "--seed", "1", "--max-tokens", "2000")
    assert "/help" in terminal.until(lambda s: "you> " in s)
    terminal.type("Tell me a very long story.\n")
    terminal.until(lambda s: len(s) > 80)  # the echo, and the answer's beginning
    terminal.process.send_signal(signal.SIGINT)
    assert "(stopped)" in terminal.until(lambda s: "you> " in s)
    terminal.type("/model\n")
    assert starter.name in terminal.until(lambda s: "you> " in s)
    assert terminal.leave() == 0
    assert "Traceback" not in terminal.screen
