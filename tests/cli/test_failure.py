from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from studiolo.cli.failure import INTERNAL, INTERRUPTED, leaving_cleanly, say_error
from studiolo.errors import ContextOverflowError, SourceError


def ended(error: BaseException) -> int:
    with pytest.raises(SystemExit) as left, leaving_cleanly():
        raise error
    assert isinstance(left.value.code, int)
    return left.value.code


def test_our_errors_say_what_is_wrong_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(ContextOverflowError(9000, 256, 8192)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: prompt: 9,256 tokens are needed")
    assert err.splitlines()[1].startswith("Shorten the prompt")
    assert ended(SourceError("[bold]not markup[/bold]")) == 1
    assert "[bold]not markup[/bold]" in capsys.readouterr().err


def test_a_message_cannot_steer_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    say_error("no \x1b]0;title\x07", "try \x9b2J")
    err = capsys.readouterr().err
    assert "no \\x1b]0;title\\x07" in err
    assert "try \\x9b2J" in err
    assert "\x07" not in err
    assert "\x9b" not in err


def test_a_fault_of_ours_is_an_apology_and_a_traceback_in_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert ended(ZeroDivisionError("oh")) == INTERNAL
    err = capsys.readouterr().err
    assert "ZeroDivisionError: oh" in err
    assert "Traceback" not in err
    (log,) = tmp_path.iterdir()
    assert str(log) in err
    assert "Traceback" in log.read_text(encoding="utf-8")


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIOLO_DEBUG", "1")
    with pytest.raises(ZeroDivisionError), leaving_cleanly():
        raise ZeroDivisionError
    with pytest.raises(SourceError), leaving_cleanly():
        raise SourceError("x")


@pytest.mark.parametrize("how", [KeyboardInterrupt(), SystemExit(INTERRUPTED)])
def test_an_interruption_ends_in_a_clean_line(
    how: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(how) == INTERRUPTED
    assert capsys.readouterr().err == "\ninterrupted\n"


def test_a_reader_who_left_is_no_error() -> None:
    code = """
from studiolo.cli.failure import leaving_cleanly
with leaving_cleanly():
    for _ in range(100_000):
        print("x" * 100, flush=True)
"""
    writer = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert writer.stdout is not None
    assert writer.stderr is not None
    os.read(writer.stdout.fileno(), 10)
    writer.stdout.close()
    assert writer.wait(30) == 1
    assert writer.stderr.read() == b""
    writer.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_under_the_output_is_no_fault_of_ours() -> None:
    code = """
from studiolo.cli.failure import leaving_cleanly
with leaving_cleanly():
    print("x" * 100, flush=True)
"""
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-c", code],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: the disk is full")
    assert "sorry" not in ran.stderr


@pytest.mark.skipif(os.name == "nt", reason="the shell's way of closing a stream")
@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_closed_stream_is_no_fault_of_ours(closed: str) -> None:
    code = """
import sys
from studiolo.cli.failure import leaving_cleanly, say_error
from studiolo.cli.output import for_terminal, print_json
with leaving_cleanly():
    print_json(for_terminal("x"))
    say_error("y")
    sys.exit(7)
"""
    ran = subprocess.run(
        ["sh", "-c", f'"$0" -c "$1" {closed}', sys.executable, code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 7
    assert (ran.stdout, ran.stderr) == (("", "error: y\n") if closed == ">&-" else ('"x"\n', ""))


def test_text_that_the_terminal_cannot_show_is_no_fault_of_ours() -> None:
    code = """
from studiolo.cli.failure import leaving_cleanly
with leaving_cleanly():
    print("na\\u00efve \\u2588")
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert (ran.stdout.split(), ran.stderr) == ([b"na?ve", b"?"], b"")
