from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from studiolo.errors import (
    BusyError,
    InvalidRequestError,
    MalformedFileError,
    NotFoundError,
    SourceError,
)
from studiolo.retrieval.asker import OWNER, Asker
from studiolo.retrieval.chunking import Chunking
from studiolo.retrieval.index import Index, index_names, indexes_directory, remove_index
from studiolo.retrieval.search import search
from studiolo.retrieval.settings import Settings
from tests.retrieval.small import Words, indexed, pdf

pytestmark = pytest.mark.usefixtures("home")
SETTINGS = Settings.of(Words(), Chunking())


def test_an_index_is_made_found_and_removed(home: Path) -> None:
    assert index_names() == []
    with pytest.raises(NotFoundError, match=r"'a'\n`studiolo index DIR` makes one"):
        Index.open("a")
    made = Index.create("a", SETTINGS)
    assert made.folder == indexes_directory() / "a" == home / "indexes" / "a"
    assert Index.create("a", SETTINGS).settings == Index.open("a").settings == SETTINGS
    assert index_names() == ["a"]
    with pytest.raises(NotFoundError, match="There are: a"):
        Index.open("b")
    remove_index("a")
    assert index_names() == []
    assert list(indexes_directory().iterdir()) == []
    with pytest.raises(NotFoundError):
        remove_index("a")


def test_names_do_not_lead_out_of_the_folder() -> None:
    for name in ("../a", "a/b", "", ".a", "a" * 200, "a\0"):
        for action in (Index.open, remove_index):
            with pytest.raises(InvalidRequestError, match="cannot name an index"):
                action(name)


def test_it_is_cut_in_one_way() -> None:
    Index.create("a", SETTINGS)
    with pytest.raises(InvalidRequestError, match="chunking: a was cut by"):
        Index.create("a", Settings.of(Words(), Chunking(size=500)))


def test_making_that_was_killed_goes_on() -> None:
    made = Index.create("a", SETTINGS)
    (made.folder / "index.json").unlink()
    assert index_names() == []
    assert Index.create("a", SETTINGS).documents(OWNER) == {}


def test_one_writes_at_a_time() -> None:
    made = Index.create("a", SETTINGS)
    with (
        made.writing(),
        pytest.raises(BusyError, match="somebody else is writing"),
        Index.open("a").writing(),
    ):
        pass
    with made.writing(), pytest.raises(BusyError):
        remove_index("a")
    with Index.open("a").writing():
        pass


def test_texts_and_lists_are_within_sight(tmp_path: Path) -> None:
    rules = {"rules": [{"match": "b.pdf", "access": ["hr"]}, {"match": "c.md", "access": "nobody"}]}
    files: dict[str, str | bytes] = {
        "a.md": "# Rain\nwet",
        "b.pdf": pdf("pay", "more pay"),
        "c.md": "secret",
        "it's.md": "x",
    }
    index, _ = indexed(tmp_path / "docs", files, rules)

    def seen(asker: Asker) -> list[str]:
        return [each.source for each in index.documents(asker).values()]

    assert seen(OWNER) == ["a.md", "b.pdf", "c.md", "it's.md"]
    assert seen(Asker.known_as([])) == seen(Asker.known_as(["x' OR true"])) == ["a.md", "it's.md"]
    assert seen(Asker.known_as(["hr"])) == ["a.md", "b.pdf", "it's.md"]
    assert index.text("it's.md", OWNER).text == "x"
    assert index.text("b.pdf", Asker.known_as(["hr"])).pages == (0, 5)
    for asker, source in ((Asker.known_as([]), "b.pdf"), (Asker.known_as(["hr"]), "c.md")):
        with pytest.raises(NotFoundError, match="no document"):
            index.text(source, asker)
    with pytest.raises(NotFoundError):
        index.text("' OR true --", OWNER)


def test_metadata_have_one_type() -> None:
    made = Index.create("a", SETTINGS)
    made.add_keys({"year": "number", "team": "text", "final": "truth", "tags": "texts"})
    made.add_keys({"year": "number"})
    assert made.types() == {"year": "number", "team": "text", "final": "truth", "tags": "texts"}
    with pytest.raises(InvalidRequestError, match="rules: year: is a text, and in this index a n"):
        made.add_keys({"year": "text"})


def test_a_damaged_index_says_so(tmp_path: Path) -> None:
    index, _ = indexed(tmp_path / "docs", {"a.md": "rain"})
    for data in (index.folder / "passages.lance" / "data").iterdir():
        data.write_bytes(b"nothing")
    damaged = Index.open("small")
    for action in (
        lambda: damaged.documents(OWNER),
        lambda: damaged.text("a.md", OWNER),
        lambda: search(damaged, "rain", Words(), asker=OWNER),
    ):
        with pytest.raises(MalformedFileError, match="the index is damaged") as caught:
            action()
        assert "--remove --name small" in str(caught.value)
    shutil.rmtree(index.folder / "passages.lance")
    with pytest.raises(MalformedFileError, match="the index is damaged"):
        Index.open("small").documents(OWNER)
    remove_index("small")


def test_a_home_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("STUDIOLO_HOME", str(tmp_path / "file"))
    with pytest.raises(SourceError, match="cannot be written"):
        Index.create("a", SETTINGS)
