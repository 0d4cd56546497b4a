from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from studiolo.errors import InvalidRequestError, SourceError
from studiolo.retrieval import indexing
from studiolo.retrieval.asker import OWNER, Asker
from studiolo.retrieval.document import Unread
from studiolo.retrieval.embedder import Vectors
from studiolo.retrieval.index import Index
from studiolo.retrieval.indexing import Outcome, update
from studiolo.retrieval.search import search
from tests.retrieval.small import Words, docx, indexed, pdf, write

pytestmark = pytest.mark.usefixtures("home")


def sources(index: Index) -> set[str]:
    return {each.source for each in index.documents(OWNER).values()}


def passages(index: Index) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = index.passages.search().to_arrow().to_pylist()
    return sorted(rows, key=lambda row: str(row["id"]))


def counts(outcome: Outcome) -> tuple[int, int, int, int]:
    return outcome.added, outcome.changed, outcome.unchanged, outcome.removed


def test_new_changed_and_deleted_files_and_nothing_else(tmp_path: Path) -> None:
    folder, embedder = tmp_path / "docs", Words()
    files = {"a.md": "rain", "b/c.txt": "wind", "d.md": "snow"}
    index, outcome = indexed(folder, files, embedder=embedder)
    assert counts(outcome) == (3, 0, 0, 0)
    assert outcome.passages == embedder.embedded == 3
    before = passages(index)
    assert counts(update(index, folder, embedder)) == (0, 0, 3, 0)
    assert embedder.embedded == 3, "what is known is not embedded again"
    assert passages(index) == before
    (folder / "a.md").write_text("sun")
    (folder / "d.md").unlink()
    (folder / "e.md").write_text("fog")
    assert counts(update(index, folder, embedder)) == (1, 1, 1, 1)
    assert sources(index) == {"a.md", "b/c.txt", "e.md"}
    assert {row["indexed"] for row in passages(index)} == {"sun", "wind", "fog"}
    texts = index.texts.search().to_arrow()["text"].to_pylist()
    assert set(texts) == {"sun", "wind", "fog"}, "the texts of what is gone are gone"
    fresh, _ = indexed(folder, name="fresh")
    assert [{**row} for row in passages(fresh)] == passages(index)


def bomb() -> bytes:
    """Some 30 kB that unpack to 32 MB."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("word/document.xml", b" " * (32 << 20))
    return out.getvalue()


def test_bad_files_are_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "bomb.docx": bomb(),
        "damaged.docx": docx(("Normal", "x"))[:200],
        "broken.md": b"caf\xe9",
        "empty.md": "",
        "good.md": "rain",
        "scan.pdf": pdf(""),
    }
    folder = write(tmp_path / "docs", files)
    with (folder / "large.pdf").open("wb") as file:
        file.truncate(500_000_000)
    index, outcome = indexed(folder)
    assert sources(index) == {"good.md"}
    why = {each.source: each.why for each in outcome.unread}
    assert set(why) == {
        "bomb.docx",
        "damaged.docx",
        "broken.md",
        "empty.md",
        "scan.pdf",
        "large.pdf",
    }
    assert "500,000,000 bytes" in why["large.pdf"]
    assert "looks like a bomb" in why["bomb.docx"]
    assert "byte 3" in why["broken.md"]


def test_a_file_that_cannot_be_read_any_more_leaves_the_index(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    index, _ = indexed(folder, {"a.md": "rain", "b.md": "wind"})
    (folder / "a.md").write_bytes(b"rain \xff")
    outcome = update(index, folder, Words())
    assert counts(outcome) == (0, 0, 1, 1)
    assert outcome.unread == [Unread("a.md", outcome.unread[0].why)]
    assert sources(index) == {"b.md"}


def test_access_changes_at_once_and_without_embedding(tmp_path: Path) -> None:
    folder, embedder, asker = tmp_path / "docs", Words(), Asker.known_as(["ada"])
    rules = {
        "rules": [
            {"match": "a.md", "access": ["ada"], "metadata": {"year": 2024, "of": ["it's", "x"]}}
        ]
    }
    index, _ = indexed(folder, {"a.md": "rain", "b.md": "rain wind"}, rules, embedder=embedder)
    year = {"equals": {"key": "year", "value": 2024}}

    def found(**asked: object) -> list[str]:
        hits = search(index, "rain", embedder, asker=asker, **asked)  # type: ignore[arg-type]
        return sorted(hit.source for hit in hits)

    assert found() == ["a.md", "b.md"]
    assert found(filter=year) == ["a.md"]
    done = embedder.embedded
    rules = {
        "rules": [
            {"match": "a.md", "access": ["bob's"]},
            {"match": "b.md", "metadata": {"year": 2024}},
        ]
    }
    _, outcome = indexed(folder, rules=rules, embedder=embedder)
    assert counts(outcome) == (0, 0, 2, 0)
    assert embedder.embedded == done
    assert found() == found(filter=year) == ["b.md"]


def test_rules_that_contradict_the_index_change_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    first = {"rules": [{"match": "*.md", "metadata": {"year": 2024}}]}
    index, _ = indexed(folder, {"a.md": "rain"}, first)
    before = passages(index)
    with pytest.raises(InvalidRequestError, match="rules: year"):
        indexed(folder, {"b.md": "x"}, {"rules": [{"match": "*.md", "metadata": {"year": "new"}}]})
    assert passages(index) == before


def test_vectors_that_are_no_numbers_are_not_kept(tmp_path: Path) -> None:
    class Broken(Words):
        def embed(
            self, texts: Sequence[str], report: Callable[[int], None] = lambda done: None
        ) -> Vectors:
            return super().embed(texts) * float("nan")

    with pytest.raises(SourceError, match="not finite"):
        indexed(tmp_path / "docs", {"a.md": "rain"}, embedder=Broken())
    assert sources(Index.open("small")) == set()


def test_progress_is_told(tmp_path: Path) -> None:
    folder = write(tmp_path / "docs", {f"{i}.md": "rain" for i in range(5)})
    index, _ = indexed(tmp_path / "none")
    told: list[tuple[int, int]] = []
    update(index, folder, Words(), report=lambda done, total: told.append((done, total)))
    assert told == [(i, 5) for i in range(6)]


SLOW = """
import sys, time
from pathlib import Path
from studiolo.retrieval import indexing
from tests.retrieval.small import Words, indexed

class Slow(Words):
    def embed(self, texts, report=lambda done: None):
        time.sleep(0.15)
        print(len(texts), flush=True)
        return super().embed(texts)

indexing.BATCH = 8
indexed(Path(sys.argv[1]), embedder=Slow())
print("done", flush=True)
"""


def test_a_killed_run_goes_on_and_ends_in_the_same(tmp_path: Path) -> None:
    """Killed again and again, an index is whole at every time and in the end the same."""
    prose = "The quiet river carried the old lamp. " * 20
    folder = write(tmp_path / "docs", {f"{i:02}.md": f"# {i}\n\n{prose}" for i in range(12)})
    expected, _ = indexed(folder, name="peace")
    held: list[int] = []
    for kills in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", SLOW, str(folder)],
            cwd=Path(__file__).parents[2],
            env=os.environ,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(2)]
        time.sleep(0.05 * kills % 0.15)
        if "done\n" not in lines:
            child.send_signal(signal.SIGKILL)
        rest = child.communicate()[0]
        index = Index.open("small")
        rows = passages(index)
        whole = {row["document"]: 0 for row in rows}
        for row in rows:
            whole[row["document"]] += 1
        assert set(whole.values()) <= {len(passages(expected)) // 12}, "no document in part"
        held.append(len(whole))
        if "done\n" in [*lines, rest] or rest.endswith("done\n"):
            break
    assert held == sorted(held)
    assert held[0] < 12
    update(Index.open("small"), folder, Words())
    assert passages(Index.open("small")) == passages(expected)


def test_readers_see_whole_documents_while_another_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "BATCH", 1)
    folder = tmp_path / "docs"
    index, _ = indexed(folder, {"a.md": "# A\n\n" + "rain zero. " * 60})
    parts = len(passages(index))
    assert parts > 1
    ended = threading.Event()
    wrong: list[object] = []

    def read() -> None:
        reader = Index.open("small")
        while not ended.is_set():
            rows = reader.passages.search().to_arrow().to_pylist()
            digests = {row["digest"] for row in rows}
            if len(digests) != 1 or len(rows) != parts:
                wrong.append(rows)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for word in ("one.", "two.", "six."):
            (folder / "a.md").write_text("# A\n\n" + f"rain {word} ".ljust(11) * 60)
            assert update(index, folder, Words()).changed == 1
    finally:
        ended.set()
        thread.join()
    assert wrong == []
