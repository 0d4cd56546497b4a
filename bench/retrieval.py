"""An index of real text: how fast it is made and asked, and what it finds, beside Chroma.

``python bench/retrieval.py [--passages 10000] [--queries 200] [--questions] [--json F]``

Chroma (``pip install chromadb``, best in an environment of its own) takes part where it is
installed. The text is that of the Python standard library. Every contestant gets the same vectors,
made beforehand, so that what is measured is all but the model: ours reads the files, cuts them,
writes passages and texts and makes an index of words besides; the peers are given the passages that
came of it. Queries are lines of documentation. ``--questions`` compares what is found instead: the
hand-written questions of ``tests/retrieval`` with the catalogue's encoder, on the same passages.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import sysconfig
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

if __name__ == "__main__":  # as a script, only this folder is on the path
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from studiolo.retrieval.asker import OWNER
from studiolo.retrieval.chunking import Chunking
from studiolo.retrieval.embedder import Embedder, ModelEmbedder, Vectors
from studiolo.retrieval.index import Index
from studiolo.retrieval.indexing import update
from studiolo.retrieval.search import search
from studiolo.retrieval.settings import Settings

K = 5
WIDTH = 384


class Known:
    """An embedder of next to no cost: sums of one direction for each word."""

    name, digest, width = "known", "0" * 64, WIDTH

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._directions = rng.standard_normal((1 << 12, WIDTH)).astype(np.float32)

    def fits(self, text: str) -> bool:
        """Always."""
        return True

    def embed(
        self, texts: Sequence[str], report: Callable[[int], None] = lambda done: None
    ) -> Vectors:
        """Texts that share words are near."""
        rows = np.stack([self._directions[self._words(text)].sum(0) for text in texts])
        scaled: Vectors = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
        return scaled

    def _words(self, text: str) -> list[int]:
        return [zlib.crc32(word.encode()) % (1 << 12) for word in text.split()] or [0]


@dataclass(frozen=True)
class Result:
    """Of one contestant. Times in seconds and milliseconds; ``size``: megabytes on the disk."""

    name: str
    version: str
    index: float
    embedding: float
    p50: float
    p95: float
    size: float


class Timed:
    """An embedder that knows how long it was at work."""

    def __init__(self, inner: Embedder) -> None:
        self._inner, self.seconds = inner, 0.0
        self.name, self.digest, self.width = inner.name, inner.digest, inner.width
        self.fits = inner.fits

    def embed(
        self, texts: Sequence[str], report: Callable[[int], None] = lambda done: None
    ) -> Vectors:
        """The inner one's."""
        began = time.perf_counter()
        made = self._inner.embed(texts)
        self.seconds += time.perf_counter() - began
        return made


def corpus(folder: Path, passages: int) -> None:
    """Copy files of the standard library until they should make that many passages."""
    root, size = Path(sysconfig.get_path("stdlib")), 0
    for path in sorted(root.rglob("*.py")):
        if "site-packages" in path.parts or size > passages * 450:
            continue
        target = folder / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        size += path.stat().st_size


def ours(folder: Path, embedder: Embedder, queries: Sequence[str]) -> tuple[Result, Index]:
    """Studiolo, from files."""
    timed = Timed(embedder)
    began = time.perf_counter()
    index = Index.create("bench", Settings.of(embedder, Chunking()))
    update(index, folder, timed)
    took = time.perf_counter() - began
    vectors = dict(zip(queries, embedder.embed(queries), strict=True))

    class Given(Known):
        def embed(
            self, texts: Sequence[str], report: Callable[[int], None] = lambda done: None
        ) -> Vectors:
            return np.stack([vectors[text] for text in texts])

    given = Given()
    given.digest, given.name, given.width = embedder.digest, embedder.name, embedder.width
    times = measured(
        lambda query: search(index, query, given, asker=OWNER, k=K, how="vectors"), queries
    )
    return _result("studiolo", "studiolo", took, timed.seconds, times, index.folder), index


def hybrid(index: Index, embedder: Embedder, queries: Sequence[str]) -> list[float]:
    """Milliseconds of hybrid searches, embedding included."""
    return measured(lambda query: search(index, query, embedder, asker=OWNER, k=K), queries)


def chroma(index: Index, queries: Vectors, folder: Path) -> tuple[Result, Any]:
    """Chroma on the disk, as ``langchain_chroma`` uses it, given passages and vectors."""
    import chromadb  # type: ignore[import-not-found,unused-ignore]

    rows = index.passages.search().select(["id", "indexed", "vector", "source"]).to_arrow()
    texts, ids = rows["indexed"].to_pylist(), rows["id"].to_pylist()
    vectors = np.array(rows["vector"].to_pylist(), np.float32)
    metadata = [{"source": each} for each in rows["source"].to_pylist()]
    began = time.perf_counter()
    client = chromadb.PersistentClient(path=str(folder))
    store = client.create_collection("bench", metadata={"hnsw:space": "cosine"})
    for first in range(0, len(ids), 5000):
        part = slice(first, first + 5000)
        store.add(
            ids=ids[part],
            embeddings=list(vectors[part]),
            documents=texts[part],
            metadatas=metadata[part],
        )
    store.query(query_embeddings=[queries[0]], n_results=K)  # what was put off is done by then
    took = time.perf_counter() - began
    times = measured(lambda query: store.query(query_embeddings=[query], n_results=K), queries)
    return _result("Chroma", "chromadb", took, 0.0, times, folder), store


def measured(ask: Callable[[Any], object], queries: Any) -> list[float]:
    """Milliseconds of each query, after ten that do not count."""
    for query in queries[:10]:
        ask(query)
    times = []
    for query in queries:
        began = time.perf_counter()
        ask(query)
        times.append((time.perf_counter() - began) * 1000)
    return times


def _result(
    name: str, package: str, took: float, embedding: float, times: list[float], folder: Path
) -> Result:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    p50, p95 = statistics.median(times), sorted(times)[int(0.95 * len(times))]
    return Result(name, version(package), took - embedding, embedding, p50, p95, size / 1e6)


def questions(embedder: ModelEmbedder, scratch: Path) -> Table:
    """Recall@5 and mean reciprocal rank of ten of each way, and of Chroma, on the same passages."""
    root = Path(__file__).parent.parent
    lines = (root / "tests" / "retrieval" / "questions.jsonl").read_text("utf-8").splitlines()
    asked = [each for each in map(json.loads, lines) if each["source"] and _fresh(root, each)]
    folder = scratch / "docs"
    folder.mkdir()
    for name in {each["source"] for each in asked}:
        shutil.copyfile(root / "docs" / name, folder / name)
    index = Index.create("questions", Settings.of(embedder, Chunking()))
    update(index, folder, embedder)
    vectors = embedder.embed([each["question"] for each in asked])
    _, store = chroma(index, vectors, scratch / "chroma-questions")
    table = Table(title=f"{len(asked)} questions, {index.passages.count_rows()} passages")
    for title in ("", "recall@5", "MRR"):
        table.add_column(title, justify="right" if title else "left")

    def told(name: str, found: Callable[[int], list[str]]) -> None:
        ranks = []
        for i, each in enumerate(asked):
            phrase = " ".join(each["phrase"].split())
            texts = [" ".join(text.split()) for text in found(i)]
            ranks.append(next((r for r, t in enumerate(texts, 1) if phrase in t), 0))
        recall = sum(0 < rank <= K for rank in ranks) / len(ranks)
        table.add_row(name, f"{recall:.3f}", f"{sum(1 / r for r in ranks if r) / len(ranks):.3f}")

    for how in ("vectors", "words", "hybrid"):
        told(
            f"studiolo, {how}",
            lambda i, how=how: [  # type: ignore[misc]
                hit.text
                for hit in search(index, asked[i]["question"], embedder, asker=OWNER, k=10, how=how)
            ],
        )
    told(
        "Chroma",
        lambda i: store.query(query_embeddings=[vectors[i]], n_results=10)["documents"][0],
    )
    return table


def _fresh(root: Path, question: dict[str, str]) -> bool:
    """Whether the page still has the words that answer."""
    page = " ".join((root / "docs" / question["source"]).read_text("utf-8").split())
    return " ".join(question["phrase"].split()) in page


def main(
    passages: Annotated[int, typer.Option(help="About how many passages.")] = 10_000,
    queries: Annotated[int, typer.Option(help="How many queries.")] = 200,
    questions_: Annotated[
        bool, typer.Option("--questions", help="Compare what is found instead.")
    ] = False,
    json_: Annotated[Path | None, typer.Option("--json", help="Write the numbers here.")] = None,
) -> None:
    """Print one table."""
    import os

    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as home:
        scratch = Path(name)
        if questions_:
            import studiolo

            embedder = ModelEmbedder(studiolo.load_encoder())
            os.environ["STUDIOLO_HOME"] = home
            Console().print(questions(embedder, scratch))
            return
        os.environ["STUDIOLO_HOME"] = home
        (scratch / "text").mkdir()
        corpus(scratch / "text", passages)
        lines = [
            line.strip()
            for path in sorted((scratch / "text").rglob("*.py"))
            for line in path.read_text("utf-8", "replace").splitlines()
            if len(line) > 60 and line.strip()[:1].isupper()
        ]
        asked = lines[:: max(1, len(lines) // queries)][:queries]
        known = Known()
        mine, index = ours(scratch / "text", known, asked)
        results = [mine]
        try:
            results.append(chroma(index, known.embed(asked), scratch / "chroma")[0])
        except ImportError:
            Console(stderr=True).print("Chroma is not installed: pip install chromadb")
        count = index.passages.count_rows()
        table = Table(title=f"{count:,} passages of the standard library, {len(asked)} queries")
        titles = ("", "index (s)", "query p50 (ms)", "p95 (ms)", "disk (MB)")
        for title in titles:
            table.add_column(title, justify="right" if title else "left")
        for each in results:
            numbers = (each.index, each.p50, each.p95, each.size)
            table.add_row(f"{each.name} {each.version}", *(f"{number:.2f}" for number in numbers))
        Console().print(table)
        both = statistics.median(hybrid(index, known, asked))
        Console().print(f"Hybrid, words besides and the embedding included: {both:.2f} ms")
        if json_ is not None:
            json_.write_text(json.dumps([asdict(each) for each in results], indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
