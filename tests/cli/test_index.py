from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import get_args

import pytest

from studiolo.cli.index import Way, index
from studiolo.retrieval import chunking, ingest
from tests.cli.conftest import Run
from tests.retrieval.small import write

pytestmark = pytest.mark.usefixtures("home")
FILES: dict[str, str | bytes] = {
    "a.md": "# Rain\n\nStreets get wet.\n",
    "b.txt": "The sun dries them.",
    "c.md": b"\xff",
}


def test_defaults_are_those_of_the_parts() -> None:
    assert tuple(way.value for way in Way) == get_args(chunking.Way)
    plain = chunking.Chunking()
    given = {name: each.default for name, each in signature(index).parameters.items()}
    assert (plain.size, plain.overlap) == (given["size"], given["overlap"])
    assert given["max_bytes"] == ingest.MAX_BYTES


def test_a_folder_is_indexed_and_kept_up_to_date(
    run: Run, tmp_path: Path, tiny_encoder: str
) -> None:
    folder = write(tmp_path / "docs", FILES)
    command = ("index", str(folder), "--name", "n", "-m", tiny_encoder)
    first = run(*command, "--json")
    assert first.code == 0, first.err
    assert "not indexed: c.md: is no text in UTF-8: byte 0" in first.err
    said = first.json
    assert said.pop("passages") >= 2
    assert [each["source"] for each in said.pop("unread")] == ["c.md"]
    assert said == {"name": "n", "added": 2, "changed": 0, "unchanged": 0, "removed": 0}
    (folder / "b.txt").unlink()
    (folder / "c.md").write_text("Rain.")
    assert run(*command).out == "n: 1 added, 0 changed, 1 unchanged, 1 removed\n"
    listed = run("index", "--json").json
    assert [(each["name"], each["documents"]) for each in listed] == [("n", 2)]
    assert run("index").out.startswith("n: 2 documents, ")
    assert run("index", "--name", "n", "--remove").code == 0
    ended = run("index")
    assert (ended.code, ended.out) == (0, "")
    assert "There is no index yet" in ended.err


def test_long_lists_of_unread_files_are_cut(run: Run, tmp_path: Path, tiny_encoder: str) -> None:
    folder = write(tmp_path / "docs", {f"{i}.md": b"\xff" for i in range(25)})
    ended = run("index", str(folder), "--name", "n", "-m", tiny_encoder)
    assert ended.err.count("not indexed: ") == 20
    assert "and 5 more" in ended.err
    assert ended.out.endswith("25 not indexed\n")


def test_a_terminal_sees_a_bar(
    run: Run, tmp_path: Path, tiny_encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "docs", {"a.md": "Rain."})
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    ended = run("index", str(folder), "--name", "n", "-m", tiny_encoder, "--json")
    assert ended.json["added"] == 1
    assert "1/1" in ended.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("{docs}",), "--name: is missing"),
        (("--name", "n"), "dir: is missing"),
        (("--remove",), "--name: is missing"),
        (("{docs}/none", "--name", "n"), "dir: there is no folder"),
        (("{docs}", "--name", "../n", "-m", "{encoder}"), "name: '../n' cannot name an index"),
        (("{docs}", "--name", "n", "--size", "5"), "size: must be from 100 to 20,000, not 5"),
        (("{docs}", "--name", "n", "--rules", "none.yaml"), "rules: 'none.yaml' cannot be read"),
        (("{docs}", "--name", "n", "--way", "magic"), "magic"),
    ],
)
def test_what_is_wrong_is_said(
    run: Run, tmp_path: Path, tiny_encoder: str, arguments: tuple[str, ...], why: str
) -> None:
    docs = write(tmp_path / "docs", FILES)
    ended = run("index", *(each.format(docs=docs, encoder=tiny_encoder) for each in arguments))
    assert ended.code == 2
    assert why in " ".join(ended.err.split())
    assert ended.out == ""


def test_a_damaged_index_does_not_hide_the_others(
    run: Run, home: Path, tmp_path: Path, tiny_encoder: str
) -> None:
    folder = write(tmp_path / "docs", {"a.md": "Rain."})
    for name in ("a", "b"):
        assert run("index", str(folder), "--name", name, "-m", tiny_encoder).code == 0
    (home / "indexes" / "a" / "index.json").write_text("{")
    ended = run("index", "--json")
    assert [each["name"] for each in ended.json] == ["b"]
    assert "the index cannot be read" in ended.err
    assert run("index", "--name", "a", "--remove").code == 0
    assert run("index").err == ""


def test_an_index_that_is_not_there_is_not_removed(run: Run) -> None:
    ended = run("index", "--remove", "--name", "n")
    assert ended.code == 1
    assert "no index is called 'n'" in ended.err
