from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from studiolo.record.contents import Contents, Policy
from studiolo.record.database import Database
from studiolo.record.feedback import Feedback
from studiolo.record.keys import Keys
from studiolo.record.ledger import Entry, Ledger
from tests.cli.conftest import Run
from tests.databases import ENCODED, PASSWORD, fresh, postgres, url

__all__ = ["fresh", "postgres", "url"]

pytestmark = pytest.mark.usefixtures("home")


def test_a_key_is_made_used_listed_and_revoked(run: Run, url: str) -> None:
    made = run(
        *("keys", "create", "--records", url, "--name", "editor", "--owner", "team", "--json"),
        *("--scope", "inference", "--scope", "batch", "--models", "smol*", "--models", "qwen*"),
        *("--rate", "60", "--tokens", "10000", "--budget", "10/month", "--expires", "30d"),
    )
    assert made.code == 0
    facts = made.json
    database = Database.open(url)
    key = Keys(database).find(facts["secret"])
    assert key is not None
    assert (key.name, key.owner, key.scopes) == ("editor", "team", ("inference", "batch"))
    assert key.models == ("smol*", "qwen*")
    assert (key.limits.requests_per_minute, key.limits.tokens_per_minute) == (60, 10_000)
    assert str(key.limits.budget) == "10/month"
    assert key.expires == pytest.approx(time.time() + 30 * 86_400, abs=60)
    aws = Keys(database).find_aws(facts["aws_access_key_id"])
    assert aws == (key, facts["aws_secret_access_key"])

    listed = run("keys", "list", "--records", url, "--json")
    secrets = {"secret", "aws_access_key_id", "aws_secret_access_key"}
    assert listed.json == [{name: facts[name] for name in facts if name not in secrets}]
    assert facts["secret"].rpartition("-")[2] not in listed.out

    revoked = run("keys", "revoke", key.id, "--records", url)
    assert revoked.code == 0
    assert f"{key.id} (editor) is revoked" in revoked.err
    assert Keys(database).find(facts["secret"]) is None
    assert run("keys", "list", "--records", url, "--json").json[0]["revoked"] is not None
    database.close()


def test_people_are_shown_the_secret_once(run: Run, home: Path) -> None:
    made = run("keys", "create", "--name", "phone")
    assert made.code == 0
    assert "shown this once" in made.err
    lines = dict(line.rsplit("  ", 1) for line in made.out.splitlines())
    secret = next(value.strip() for name, value in lines.items() if name.startswith("key"))
    database = Database.open(str(home / "records.db"))
    key = Keys(database).find(secret)
    database.close()
    assert key is not None
    assert key.scopes == ("inference", "models:read")
    table = run("keys", "list").out
    assert key.id in table
    assert "phone" in table
    assert secret not in table


def test_without_keys_it_says_so(run: Run) -> None:
    assert run("keys", "list", "--json").json == []
    assert "There is no key yet" in run("keys", "list").err
    assert "Nothing was asked" in run("keys", "usage").err
    assert run("keys", "usage", "--json").json == []


def filled(url: str) -> tuple[str, str]:
    """Requests of two keys, their contents and a rating; the ids of the keys."""
    database = Database.open(url)
    one, two = (Keys(database).create(name=name).key.id for name in ("one", "two"))
    ledger, contents = Ledger(database), Contents(database, Policy(contents=True))
    for i in range(6):
        key, user = (one, two)[i % 2], ("u", "v", None)[i % 3]
        started = time.time() - 86_400 * i
        ledger.note(
            Entry(
                *(f"r{i}", started, 0.5, "openai", "/v1/completions", 200 if i else 429),
                key=key,
                user=user,
                model="m",
                prompt_tokens=1000 * i,
                cost=i / 4,
            )
        )
        contents.put(f"r{i}", key=key, user=user, prompt="p", output="o")
    ledger.close()
    Feedback(database).put("r0", one, 1, "fine")
    database.close()
    return one, two


def test_usage_is_summed(run: Run, url: str) -> None:
    one, two = filled(url)

    def used(*args: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = run("keys", "usage", "--records", url, "--json", *args).json
        return found

    by_key = {row["key"]: row for row in used()}
    assert by_key[one] == {
        "key": one,
        "requests": 3,
        "errors": 1,
        "prompt_tokens": 6000,
        "cached_tokens": 0,
        "completion_tokens": 0,
        "cost": 1.5,
        "joules": 0.0,
        "seconds": 1.5,
    }
    assert by_key[two]["cost"] == 2.25
    assert [row["requests"] for row in used("--by", "model,day")] == [1] * 6
    assert set(used("--by", "model, user", "--key", one)[0]) >= {"model", "user", "requests"}
    assert used("--by", "", "--since", "60h")[0]["requests"] == 3
    shown = run("keys", "usage", "--records", url).out
    assert f"{one} one 3 1 6,000" in " ".join(shown.split())


def test_contents_are_deleted(run: Run, url: str) -> None:
    one, two = filled(url)
    database = Database.open(url)

    def left() -> set[str]:
        contents = Contents(database, Policy())
        return {f"r{i}" for i in range(6) if contents.content(f"r{i}", None, admin=True)}

    asked = run("keys", "delete-contents", "--records", url, "--key", one, stdin="n\n")
    assert asked.code != 0
    assert len(left()) == 6
    ended = run("keys", "delete-contents", "--records", url, "--key", one, "--yes")
    assert "contents of 3 requests and 1 ratings are deleted" in ended.err
    assert left() == {"r1", "r3", "r5"}
    ended = run("keys", "delete-contents", "--records", url, "--user", "v", "-y")
    assert "contents of 1 requests" in ended.err
    assert left() == {"r3", "r5"}
    nothing = run("keys", "delete-contents", "--records", url, "--yes")
    assert nothing.code == 2
    assert "needs --key or --user" in nothing.err
    assert two in {key.id for key in Keys(database).list()}
    database.close()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("create",), "Missing option '--name'"),
        (("create", "--name", ""), "name: must be 1 to 200 characters"),
        (("create", "--name", "a", "--scope", "root"), "scopes: 'root' is none; there are"),
        (("create", "--name", "a", "--rate", "0"), "--rate"),
        (("create", "--name", "a", "--budget", "10"), "budget: '10' is not like 10/month"),
        (("create", "--name", "a", "--expires", "soon"), "--expires: 'soon' is not like"),
        (("usage", "--by", "colour"), "by: 'colour' is none; there are key"),
        (("usage", "--since", "once"), "--since: 'once' is neither"),
        (("list", "--records", "mysql://u:secret@h/d"), "records: 'mysql' is no database"),
        (("creat",), "Did you mean 'create'"),
    ],
)
def test_what_is_wrong_is_said(run: Run, args: tuple[str, ...], said: str, home: Path) -> None:
    ended = run("keys", *args)
    assert ended.code == 2
    assert said in " ".join(ended.err.split())
    assert "secret" not in ended.err
    assert ended.out == ""
    assert run("keys", "list", "--json").json == []


def test_a_key_that_is_not_there_cannot_be_revoked(run: Run) -> None:
    ended = run("keys", "revoke", "nobody")
    assert ended.code == 1
    assert "no key has the id 'nobody'" in ended.err


def test_a_server_that_is_away_is_named_without_the_password(run: Run) -> None:
    ended = run("keys", "list", "--records", f"postgresql://me:{ENCODED}@127.0.0.1:1/db")
    assert ended.code == 1
    assert "postgresql://me:***@127.0.0.1:1/db cannot be used" in ended.err
    assert PASSWORD not in ended.err
    assert ENCODED not in ended.err


def test_help_names_the_commands(run: Run) -> None:
    ended = run("keys", "--help")
    for name in ("create", "list", "revoke", "usage", "delete-contents"):
        assert name in ended.out
    assert ended.code == 0


def test_the_examples_of_the_page_run(
    run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "records.md").read_text("utf-8")
    one, _ = filled(str(home / "records.db"))
    monkeypatch.chdir(tmp_path)
    exec(page.partition("```python")[2].partition("```")[0], {})
    assert '"rating": 1.0' in (tmp_path / "feedback.jsonl").read_text("utf-8")
    lines = [line[2:] for line in page.splitlines() if line[:2] == "$ "]
    assert len(lines) >= 9
    for line in lines:
        program, *args = shlex.split(line)
        assert program == "studiolo"
        ended = run(*(one if each == "ID" else each for each in args))
        assert ended.code == 0, ended.err
