from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Run

STUDIOLO = [sys.executable, "-c", "from studiolo.cli import main; main()"]
ASK = ("--max-tokens", "8", "--seed", "5", "--temperature", "1", "--ignore-eos")


def test_json_is_one_object_with_what_others_rely_on(run: Run, tiny: str) -> None:
    ended = run("generate", "the cat", "--model", tiny, *ASK, "--json", "--log-probs", "2")
    assert ended.code == 0
    result = ended.json
    assert result["model"] == "tiny"
    assert result["seed"] == 5
    assert len(result["token_ids"]) == 8
    assert result["finish_reason"] == "length"
    assert result["usage"]["completion_tokens"] == 8
    assert len(result["log_probs"]) == 8
    assert isinstance(result["text"], str)


def test_the_text_is_the_same_streamed_piped_read_and_as_json(
    run: Run, tiny: str, tmp_path: Path
) -> None:
    text = run("generate", "the cat", "-m", tiny, *ASK, "--json").json["text"]
    file = tmp_path / "prompt.txt"
    file.write_text("the cat\n", encoding="utf-8")
    assert run("generate", "the cat", "-m", tiny, *ASK).out == text + "\n"
    assert run("generate", "-m", tiny, *ASK, stdin="the cat\n").out == text + "\n"
    assert run("generate", "-", "-m", tiny, *ASK, stdin="the cat").out == text + "\n"
    assert run("generate", "--file", str(file), "-m", tiny, *ASK).out == text + "\n"


def test_several_texts(run: Run, tiny: str) -> None:
    ended = run("generate", "the cat", "-m", tiny, *ASK, "--n", "3", "--json")
    assert len(ended.json["alternatives"]) == 2
    plain = run("generate", "the cat", "-m", tiny, *ASK, "--n", "3").out
    assert [line for line in plain.splitlines() if line.startswith("---")] == [
        "--- 1 of 3",
        "--- 2 of 3",
        "--- 3 of 3",
    ]
    assert ended.json["alternatives"][1]["text"] in plain


def test_chat_puts_the_prompt_into_the_template(run: Run, tiny: str) -> None:
    raw = run("generate", "the cat", "-m", tiny, *ASK, "--json").json
    turn = run("generate", "the cat", "-m", tiny, *ASK, "--json", "--chat").json
    assert turn["usage"]["prompt_tokens"] == raw["usage"]["prompt_tokens"] + 3


def test_beams_and_stops_reach_the_model(run: Run, tiny: str) -> None:
    found = run("generate", "the cat", "-m", tiny, "--beams", "3", "--max-tokens", "4", "--json")
    assert found.json["score"] < 0
    text = run("generate", "the cat", "-m", tiny, *ASK, "--json").json["text"]
    cut = run("generate", "the cat", "-m", tiny, *ASK, "--json", "--stop", text[1:3]).json
    assert cut["text"] == text[:1]
    assert cut["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("",), 2, "error: prompt: is empty"),
        ((), 2, "error: prompt: is empty"),
        (("x", "--temperature", "-1"), 2, "error: temperature: -1.0 is not a number from 0 to 100"),
        (("x", "--temperature", "hot"), 2, "Invalid value for '--temperature'"),
        (("x", "--max-tokens", "0"), 2, "Invalid value for '--max-tokens'"),
        (("x", "--seed", "-1"), 2, "error: seed:"),
        (("x", "--n", "0"), 2, "Invalid value for '--n'"),
        (("x", "--log-probs", "2"), 2, "error: --log-probs: needs --json"),
        (("x", "--stop", ""), 2, "error: stop:"),
        (
            ("x", "--max-tokens", "4", "--logit-bias", "99999=1"),
            2,
            "error: logit_bias: token id 99999",
        ),
        (("x", "--device", "tpu"), 2, "error: device: must be one of auto, cpu, cuda"),
        (("x", "--file", "/no/such"), 2, "error: prompt: is given twice"),
        (("--file", "/no/such"), 2, "error: --file: there is no file '/no/such'"),
        (("--file", "/"), 2, "error: --file: '/' cannot be read: Is a directory"),
        (("--file", sys.executable), 2, "is not UTF-8 text (byte 0x"),
        (("x " * 500,), 2, "tokens are needed but the model's context holds 128"),
        (("x", "--model", "/no/such.gguf"), 1, "error: there is nothing at /no/such.gguf"),
        (("x", "--model", "smollm2-135m-instrct"), 2, "Did you mean smollm2-135m-instruct"),
        (("x", "--nonsense"), 2, "No such option"),
    ],
)
def test_wrong_inputs_get_a_message_and_an_exit_code(
    run: Run, tiny: str, args: tuple[str, ...], code: int, message: str
) -> None:
    model = () if "--model" in args else ("--model", tiny)
    ended = run("generate", *args, *model)
    assert ended.code == code
    assert message in " ".join(ended.err.replace("│", "").split())
    assert ended.out == ""


def started(tiny: str, *more: str) -> subprocess.Popen[bytes]:
    command = [*STUDIOLO, "generate", "the cat", "-m", tiny, "--ignore-eos", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_reader_who_has_seen_enough_may_leave(tiny: str) -> None:
    with started(tiny, "--max-tokens", "120") as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        os.read(writer.stdout.fileno(), 1)
        writer.stdout.close()
        assert writer.wait(60) in (0, 1)
        assert writer.stderr.read() == b""


def test_ctrl_c_stops_cleanly(starter: Path) -> None:
    command = [*STUDIOLO, "generate", "Once", "-m", str(starter), "--ignore-eos"]
    with subprocess.Popen(
        [*command, "--max-tokens", "4000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        os.read(running.stdout.fileno(), 1)  # it has begun to write
        running.send_signal(signal.SIGINT)
        begun = time.monotonic()
        assert running.wait(60) == 130
        assert time.monotonic() - begun < 10
        assert running.stderr.read().decode() == "\ninterrupted\n"


def test_the_starter_says_the_same_in_another_process(run: Run, starter: Path) -> None:
    ask = ("generate", "After the rain, the streets were", "--max-tokens", "8", "--seed", "1")
    here = run(*ask, "--json").json
    assert here["model"] == starter.name
    there = subprocess.run([*STUDIOLO, *ask, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(there.stdout)["token_ids"] == here["token_ids"]
    assert here["text"].strip()
