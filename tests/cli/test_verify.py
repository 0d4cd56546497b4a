from __future__ import annotations

import json
from pathlib import Path

import pytest

from studiolo.record.chain import ENTRIES, Log
from studiolo.record.entry import Head
from tests.cli.conftest import Ended, Run

pytestmark = pytest.mark.usefixtures("home")
ASK = ("--max-tokens", "6", "--seed", "5", "--temperature", "1", "--ignore-eos")


@pytest.fixture
def log(home: Path) -> Path:
    with Log() as log:
        for i in range(5):
            log.append(f"{i:064x}")
    return home / "log"


def test_before_anything_was_made(run: Run) -> None:
    ended = run("verify")
    assert (ended.code, ended.out) == (0, "There is no log here yet: nothing has been made.\n")
    assert run("verify", "--json").json == {"log": None, "sound": True, "entries": 0}


def test_a_log_that_is_sound(run: Run, log: Path) -> None:
    ended = run("verify")
    assert ended.code == 0
    first, second = ended.out.splitlines()
    assert first.startswith("5 entries, 20")
    assert first.endswith(": none changed, missing or moved")
    assert second.startswith("signed by ")
    value = run("verify", "--json").json
    assert (value["sound"], value["entries"], value["findings"]) == (True, 5, [])
    assert value["log"] == str(log)


def test_what_is_wrong_and_where(run: Run, log: Path) -> None:
    path = log / ENTRIES
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    ended = run("verify")
    assert ended.code == 1
    assert ended.out.startswith("line 3: entry 2 is missing before it\n4 entries, ")
    assert "the log was tampered with" in ended.out
    value = run("verify", "--json")
    assert value.code == 1
    assert value.json["findings"] == [
        {"what": "missing", "line": 3, "message": "entry 2 is missing before it"}
    ]


def test_a_head_that_was_kept_finds_a_log_that_was_set_back(
    run: Run, log: Path, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in log.iterdir()}
    with Log() as writing:
        writing.append("f" * 64)
    kept = tmp_path / "kept.json"
    kept.write_text(run("verify", "--show-head").out)
    assert Head.parse(kept.read_bytes(), "it").number == 6
    assert run("verify", "--head", str(kept)).code == 0
    for name, data in before.items():
        (log / name).write_bytes(data)
    assert run("verify").code == 0
    ended = run("verify", "--head", str(kept))
    assert ended.code == 1
    assert ended.out.startswith("entry 6 is missing at the end; a head tells of it\n")


def test_a_log_with_another_key_elsewhere(
    run: Run, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An auditor has the log and the public key, and neither home nor secret."""
    key = tmp_path / "key.pem"
    key.write_text(run("verify", "--show-key").out)
    monkeypatch.setenv("STUDIOLO_HOME", str(tmp_path / "auditor"))
    where = ("--log", str(log))
    assert run("verify", *where, "--key", str(key)).code == 0
    assert "needs --key" in run("verify", *where).err
    other = tmp_path / "other.pem"
    other.write_text(run("verify", "--show-key").out)
    ended = run("verify", *where, "--key", str(other))
    assert ended.code == 1
    assert "is not signed with this key" in ended.out


def test_a_receipt_and_its_entry(run: Run, tiny: str, tmp_path: Path) -> None:
    made: list[Path] = []
    for seed in ("1", "2"):
        made.append(tmp_path / f"{seed}.json")
        ask = ("generate", "the cat", "-m", tiny, "--max-tokens", "4", "--seed", seed)
        assert run(*ask, "--receipt", str(made[-1])).code == 0
    assert run("verify", str(made[1])).out.endswith(f"{made[1]} is entry 2\n")
    assert run("verify", str(made[0]), "--json").json["receipt"]["entry"] == 1
    value = json.loads(made[0].read_bytes())
    value["engine"]["studiolo"] = "0.0.1"
    made[0].write_text(json.dumps(value))
    ended = run("verify", str(made[0]))
    assert ended.code == 1
    assert ended.out.endswith(f"{made[0]} is not in the log\n")


def test_every_generation_is_in_the_log(run: Run, tiny: str) -> None:
    """With a receipt or without one, printed or as JSON, one sample or several."""
    for options in ((), ("--json",), ("--n", "2"), ("--chat",)):
        assert run("generate", "the cat", "-m", tiny, *ASK, *options).code == 0
    assert run("verify", "--json").json["entries"] == 4


def test_a_home_that_cannot_be_written_costs_a_note_or_the_receipt(
    run: Run, tiny: str, home: Path, tmp_path: Path
) -> None:
    (home / "log").write_text("no folder")
    ended = run("generate", "the cat", "-m", tiny, *ASK)
    assert ended.code == 0
    assert "not in the log of receipts: " in ended.err
    ended = run("generate", "the cat", "-m", tiny, *ASK, "--receipt", str(tmp_path / "r.json"))
    assert ended.code == 1
    assert "cannot be written" in ended.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--show-head",), "there is no log in"),
        (("--log", "nowhere"), "there is no folder 'nowhere'"),
        (("--key", "nowhere.pem"), "cannot be read"),
        (("--head", "nowhere.json"), "cannot be read"),
        (("nowhere.json",), "cannot be read"),
    ],
)
def test_what_is_not_there(
    run: Run, arguments: tuple[str, ...], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "--key":
        with Log() as log:
            log.append("a" * 64)
    ended: Ended = run("verify", *arguments)
    assert ended.code == 2
    assert why in ended.err


def test_a_head_is_asked_for_where_no_log_is_left(run: Run, tmp_path: Path, home: Path) -> None:
    with Log() as log:
        log.append("a" * 64)
    kept = tmp_path / "kept.json"
    kept.write_text(run("verify", "--show-head").out)
    for path in (home / "log").iterdir():
        path.unlink()
    assert run("verify").code == 0
    ended = run("verify", "--head", str(kept), "--json")
    assert ended.code == 1
    assert ended.json["sound"] is False
