from __future__ import annotations

import io
from pathlib import Path

import pytest

from studiolo.cli.reading import read_file, read_prompt
from studiolo.errors import InvalidRequestError


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO("naïve\r\n".encode()), encoding="ascii")
    monkeypatch.setattr("sys.stdin", stdin)


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("é\r\nb\n".encode())
    assert read_file(file, field="file") == "é\r\nb\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "there is no file"), (b"GGUF\xff\x00", r"not UTF-8 text \(byte 0xff at 4\)")],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "a"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidRequestError, match=message):
        read_file(file, field="file")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be read: Is a directory"):
        read_file(tmp_path, field="file")


@pytest.mark.usefixtures("piped")
@pytest.mark.parametrize("argument", [None, "-"])
def test_a_pipe_is_read_as_utf8_whatever_the_locale_without_its_last_line_end(
    argument: str | None,
) -> None:
    assert read_prompt(argument, None) == "naïve"


def test_only_one_line_end_is_dropped(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"x\n\n")
    assert read_prompt(None, file) == "x\n"


def test_an_argument_is_taken_as_it_stands_but_for_what_is_no_text() -> None:
    assert read_prompt("a\n", None) == "a\n"
    assert read_prompt(b"a\xffb".decode("utf-8", "surrogateescape"), None) == "a\ufffdb"


def test_no_prompt_an_empty_one_and_two_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidRequestError, match="is empty"):
        read_prompt("", None)
    with pytest.raises(InvalidRequestError, match="given twice"):
        read_prompt("x", tmp_path)
    with pytest.raises(InvalidRequestError, match="query: is empty"):
        read_prompt("", None, "query")
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InvalidRequestError, match="there is none"):
        read_prompt(None, None)
