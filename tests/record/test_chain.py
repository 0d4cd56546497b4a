from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from studiolo.errors import MalformedFileError, NoSpaceError, RecordsError
from studiolo.record.chain import ENTRIES, HEAD, SECTOR, Log, log_directory, read_head
from studiolo.record.entry import NOTHING, Entry
from studiolo.record.signing import FILE, SigningKey
from studiolo.record.verification import Verification, verify_log

pytestmark = pytest.mark.usefixtures("home")
ROOT = Path(__file__).resolve().parents[2]


def append(receipt: str) -> Entry:
    with Log() as log:
        return log.append(receipt)


def verified() -> Verification:
    return verify_log(log_directory(), SigningKey.installed(make=False).public)


def lines() -> list[bytes]:
    return (log_directory() / ENTRIES).read_bytes().split(b"\n")[:-1]


def test_entries_follow_each_other(home: Path) -> None:
    log = Log()
    assert not (home / "log").exists()
    made = [log.append(f"{i:064x}", ["f" * 64] * i) for i in range(3)]
    log.close()
    assert [entry.number for entry in made] == [1, 2, 3]
    assert [Entry.parse(line, "it") for line in lines()][1:] == made
    first = Entry.parse(lines()[0], "it")
    assert (first.number, first.receipt, made[0].previous) == (0, NOTHING, first.digest)
    assert read_head(home / "log" / HEAD) == made[-1].head
    assert (home / "log" / HEAD).stat().st_size == SECTOR


def test_it_goes_on_after_it_was_closed_and_in_another_process() -> None:
    log = Log()
    log.append("a" * 64)
    log.close()
    assert log.append("b" * 64).number == 2
    command = [sys.executable, "-m", "tests.record.appending", "2"]
    said = subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout.split()
    assert said == [b"3", b"4"]
    assert log.append("c" * 64).number == 5
    assert verified().sound
    log.close()


def test_a_crowd_of_threads_and_processes_loses_and_repeats_nothing() -> None:
    command = [sys.executable, "-m", "tests.record.appending", "20"]
    others = [subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) for _ in range(2)]
    log, numbers = Log(), []

    def append() -> None:
        for _ in range(10):
            numbers.append(log.append("a" * 64).number)

    threads = [threading.Thread(target=append) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        said, _ = other.communicate()
        assert other.returncode == 0
        numbers += [int(line) for line in said.split()]
    log.close()
    assert sorted(numbers) == list(range(1, 121))
    result = verified()
    assert result.sound
    assert result.entries == 120


@pytest.mark.proof
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_killed_at_any_moment_what_was_told_is_there(proof: Callable[..., int]) -> None:
    """SIGKILL while the log is written: what was told is there, and nothing looks tampered with."""
    kills, draw, told = proof("log-kills", short=3, full=100), random.Random(3), 0
    for kill in range(1, kills + 1):
        command = [sys.executable, "-m", "tests.record.appending", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as writing:
            assert writing.stdout is not None
            writing.stdout.readline()
            time.sleep(draw.uniform(0, 0.1))
            writing.kill()
            said = [line for line in writing.stdout.read().split(b"\n")[:-1] if line]
        told = max(told, *(int(line) for line in said), 1)
        # Whoever appends next looks at the end; the whole is looked at now and then.
        if kill % 5 == 0 or kill == kills:
            result = verified()
            assert result.sound, result.findings
            assert result.entries >= told
    assert append("a" * 64).number == verified().entries


def test_half_a_line_of_one_that_was_killed_is_cut_off() -> None:
    append("a" * 64)
    path = log_directory() / ENTRIES
    with path.open("ab") as file:
        file.write(b'{"number":2,"out')
    assert verified().sound
    assert verified().unfinished == b'{"number":2,"out'
    assert append("b" * 64).number == 2
    assert verified().unfinished == b""
    assert verified().sound


def test_killed_between_the_head_and_the_first_line_it_begins_again(home: Path) -> None:
    append("a" * 64)
    first = Entry.parse(lines()[0], "it")
    (home / "log" / ENTRIES).unlink()
    (home / "log" / HEAD).write_bytes(first.head.to_bytes()[:-1].ljust(SECTOR - 1) + b"\n")
    assert verified().sound
    assert append("b" * 64).number == 1
    assert verified().sound


def cut_the_end(log: Path) -> None:
    path = log / ENTRIES
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def empty(log: Path) -> None:
    (log / ENTRIES).write_bytes(b"")


def without_head(log: Path) -> None:
    (log / HEAD).unlink()


def another_end(log: Path) -> None:
    path = log / ENTRIES
    path.write_bytes(path.read_bytes()[:-20] + b"0" * 19 + b"\n")


@pytest.mark.parametrize("damage", [cut_the_end, empty, without_head, another_end])
def test_nothing_is_added_to_a_log_that_lost_its_end(
    damage: Callable[[Path], None], home: Path
) -> None:
    log = Log()
    for _ in range(3):
        log.append("a" * 64)
    log.close()
    damage(home / "log")
    before = (home / "log" / ENTRIES).read_bytes()
    with pytest.raises(MalformedFileError) as caught:
        append("b" * 64)
    assert "studiolo verify" in str(caught.value) or "no" in str(caught.value)
    assert (home / "log" / ENTRIES).read_bytes() == before
    assert not verified().sound


def test_a_lost_key_is_not_replaced_unseen(home: Path) -> None:
    append("a" * 64)
    (home / FILE).unlink()
    with pytest.raises(RecordsError, match="is not there"):
        append("b" * 64)
    assert not (home / FILE).exists()


def test_a_full_disk_is_told_and_gone_on_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """The write of an entry fails half-way; with room again the next is whole."""

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Log() as log:
        log.append("a" * 64)
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            with pytest.raises(NoSpaceError, match="no room for the log"):
                log.append("b" * 64)
        log.append("c" * 64)
    assert verified().sound


def test_who_is_interrupted_while_writing_for_others_leaves_none_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = Log()
    caught: list[Exception] = []

    def append_one() -> None:
        try:
            log.append("b" * 64)
        except RecordsError as error:
            caught.append(error)

    thread = threading.Thread(target=append_one)

    def interrupted(waiting: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(log, "_write", interrupted)
    with log._turn:
        thread.start()
        while not log._waiting:
            time.sleep(0.001)
        with pytest.raises(KeyboardInterrupt):
            log._write_all()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert "interrupted" in str(caught[0])


def test_the_log_is_written_and_verified_without_pytorch() -> None:
    code = """
import sys
from studiolo.cli import main
from studiolo.record.chain import Log
with Log() as log:
    log.append("a" * 64)
try:
    main(["verify"])
except SystemExit as left:
    assert not left.code
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_place_that_cannot_be_written_is_an_error_of_ours(home: Path) -> None:
    (home / "log").write_text("a file where a folder should be")
    with pytest.raises(RecordsError, match="cannot be written"):
        append("a" * 64)
