from __future__ import annotations

import base64
import hashlib
import hmac
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError, MalformedFileError, RecordsError
from studiolo.record import secret as module
from studiolo.record.secret import (
    AwsCredentials,
    Secret,
    id_of_access_key,
    master_secret,
)


def test_a_secret_is_written_and_read() -> None:
    made = {str(Secret.made()) for _ in range(200)}
    assert len(made) == 200
    for text in made:
        parsed = Secret.parse(text)
        assert parsed is not None
        assert str(parsed) == text
        assert len(base64.urlsafe_b64decode(parsed.random + "=")) == 32
        assert parsed.digest == hashlib.sha256(parsed.random.encode()).digest()
        assert parsed.random not in repr(parsed)


GOOD = str(Secret("abcdefghij12", "R" * 43))


@given(
    st.text()
    | st.binary().map(lambda data: data.decode("latin-1"))
    | st.builds(
        lambda at, put, cut: GOOD[:at] + put + GOOD[at + cut :],
        *(st.integers(0, len(GOOD)), st.text(max_size=3), st.integers(0, 2)),
    )
)
def test_any_text_is_a_secret_or_none(text: str) -> None:
    parsed = Secret.parse(text)
    if parsed is None:
        assert text != GOOD
    else:
        assert str(parsed) == text
        assert text.isascii()


@pytest.mark.parametrize(
    "text",
    ["", " " + GOOD, GOOD + "\n", GOOD.upper(), GOOD[:-1], GOOD + "R", GOOD.replace("a", "ａ")],
)
def test_what_is_nearly_a_secret_is_none(text: str) -> None:
    assert Secret.parse(text) is None


def test_digests_are_compared_in_constant_time_and_also_for_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By construction: every path is one hash, and one comparison of 32 with 32 bytes."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return hmac.compare_digest(a, b)

    right, wrong = Secret.made(), Secret.made()
    stored = right.digest
    monkeypatch.setattr(module, "hmac", type("Watched", (), {"compare_digest": compare}))
    assert right.matches(stored)
    assert not wrong.matches(stored)
    assert not wrong.matches(None)
    assert [len(each) for pair in compared for each in pair] == [32] * 6
    # Even a secret that hashed to what nobody is compared with would not be let in.
    monkeypatch.setattr(module, "_NOBODY", right.digest)
    assert not right.matches(None)


def test_an_aws_secret_is_derived_and_not_guessable_from_another() -> None:
    master = bytes(range(32))
    made = AwsCredentials.of(master, "abc123def456")
    assert made.access_key_id == "STUDIOLOABC123DEF456"
    expected = hmac.new(master, b"aws4abc123def456", hashlib.sha256).digest()
    assert base64.b64decode(made.secret_access_key) == expected
    assert AwsCredentials.of(bytes(32), "abc123def456") != made
    assert AwsCredentials.of(master, "abc123def457").secret_access_key != made.secret_access_key
    assert made.secret_access_key not in repr(made)
    assert id_of_access_key(made.access_key_id) == "abc123def456"
    for text in ("", "AKIAABC123DEF4567890", "STUDIOLOabc123def456", made.access_key_id + "\n"):
        assert id_of_access_key(text) is None


def test_the_master_is_made_once_for_the_owner_alone(home: Path) -> None:
    (home / "secret.dead.part").write_bytes(b"killed")
    master = master_secret()
    assert len(master) == 32
    assert master_secret() == master
    assert (home / "secret").read_bytes() == master
    assert stat.S_IMODE((home / "secret").stat().st_mode) == 0o600
    assert {path.name for path in home.iterdir()} == {"secret", "secret.dead.part"}


def test_of_many_that_make_it_at_once_one_prevails(home: Path) -> None:
    code = (
        "import sys; sys.stdin.read()\n"
        "from studiolo.record.secret import master_secret; print(master_secret().hex())"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    said = {process.communicate()[0] for process in started}
    assert said == {(home / "secret").read_bytes().hex() + "\n"}
    assert [path.name for path in home.iterdir()] == ["secret"]


def test_replicas_are_given_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    master = bytes(range(200, 232))
    spelled = (
        master.hex(),
        master.hex().upper(),
        base64.b64encode(master).decode(),
        base64.urlsafe_b64encode(master).decode().rstrip("="),
        f" {master.hex()}\n",
    )
    for text in spelled:
        monkeypatch.setenv("STUDIOLO_SECRET", text)
        assert master_secret() == master
    assert list(home.iterdir()) == []
    for text in ("short", "0" * 63, master[1:].hex(), "é" * 43, "=" * 44):
        monkeypatch.setenv("STUDIOLO_SECRET", text)
        with pytest.raises(
            InvalidRequestError, match="STUDIOLO_SECRET: must be 32 bytes"
        ) as caught:
            master_secret()
        assert text not in str(caught.value)


def test_a_master_that_is_damaged_or_cannot_be_had_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "secret").write_bytes(b"x" * 31)
    with pytest.raises(MalformedFileError, match="holds 31 bytes and not 32"):
        master_secret()
    (home / "secret").unlink()
    (home / "secret").mkdir()
    with pytest.raises(RecordsError, match="cannot be read or made"):
        master_secret()
    (home / "file").write_bytes(b"")
    monkeypatch.setenv("STUDIOLO_HOME", str(home / "file" / "below"))
    with pytest.raises(RecordsError, match="cannot be read or made"):
        master_secret()


def test_a_kill_leaves_it_whole_or_not_there(home: Path) -> None:
    code = (
        "import os, signal\n"
        "from studiolo.record import secret\n"
        "secret.os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)\n"
        "secret.master_secret()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -9
    assert not (home / "secret").exists()
    assert len(master_secret()) == 32
