from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import Any, get_args

import pytest

from studiolo.cli.feedback import Kind
from studiolo.errors import MissingExtraError
from studiolo.guard.finder import Finder
from studiolo.guard.masking import Masker
from studiolo.record.contents import Contents, Policy
from studiolo.record.database import Database
from studiolo.record.feedback import Feedback
from studiolo.record.keys import Keys
from studiolo.record.ledger import Entry, Ledger
from studiolo.training import feedback
from tests.cli.conftest import Run
from tests.databases import fresh, postgres, url

__all__ = ["fresh", "postgres", "url"]

pytestmark = pytest.mark.usefixtures("home", "masking")
CHAT = {"messages": [{"role": "user", "content": "where is Zoë's cat?"}]}


@pytest.fixture
def masking(monkeypatch: pytest.MonkeyPatch) -> None:
    """All kinds but names by the model, which needs not be fetched for these."""
    monkeypatch.setattr("studiolo.cli.mask.load_masker", lambda: Masker(Finder()))


def filled(url: str) -> tuple[str, str]:
    """Six rated answers of two keys and two models; the ids of the keys."""
    database = Database.open(url)
    one, two = (Keys(database).create(name=name).key.id for name in ("one", "two"))
    ledger, contents = Ledger(database), Contents(database, Policy(contents=True))
    ratings = Feedback(database)
    said: list[tuple[str, float, dict[str, Any]]] = [
        ("there", -1, {"correction": "on the mat", "consent": True}),
        ("here", 1, {"consent": True}),
        ("nowhere", -1, {"consent": True}),
        ("gone", 1, {}),
        ("away", 1, {"consent": True}),
        ("in", 1, {"consent": True}),
    ]
    for i, (text, _, _) in enumerate(said):
        made = Entry(
            *(f"r{i}", time.time(), 0.5, "openai", "/v1/chat/completions", 200),
            key=two if i == 5 else one,
            model="n" if i == 5 else "m",
        )
        ledger.note(made)
        output = {"choices": [{"index": 0, "text": text, "finish_reason": "stop"}]}
        if i != 4:
            contents.put(f"r{i}", key=made.key, user=None, prompt=CHAT, output=output)
    ledger.close()
    for i, (_, rating, more) in enumerate(said):
        ratings.put(f"r{i}", two if i == 5 else one, rating, **more)
    database.close()
    return one, two


def test_the_kinds_are_those_of_training() -> None:
    assert tuple(kind.value for kind in Kind) == get_args(feedback.Kind)


def test_ratings_become_pairs(run: Run, url: str, tmp_path: Path) -> None:
    one, _ = filled(url)
    out = tmp_path / "pairs.jsonl"
    command = ("feedback", "export", "--as", "preferences", "--out", str(out), "--records", url)
    ended = run(*command, "--model", "m", "--key", one, "--since", "1h")
    assert ended.code == 0, ended.err
    assert ended.out == f"{out}\n"
    assert [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()] == [
        {"prompt": CHAT["messages"], "chosen": "on the mat", "rejected": "there"},
        {"prompt": CHAT["messages"], "chosen": "here", "rejected": "nowhere"},
    ]
    for said in (
        "Personal data were masked",
        "2 lines of 3 of 5 ratings",
        "left out: 1 without consent",
        "left out: 1 whose prompt and answer were not kept",
    ):
        assert said in ended.err
    told = run(*command, "--model", "m", "--json")
    assert "no masker finds all" in told.err
    assert told.json == {
        "path": str(out),
        "as": "preferences",
        "ratings": 5,
        "lines": 2,
        "used": 3,
        "without_consent": 1,
        "without_content": 1,
        "unfit": 0,
        "unpaired": 0,
        "not_good": 0,
        "masked": True,
    }


def test_personal_data_are_masked_unless_they_cannot_or_must_not_be(
    run: Run, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database.open(url)
    key = Keys(database).create(name="one").key.id
    made = Entry(
        *("r9", time.time(), 0.5, "openai", "/v1/chat/completions", 200), key=key, model="m"
    )
    ledger, contents = Ledger(database), Contents(database, Policy(contents=True))
    ledger.note(made)
    asked = {"messages": [{"role": "user", "content": "I am ann@example.org"}]}
    output = {"choices": [{"index": 0, "text": "Call 415-555-0132.", "finish_reason": "stop"}]}
    contents.put("r9", key=key, user=None, prompt=asked, output=output)
    ledger.close()
    Feedback(database).put("r9", key, 1, consent=True, correction="Write to bob@example.org.")
    database.close()
    out = tmp_path / "answers.jsonl"
    command = ("feedback", "export", "--as", "answers", "--out", str(out), "--records", url)

    assert run(*command).code == 0
    masked = out.read_text("utf-8")
    assert "example.org" not in masked
    assert "I am {EMAIL}" in masked
    assert "Write to {EMAIL}." in masked

    assert "are not masked" in run(*command, "--no-mask").err
    assert "ann@example.org" in out.read_text("utf-8")

    def missing() -> Masker:
        raise MissingExtraError("finding personal data", "guard")

    monkeypatch.setattr("studiolo.cli.mask.load_masker", missing)
    told = run(*command, "--json")
    assert "are not masked" in told.err
    assert told.json["masked"] is False


def test_ratings_become_answers(run: Run, url: str, tmp_path: Path) -> None:
    _, two = filled(url)
    out = tmp_path / "answers.jsonl"
    command = ("feedback", "export", "--as", "answers", "--out", str(out), "--records", url)

    def written(*which: str) -> list[str]:
        assert run(*command, *which).code == 0
        lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        assert all(line["messages"][:-1] == CHAT["messages"] for line in lines)
        return [line["messages"][-1]["content"] for line in lines]

    assert written() == ["on the mat", "here", "in"]
    assert "not found good" in run(*command).err
    assert written("--key", two) == written("--model", "n") == ["in"]
    assert written("--since", "2999-01-01") == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--as", "answers"), "Missing option '--out'"),
        (("--out", "x.jsonl"), "Missing option '--as'"),
        (("--as", "pictures", "--out", "x.jsonl"), "pictures"),
        (("--as", "answers", "--out", "/no/such/folder/x"), "name a file in a folder that exists"),
        (("--as", "answers", "--out", "x.jsonl", "--since", "once"), "--since: 'once' is neither"),
        (("--as", "answers", "--out", "x", "--records", "mysql://h/d"), "'mysql' is no database"),
    ],
)
def test_what_is_wrong_is_said(
    run: Run, arguments: tuple[str, ...], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run("feedback", "export", *arguments)
    assert ended.code == 2
    assert why in " ".join(ended.err.split())
    assert ended.out == ""
    assert list(tmp_path.glob("x*")) == []


def test_the_examples_of_the_page_run(
    run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "feedback.md").read_text("utf-8")
    one, _ = filled(str(home / "records.db"))
    monkeypatch.chdir(tmp_path)
    exec(page.rpartition("```python")[2].partition("```")[0], {})
    assert "on the mat" in (tmp_path / "answers.jsonl").read_text("utf-8")
    lines = [line[2:] for line in page.splitlines() if line[:2] == "$ " and " feedback " in line]
    assert len(lines) >= 3
    for line in lines:
        program, *args = shlex.split(line)
        assert program == "studiolo"
        ended = run(*(one if each == "ID" else each for each in args))
        assert ended.code == 0, ended.err
