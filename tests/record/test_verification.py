from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studiolo.record.chain import ENTRIES, HEAD, Log, log_directory, read_head
from studiolo.record.entry import Entry, Head
from studiolo.record.signing import FILE, PublicKey, SigningKey
from studiolo.record.verification import MAX_FINDINGS, Verification, verify_log

COUNT = 12
EDITS = tuple("bit byte insert delete line swap repeat move cut spell junk".split())  # noqa: SIM905


@pytest.fixture
def log(home: Path) -> Path:
    """The folder of a log with ``COUNT`` entries."""
    writing = Log()
    for i in range(COUNT):
        writing.append(f"{i:064x}", [f"{j:064x}" for j in range(i % 3)])
    writing.close()
    return log_directory()


@pytest.fixture
def key(log: Path) -> PublicKey:
    return SigningKey.installed(make=False).public


def test_an_untouched_log_is_sound(log: Path, key: PublicKey) -> None:
    done: list[int] = []
    result = verify_log(log, key, receipt=f"{4:064x}", report=done.append)
    assert result.sound
    assert (result.entries, result.found, result.key) == (COUNT, 5, key.fingerprint)
    assert result.head == read_head(log / HEAD)
    assert done[-1] == (log / ENTRIES).stat().st_size
    assert result.first is not None
    assert result.last is not None
    assert result.first < result.last
    assert verify_log(log, key, receipt="f" * 64).found is None


def test_without_a_log_there_is_nothing(home: Path) -> None:
    key = SigningKey.installed().public
    result = verify_log(home / "log", key)
    assert result.sound
    assert (result.entries, result.head) == (0, None)


def append(receipt: str) -> None:
    with Log() as log:
        log.append(receipt)


Lines = list[bytes]


def found(log: Path, key: PublicKey, change: Callable[[Lines], Lines]) -> list[tuple[str, object]]:
    path = log / ENTRIES
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    result = verify_log(log, key)
    return [(each.what, each.line) for each in result.findings]


def test_it_says_where_and_what(log: Path, key: PublicKey) -> None:
    """Of entry 4, on line 5: changed, missing, moved, repeated; and entries cut off the end."""
    whole = (log / ENTRIES).read_bytes()
    cases: list[tuple[Callable[[Lines], Lines], list[tuple[str, object]]]] = [
        (lambda a: a, []),
        (lambda a: [*a[:4], a[4].replace(b"0003", b"0004"), *a[5:]], [("changed", 5)]),
        (lambda a: [*a[:4], *a[5:]], [("missing", 5)]),
        (lambda a: [*a[:4], *a[7:]], [("missing", 5)]),
        (lambda a: [*a[:5], a[4], *a[5:]], [("moved", 6)]),
        (lambda a: [*a[:4], a[5], a[4], *a[6:]], [("missing", 5), ("moved", 6)]),
        (lambda a: [*a[:4], b"{}\n", *a[4:]], [("changed", 5)]),
        (
            lambda a: [*a[:4], b"x" * 200_000 + b"\n", *a[4:]],
            [("changed", 5 + i) for i in range(4)],
        ),
        (lambda a: a[1:], [("missing", 1)]),
        (lambda a: a[:-1], [("cut", None)]),
        (lambda a: a[:3], [("cut", None)]),
        (lambda a: [], [("cut", None)]),
        (lambda a: [*a[:-1], a[-1][:-1]], [("cut", None)]),
        (lambda a: [*a, b"and more"], [("changed", None)]),
        (lambda a: [a[0], *a[:0:-1]], [("missing", 2), *(("moved", i) for i in range(3, 14))]),
    ]
    for change, expected in cases:
        (log / ENTRIES).write_bytes(whole)
        assert found(log, key, change) == expected


def test_one_who_has_the_log_and_no_key_can_forge_nothing(
    log: Path, key: PublicKey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every line written anew, in order and signed with another key: not one is believed."""
    monkeypatch.setenv("STUDIOLO_HOME", str(tmp_path / "forger"))
    forged = Log(log)
    shutil.rmtree(log)
    for i in range(COUNT):
        forged.append(f"{i:064x}")
    forged.close()
    result = verify_log(log, key)
    assert result.entries == 0
    assert [each.what for each in result.findings] == ["head", *["changed"] * (COUNT + 1)]


def test_a_head_kept_elsewhere_finds_a_log_that_was_set_back(log: Path, key: PublicKey) -> None:
    kept = shutil.copytree(log, log.parent / "earlier")
    append("a" * 64)
    head = read_head(log / HEAD)
    assert head is not None
    shutil.rmtree(log)
    kept.rename(log)
    assert verify_log(log, key).sound  # nothing on this disk tells
    (finding,) = verify_log(log, key, heads=[head]).findings
    assert finding.what == "cut"
    assert str(finding) == f"entry {COUNT + 1} is missing at the end; a head tells of it"


def test_two_logs_of_one_past_cannot_both_be_true(log: Path, key: PublicKey) -> None:
    """The log is set back and goes on: a head of what it was contradicts what it is."""
    kept = shutil.copytree(log, log.parent / "earlier")
    append("a" * 64)
    head = read_head(log / HEAD)
    assert head is not None
    shutil.rmtree(log)
    kept.rename(log)
    for _ in range(2):
        append("b" * 64)
    assert verify_log(log, key).sound
    (finding,) = verify_log(log, key, heads=[head]).findings
    assert (finding.what, finding.line) == ("changed", COUNT + 2)


def test_a_head_of_another_key_is_not_believed(
    log: Path, key: PublicKey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STUDIOLO_HOME", str(tmp_path / "other"))
    head = Entry.signed(SigningKey.installed(), after=None).head
    assert [each.what for each in verify_log(log, key, heads=[head]).findings] == ["head"]


def test_very_many_findings_are_counted(log: Path, key: PublicKey) -> None:
    with (log / ENTRIES).open("ab") as file:
        file.write(b"{}\n" * (MAX_FINDINGS + 5))
    result = verify_log(log, key)
    assert (len(result.findings), result.more_findings) == (MAX_FINDINGS, 5)
    assert result.to_dict()["sound"] is False


def edited(draw: random.Random, log: Path) -> str:
    """Do something to the log that changes its bytes, and say what."""
    path = log / ENTRIES
    if draw.random() < 0.05:
        path = log / HEAD
        if draw.random() < 0.2:
            path.unlink()
            return "head removed"
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    i, j = draw.randrange(len(lines)), draw.randrange(len(lines))
    at = draw.randrange(len(data))
    kind = draw.choice(EDITS)
    if kind == "bit":
        data = data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :]
    elif kind == "byte":
        data = data[:at] + draw.randbytes(1) + data[at + 1 :]
    elif kind == "insert":
        data = data[:at] + draw.randbytes(draw.randint(1, 40)) + data[at:]
    elif kind == "delete":
        data = data[:at] + data[at + draw.randint(1, 600) :]
    elif kind == "line":
        data = b"".join(lines[:i] + lines[i + draw.randint(1, 3) :])
    elif kind == "swap":
        lines[i], lines[j] = lines[j], lines[i]
        data = b"".join(lines)
    elif kind == "repeat":
        data = b"".join([*lines[:j], lines[i], *lines[j:]])
    elif kind == "move":
        line = lines.pop(i)
        data = b"".join([*lines[:j], line, *lines[j:]])
    elif kind == "cut":
        data = data[:at]
    elif kind == "spell":  # the same JSON, spelled otherwise
        lines[i] = lines[i].replace(b",", b", ", 1) if i % 2 else lines[i].replace(b"a", b"\\u0061")
        data = b"".join(lines)
    else:
        data = b"".join([*lines[:i], draw.randbytes(draw.randint(0, 200)) + b"\n", *lines[i:]])
    path.write_bytes(data)
    return f"{kind} of {path.name}"


@pytest.mark.proof
def test_every_random_edit_is_found(log: Path, key: PublicKey, proof: Callable[..., int]) -> None:
    """Random edits of the log, one at a time: bits, bytes, lines, order, ends, heads; all found."""
    count, draw = proof("log-edits", short=50, full=1000), random.Random(11)
    whole = {name: (log / name).read_bytes() for name in (ENTRIES, HEAD)}
    done = 0
    while done < count:
        for name, data in whole.items():
            (log / name).write_bytes(data)
        what = edited(draw, log)
        now = {name: (log / name).read_bytes() for name in whole if (log / name).exists()}
        if now == whole:
            continue  # a line swapped with itself
        assert not verify_log(log, key).sound, what
        done += 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=400), head=st.binary(max_size=400))
def test_any_bytes_are_looked_at_and_not_believed(
    data: bytes, head: bytes, log: Path, key: PublicKey
) -> None:
    (log / ENTRIES).write_bytes(data)
    (log / HEAD).write_bytes(head)
    result = verify_log(log, key)
    assert isinstance(result, Verification)
    assert result.entries == 0
    assert not result.sound


def test_a_head_is_printed_and_read(log: Path) -> None:
    head = read_head(log / HEAD)
    assert head is not None
    assert Head.parse(head.to_bytes().decode(), "it") == head
    assert (log.parent / FILE).exists()
