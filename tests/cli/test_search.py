from __future__ import annotations

import shlex
from pathlib import Path
from typing import get_args

import pytest

from studiolo.cli.search import How
from studiolo.retrieval import search
from tests.cli.conftest import Run
from tests.retrieval.small import write

PAGE = Path(__file__).parents[2] / "docs" / "retrieval.md"
FILES = {
    "leave.md": "# Probation\n\nA probation lasts six months.\n\nLeave is thirty days a year.\n",
    "hr/pay.md": "# Pay\n\nWages are paid on Friday.\n",
    "reports/2024/q1.md": "# Report\n\nThe pay was audited.\n",
}
RULES = "rules: [{match: 'hr/**', access: [hr]}, {match: 'reports/2024/*', metadata: {year: 2024}}]"


@pytest.fixture
def folder(home: Path, tmp_path: Path) -> Path:
    return write(
        tmp_path, {f"handbook/{name}": text for name, text in FILES.items()} | {"rules.yaml": RULES}
    )


@pytest.fixture
def indexed(run: Run, folder: Path, tiny_encoder: str) -> str:
    rules = str(folder / "rules.yaml")
    docs = str(folder / "handbook")
    ended = run("index", docs, "--name", "handbook", "-m", tiny_encoder, "--rules", rules)
    assert ended.code == 0, ended.err
    return "handbook"


def test_ways_are_those_of_the_search() -> None:
    assert {how.value for how in How} == set(get_args(search.How))


def test_json_is_a_list_of_places_in_the_files(run: Run, indexed: str) -> None:
    found = run("search", "--index", indexed, "probation months", "-k", "2", "--json").json
    assert len(found) == 2
    assert [set(each) for each in found] == [
        {"text", "source", "page", "start", "end", "score"}
    ] * 2
    for each in found:
        assert FILES[each["source"]][each["start"] : each["end"]] == each["text"]
    words = run("search", "--index", indexed, "wages", "--how", "words", "--json").json
    assert [each["source"] for each in words] == ["hr/pay.md"]
    assert (
        run("search", "--index", indexed, "--how", "words", "--json", stdin="wages").json == words
    )


def test_access_and_filters(run: Run, indexed: str) -> None:
    command = ("search", "--index", indexed, "wages pay", "--how", "words", "--json")

    def sources(*more: str) -> set[str]:
        return {each["source"] for each in run(*command, *more).json}

    assert sources() == sources("--as", "hr") == {"hr/pay.md", "reports/2024/q1.md"}
    assert sources("--as", "it") == {"reports/2024/q1.md"}
    assert sources("--filter", '{"equals": {"key": "year", "value": 2024}}') == {
        "reports/2024/q1.md"
    }
    wrong = run(*command, "--filter", '{"equals": {"key": "yaer", "value": 2024}}')
    assert wrong.code == 2
    assert "Did you mean year?" in wrong.err
    assert "--filter: is no JSON" in run(*command, "--filter", "{").err


def test_people_see_passages_and_places(run: Run, indexed: str) -> None:
    ended = run("search", "--index", indexed, "wages", "--how", "words")
    assert "hr/pay.md, " in ended.out
    assert "    # Pay" in ended.out
    nothing = run("search", "--index", indexed, "zebra", "--how", "words")
    assert (nothing.out, nothing.err) == ("", "Nothing was found.\n")


def test_what_is_wrong_is_said(run: Run, home: Path, indexed: str) -> None:
    ended = run("search", "--index", "none", "x")
    assert ended.code == 1
    assert "no index is called 'none'" in ended.err
    assert "There are: handbook" in ended.err
    assert "Missing option '--index'" in run("search", "x").err
    assert "k: must be from 1" in run("search", "--index", indexed, "x", "-k", "0").err


def test_another_encoder_is_refused(run: Run, indexed: str, encoder: Path) -> None:
    ended = run("search", "--index", indexed, "x", "--encoder", str(encoder))
    assert ended.code == 2
    assert "model: the index was made with" in ended.err


def test_the_examples_of_the_page_run(
    run: Run, folder: Path, home: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = PAGE.read_text("utf-8")
    (home / "models").mkdir()
    (home / "models" / encoder.name).symlink_to(encoder)
    monkeypatch.chdir(folder)
    lines = [line[2:] for line in page.splitlines() if line.startswith("$ studiolo")]
    assert len(lines) >= 7
    for line in lines:
        program, *args = shlex.split(line)
        assert program == "studiolo"
        ended = run(*args)
        assert ended.code == 0, ended.err
        if args[0] == "ask":
            assert ended.json["answer"] == "A probation lasts six months."
    exec(page.partition("```python")[2].partition("```")[0], {})
