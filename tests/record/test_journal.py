from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.record.journal import Journal, replace_file

LINE = st.binary(max_size=40).map(lambda data: data.replace(b"\n", b" "))


def test_lines_are_there_when_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        assert list(journal.lines()) == []
        journal.append([b"one", b"two"])
        assert list(journal.lines()) == [b"one", b"two"]
        journal.append([b"three"])
    with Journal(path) as journal:
        assert list(journal.lines()) == [b"one", b"two", b"three"]
        journal.append([b"four"])
    assert path.read_bytes() == b"one\ntwo\nthree\nfour\n"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINE, min_size=1, max_size=5), data=st.data())
def test_half_a_line_is_cut_wherever_it_was_torn(
    tmp_path: Path, lines: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(line + b"\n" for line in lines)
    torn = data.draw(st.integers(0, len(whole)))
    path = tmp_path / "journal"
    path.write_bytes(whole[:torn])
    kept = whole[:torn].split(b"\n")[:-1]
    with Journal(path) as journal:
        assert list(journal.lines()) == kept
        journal.append([b"next"])
    assert path.read_bytes() == b"".join(line + b"\n" for line in [*kept, b"next"])


def test_half_a_line_may_be_long(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b"a\n" + b"x" * 300_000)
    with Journal(path) as journal:
        assert list(journal.lines()) == [b"a"]
    path.write_bytes(b"x" * 300_000)
    with Journal(path) as journal:
        assert list(journal.lines()) == []


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"output: .* cannot be written"):
        Journal(tmp_path)
    with pytest.raises(InvalidRequestError, match="No such file"):
        Journal(tmp_path / "no" / "journal")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in (b"first", b"second"):
        replace_file(path, data)
        assert path.read_bytes() == data
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_what_was_appended_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    script = (
        "import os, sys, pathlib\n"
        "from studiolo.record.journal import Journal\n"
        "journal = Journal(pathlib.Path(sys.argv[1]))\n"
        "journal.append([b'safe'])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -9
    assert path.read_bytes() == b"safe\n"
